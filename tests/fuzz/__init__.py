"""Fuzzing of whatever reads what others wrote. ``python -m tests.fuzz --seconds 300`` runs every target."""
