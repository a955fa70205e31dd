"""A market made from a seed: correlated paths, an arbitrage-free surface, quotes that trade."""

from mahler_pipelines.exchange.simulated.market import SimulatedMarket

__all__ = ["SimulatedMarket"]
