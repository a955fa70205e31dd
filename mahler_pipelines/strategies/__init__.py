"""Which structures are worth proposing: one module per strategy, screening, ranking."""
