"""Expirations: the last session in which a contract trades, and the moment on which it settles."""

from datetime import date, datetime

from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.contracts import OptionContract, SettlementKind, settlement_kind


def last_trading_session(contract: OptionContract, calendar: TradingCalendar) -> date:
    """Return the last session in which the contract can be closed.

    Roots that settle on the open stop trading the session before; an expiration that is no session
    (Saturdays before 2015) is settled by the one before it. Raises `UnknownSession` beyond the
    calendar.
    """
    settles = _settlement_session(contract, calendar)
    return calendar.previous(settles) if _settles_on_open(contract) else settles


def settlement_moment(contract: OptionContract, calendar: TradingCalendar) -> datetime:
    """Return when the price that it settles on is made: an open or a close, in UTC."""
    session = _settlement_session(contract, calendar)
    return calendar.open(session) if _settles_on_open(contract) else calendar.close(session)


def _settlement_session(contract: OptionContract, calendar: TradingCalendar) -> date:
    day = contract.expiration
    return day if calendar.is_session(day) else calendar.previous(day)


def _settles_on_open(contract: OptionContract) -> bool:
    return settlement_kind(contract.root) is SettlementKind.CASH_ON_OPEN
