"""Mahler: a human-in-the-loop options desk as a Dagster graph."""

__version__ = "0.1.0"
