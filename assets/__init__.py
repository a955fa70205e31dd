"""The graph of the desk, told in order: market, volatility, candidates, decisions, execution, review."""
