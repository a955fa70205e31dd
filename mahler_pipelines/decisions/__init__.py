"""Thesis, grounding, recommendation (state machine, content hash), playbook."""
