"""A market made from a seed: correlated paths, an arbitrage-free surface, quotes that trade."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mahler_pipelines.exchange.simulated.market import SimulatedMarket

__all__ = ["SimulatedMarket"]


def __getattr__(name: str) -> Any:
    """Import the market when it is asked for: its names alone are there without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from mahler_pipelines.exchange.simulated.market import SimulatedMarket

    return SimulatedMarket
