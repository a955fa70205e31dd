"""Drills: what the desk promises of its worst day, tried on real processes."""
