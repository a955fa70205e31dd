"""Orders, positions and accounts as Alpaca writes them: numbers as text, absences as null."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from mahler_pipelines.exchange.accounts import (
    APPROVED_OPTIONS_LEVEL,
    Account,
    Configuration,
    Figures,
    Position,
)
from mahler_pipelines.exchange.instruments import asset_id, cash_value, option_contract
from mahler_pipelines.exchange.orders import Order, OrderLeg, WireStatus
from mahler_pipelines.exchange.wire.format import number, utc_stamp

_RATIO_PLACES = Decimal("0.000001")


def order_json(order: Order, *, nested: bool = True) -> dict[str, Any]:
    """Write an order; a multi-leg one carries its legs, and empty text for what legs have."""
    base = {
        **_lifetime(order),
        "id": order.id,
        "client_order_id": order.client_order_id,
        "replaces": order.replaces,
        "replaced_by": order.replaced_by,
        "qty": str(order.quantity),
        "filled_qty": str(order.filled_quantity),
        "filled_avg_price": _price(order.average_price),
        "order_class": "mleg" if order.multileg else "simple",
        "order_type": order.kind.value,
        "type": order.kind.value,
        "limit_price": _price(order.limit_price),
    }
    if order.multileg:
        legs = [leg_json(order, leg) for leg in order.legs] if nested else None
        return {**base, "asset_id": "", "symbol": "", "asset_class": "", "side": "", "legs": legs}
    leg = order.legs[0].terms
    return {
        **base,
        "asset_id": asset_id(leg.symbol),
        "symbol": leg.symbol,
        "asset_class": _asset_class(leg.symbol),
        "side": leg.side.value,
        "position_intent": leg.intent.value,
        "legs": None,
    }


def leg_json(order: Order, leg: OrderLeg) -> dict[str, Any]:
    """Write one leg of a multi-leg order: an order of its own id, with empty types."""
    terms = leg.terms
    return {
        **_lifetime(order),
        "id": leg.id,
        "client_order_id": leg.client_order_id,
        "replaces": None,
        "replaced_by": None,
        "asset_id": asset_id(terms.symbol),
        "symbol": terms.symbol,
        "asset_class": _asset_class(terms.symbol),
        "qty": str(order.quantity * terms.ratio),
        "ratio_qty": str(terms.ratio),
        "filled_qty": str(leg.filled_quantity),
        "filled_avg_price": _price(leg.average_price),
        "order_class": "mleg",
        "order_type": "",
        "type": "",
        "side": terms.side.value,
        "position_intent": terms.intent.value,
        "limit_price": None,
        "legs": None,
    }


def position_json(position: Position, *, held: int) -> dict[str, Any]:
    """Write a position; the sign of a short is in `qty`, `side` and `market_value`."""
    basis = position.cost_basis
    before = cash_value(position.symbol, position.previous_mark, position.quantity)
    gain = position.market_value - basis
    today = position.market_value - before
    return {
        "asset_id": asset_id(position.symbol),
        "symbol": position.symbol,
        "exchange": "" if position.is_option else "NYSE",
        "asset_class": _asset_class(position.symbol),
        "asset_marginable": not position.is_option,
        "qty": str(position.quantity),
        "qty_available": str(abs(position.quantity) - held),
        "avg_entry_price": number(position.average_price),
        "side": "long" if position.quantity > 0 else "short",
        "market_value": number(position.market_value),
        "cost_basis": number(basis),
        "unrealized_pl": number(gain),
        "unrealized_plpc": _ratio(gain, basis),
        "unrealized_intraday_pl": number(today),
        "unrealized_intraday_plpc": _ratio(today, before),
        "current_price": number(position.mark),
        "lastday_price": number(position.previous_mark),
        "change_today": _ratio(position.mark - position.previous_mark, position.previous_mark),
    }


def account_json(account: Account, figures: Figures) -> dict[str, Any]:
    """Write an account. A cash-like account: buying power is what is free for options."""
    power = number(figures.options_buying_power)
    return {
        "id": account.id,
        "account_number": f"PA{account.id[:8].upper()}",
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": number(figures.cash),
        "equity": number(figures.equity),
        "portfolio_value": number(figures.equity),
        "last_equity": number(account.last_equity),
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": power,
        "options_approved_level": APPROVED_OPTIONS_LEVEL,
        "options_trading_level": account.configuration.options_level,
        "long_market_value": number(figures.long_value),
        "short_market_value": number(figures.short_value),
        "initial_margin": number(figures.margin),
        "maintenance_margin": number(figures.margin),
        "last_maintenance_margin": number(figures.margin),
        "multiplier": "1",
        "sma": "0",
        "accrued_fees": "0",
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": account.configuration.suspend_trade,
        "shorting_enabled": not account.configuration.no_shorting,
        "created_at": utc_stamp(account.created_at),
    }


def configuration_json(configuration: Configuration) -> dict[str, Any]:
    """Write an account's configuration; what this exchange ignores has Alpaca's defaults."""
    return {
        "max_options_trading_level": configuration.max_options_trading_level,
        "suspend_trade": configuration.suspend_trade,
        "no_shorting": configuration.no_shorting,
        "fractional_trading": True,
        "max_margin_multiplier": "4",
        "trade_confirm_email": "all",
        "ptp_no_exception_entry": False,
        "disable_overnight_trading": False,
    }


def _lifetime(order: Order) -> dict[str, Any]:
    return {
        "created_at": utc_stamp(order.created_at),
        "submitted_at": utc_stamp(order.created_at),
        "updated_at": utc_stamp(order.updated_at),
        "filled_at": _stamp(order.filled_at),
        "expired_at": _stamp(order.expired_at),
        "expires_at": utc_stamp(order.expires_at),
        "canceled_at": _stamp(order.canceled_at),
        "replaced_at": _stamp(order.replaced_at),
        "failed_at": _stamp(order.updated_at if order.status is WireStatus.REJECTED else None),
        "status": WireStatus(order.status).value,
        "time_in_force": order.time_in_force.value,
        "notional": None,
        "stop_price": _price(order.stop_price),
        "trail_price": None,
        "trail_percent": None,
        "hwm": None,
        "extended_hours": False,
        "source": None,
        "subtag": None,
    }


def _asset_class(symbol: str) -> str:
    return "us_option" if option_contract(symbol) is not None else "us_equity"


def _price(value: Decimal | None) -> str | None:
    return None if value is None else number(value.quantize(_RATIO_PLACES))


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else utc_stamp(moment)


def _ratio(part: Decimal, whole: Decimal) -> str:
    return number((part / abs(whole)).quantize(_RATIO_PLACES)) if whole else "0"
