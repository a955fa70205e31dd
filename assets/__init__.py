"""The graph, told in order: market, volatility, candidates, decisions, execution, review."""
