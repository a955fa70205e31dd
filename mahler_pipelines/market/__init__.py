"""What the market looks like: chains, liquidity, sessions, volatility, regimes."""
