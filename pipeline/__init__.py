"""Deploys what git says to Kubernetes, and proves that it works."""

__version__ = "0.1.0"
