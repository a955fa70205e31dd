"""Intents, submission, fills, marks, exits, reconciliation."""
