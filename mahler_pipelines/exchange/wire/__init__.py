"""Alpaca's wire: one module per group of routes, over the exchange behind it."""
