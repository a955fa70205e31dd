"""Order bodies as clients send them, and sending one straight to the exchange."""

from typing import Any

from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.orders import Order
from mahler_pipelines.exchange.tickets import read_ticket


def leg(symbol: str, side: str, intent: str, ratio: int = 1) -> dict[str, Any]:
    """One leg of a multi-leg order."""
    return {
        "symbol": symbol,
        "ratio_qty": str(ratio),
        "side": side,
        "position_intent": f"{side}_to_{intent}",
    }


def spread(
    legs: list[dict[str, Any]], limit: str | None, *, qty: int = 1, **more: Any
) -> dict[str, Any]:
    """A multi-leg day order; without a limit a market order."""
    price = {"type": "market"} if limit is None else {"type": "limit", "limit_price": limit}
    body = {"order_class": "mleg", "qty": str(qty), "time_in_force": "day", "legs": legs}
    return body | price | more


def single(
    symbol: str, side: str, limit: str | None, *, qty: int = 1, **more: Any
) -> dict[str, Any]:
    """A single-leg day order; without a limit a market order."""
    price = {"type": "market"} if limit is None else {"type": "limit", "limit_price": limit}
    return {"symbol": symbol, "side": side, "qty": str(qty), "time_in_force": "day"} | price | more


def send(exchange: Exchange, body: dict[str, Any], account: str = "main") -> Order:
    """Send an order, try it once, and return it as it then stands."""
    order = exchange.trading.submit(account, read_ticket(body))
    return exchange.trading.attempt(order)
