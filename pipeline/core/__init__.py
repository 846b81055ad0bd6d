"""The decisions: pure, total, deterministic, standard library only."""
