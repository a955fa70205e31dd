"""What the broker may do with open trades by itself: their last day, and early assignment.

A look tells once what it finds: a message per trade, session and forecast, and per trade, ex-date
and level of an early assignment. What stands at a look stays with the trade's mark.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median

import numpy as np

from mahler_pipelines.errors import MahlerError, MalformedSymbol
from mahler_pipelines.execution.broker import BrokerPosition
from mahler_pipelines.execution.desk import ExecutionDesk, Observation, session_of
from mahler_pipelines.execution.exits import is_last_day, last_close
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.messages import MessageKind
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.market.dividends import known_dividends
from mahler_pipelines.market.expirations import last_trading_session, settlement_moment
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options import european
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    OptionContract,
    exercise_style,
    parse_occ,
)
from mahler_pipelines.options.structures import Side
from mahler_pipelines.risk.early_assignment import (
    AssignmentWarning,
    ShortLeg,
    assignment_warning,
)
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.expiry_day import (
    ExpiringHolding,
    ExpiryOutcome,
    HoldingForecast,
    UnderlyingState,
    forecast,
    probability_between,
)

_log = logging.getLogger(__name__)

_YEAR_SECONDS = 365.0 * 86_400.0


@dataclass(frozen=True, slots=True)
class TradeForecast:
    """What would become of a trade's legs on its last day, as the account holds them.

    `probability_between` is that of a settle between the trade's strikes: one leg is then left
    without the other.
    """

    trade: Trade
    underlying_price: Decimal | None
    legs: tuple[HoldingForecast, ...]
    probability_between: float | None

    def __str__(self) -> str:
        """In a line: each leg's outcome, and the odds of being torn apart."""
        parts = [_leg_text(leg) for leg in self.legs] or ["not held"]
        if self.probability_between is not None:
            parts.append(f"between the strikes {self.probability_between:.0%}")
        return f"last day: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class TradeWarning:
    """A short leg of a trade that may be assigned early."""

    trade: Trade
    warning: AssignmentWarning

    def __str__(self) -> str:
        """In a line: level, leg, and gain against time value."""
        found = self.warning
        why = f"ex {found.dividend.ex_date}" if found.dividend else "interest"
        left = "unknown" if found.time_value is None else f"{found.time_value:f}"
        return (
            f"early assignment {found.level}: {found.contract.symbol} "
            f"({why} {found.gain:f}, time value {left})"
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one look expects of the broker; `problem` is what it could not find out."""

    forecasts: tuple[TradeForecast, ...] = ()
    warnings: tuple[TradeWarning, ...] = ()
    problem: str = ""

    def of(self, trade_id: str) -> str:
        """Everything said of one trade."""
        said = [str(one) for one in self.forecasts if one.trade.id == trade_id]
        said += [str(one) for one in self.warnings if one.trade.id == trade_id]
        return "; ".join(said)

    @property
    def to_avoid(self) -> tuple[Trade, ...]:
        """Trades that are worth closing before a leg is assigned, each once.

        For a dividend, which a short call would owe, once it is possible; for interest, which costs
        the writer of a put nothing but the carry, once it is likely.
        """
        found = {one.trade.id: one.trade for one in self.warnings if one.warning.is_worth_avoiding}
        return tuple(found.values())


def look_ahead(desk: ExecutionDesk, trades: Sequence[Trade], seen: Observation) -> Outlook:
    """Forecast the last day of trades that have come to it, and warn of early assignment.

    Never stops a look: what the broker or the market does not answer is named in `problem`.
    """
    forecasts: tuple[TradeForecast, ...] = ()
    warnings: tuple[TradeWarning, ...] = ()
    problems = []
    try:
        forecasts = expiry_forecasts(desk, trades, seen)
    except MahlerError as error:
        problems.append(f"no forecast of the last day: {error}")
    try:
        warnings = assignment_warnings(desk, trades, seen)
    except MahlerError as error:
        problems.append(f"no dividends: {error}")
    for problem in problems:
        _log.warning("%s", problem)
    return Outlook(forecasts, warnings, "; ".join(problems))


def expiry_forecasts(
    desk: ExecutionDesk, trades: Sequence[Trade], seen: Observation
) -> tuple[TradeForecast, ...]:
    """Forecast every trade in its last session from all that the account holds on its last day.

    Raises `BrokerUnavailable` when positions or account cannot be read; nothing is asked on other
    days.
    """
    due = [trade for trade in trades if is_last_day(trade.structure, seen.as_of)]
    if not due:
        return ()
    positions, power = desk.broker.positions(), desk.broker.account().options_buying_power
    holdings = _expiring(positions, seen.as_of)
    states = {
        name: UnderlyingState(
            seen.underlying_prices.get(name),
            sum(held.quantity for held in positions if held.symbol == name),
            _volatility(name, due, seen),
        )
        for name in {held.contract.underlying for held in holdings}
    }
    found = forecast(holdings, states, buying_power=power)
    return tuple(_trade_forecast(trade, found, states, seen) for trade in due)


def assignment_warnings(
    desk: ExecutionDesk, trades: Sequence[Trade], seen: Observation
) -> tuple[TradeWarning, ...]:
    """Warn of every short leg that its holder may exercise early.

    Raises `BrokerUnavailable` when dividends are not known yet and not answered.
    """
    shorts = [
        (trade, leg.contract)
        for trade in trades
        for leg in trade.structure.legs
        if leg.side is Side.SELL and exercise_style(leg.contract.root) is ExerciseStyle.AMERICAN
    ]
    if not shorts:
        return ()
    session, calendar = session_of(seen.as_of), TradingCalendar()
    horizon = max((contract.expiration - session).days for _, contract in shorts)
    dividends = known_dividends(
        desk.lake,
        desk.market_data,
        sorted({contract.underlying for _, contract in shorts}),
        session=session,
        days=max(horizon, desk.terms.dividend_days),
    )
    quoted = seen.bid_asks(contract.symbol for _, contract in shorts)
    found = []
    for trade, contract in shorts:
        quote = quoted[contract.symbol]
        warning = assignment_warning(
            ShortLeg(
                contract, quote.bid, quote.ask, seen.underlying_prices.get(contract.underlying)
            ),
            dividends[contract.underlying],
            as_of=seen.as_of,
            rate=desk.terms.risk_free_rate,
            calendar=calendar,
        )
        if warning is not None:
            found.append(TradeWarning(trade, warning))
    return tuple(found)


def announce(ledger: ExecutionLedger, outlook: Outlook, terms: ExitTerms, *, at: datetime) -> None:
    """Tell what has not been told: each forecast of a session, each level of an assignment."""
    for found in outlook.forecasts:
        _announce_forecast(ledger, found, terms, at=at)
    for one in outlook.warnings:
        _announce_warning(ledger, one, at=at)


def _announce_forecast(
    ledger: ExecutionLedger, found: TradeForecast, terms: ExitTerms, *, at: datetime
) -> None:
    trade = found.trade
    cutoff = terms.expiry_cutoff(last_close(trade.structure))
    outcomes = "|".join(
        f"{leg.holding.contract.symbol} {leg.holding.quantity} {leg.outcome} {leg.shortage}"
        for leg in found.legs
    )
    digest = hashlib.sha256(outcomes.encode()).hexdigest()[:12]
    ledger.enqueue(
        kind=MessageKind.EXPIRY_FORECAST,
        subject=trade.id,
        payload={
            "underlying": trade.structure.underlying,
            "strategy": trade.structure.strategy,
            "contracts": trade.contracts,
            "underlying_price": _text(found.underlying_price),
            "probability_between": found.probability_between,
            "cutoff": cutoff.isoformat() if cutoff else None,
            "legs": [_leg_payload(leg) for leg in found.legs],
        },
        key=f"{MessageKind.EXPIRY_FORECAST}:{trade.id}:{session_of(at)}:{digest}",
        at=at,
    )


def _announce_warning(ledger: ExecutionLedger, one: TradeWarning, *, at: datetime) -> None:
    trade, found = one.trade, one.warning
    ex_date = str(found.dividend.ex_date) if found.dividend else None
    ledger.enqueue(
        kind=MessageKind.EARLY_ASSIGNMENT_WARNING,
        subject=trade.id,
        payload={
            "underlying": trade.structure.underlying,
            "strategy": trade.structure.strategy,
            "contracts": trade.contracts,
            "symbol": found.contract.symbol,
            "level": found.level.value,
            "cause": found.cause.value,
            "ex_date": ex_date,
            "gain": str(found.gain),
            "time_value": _text(found.time_value),
        },
        key=(
            f"{MessageKind.EARLY_ASSIGNMENT_WARNING}:{trade.id}:{found.contract.symbol}:"
            f"{ex_date or found.cause}:{found.level}"
        ),
        at=at,
    )


def _expiring(positions: Sequence[BrokerPosition], at: datetime) -> list[ExpiringHolding]:
    """Options held whose last session is that of this moment."""
    calendar, session = TradingCalendar(), session_of(at)
    found = []
    for held in positions:
        contract = _contract(held)
        if contract is None or last_trading_session(contract, calendar) != session:
            continue
        years = (settlement_moment(contract, calendar) - at).total_seconds() / _YEAR_SECONDS
        found.append(ExpiringHolding(contract, held.quantity, max(years, 0.0)))
    return found


def _contract(held: BrokerPosition) -> OptionContract | None:
    try:
        return parse_occ(held.symbol) if held.is_option and held.quantity else None
    except MalformedSymbol:
        # An adjusted or foreign contract is a finding of reconciliation; it is not ours to settle.
        return None


def _trade_forecast(
    trade: Trade,
    found: Sequence[HoldingForecast],
    states: dict[str, UnderlyingState],
    seen: Observation,
) -> TradeForecast:
    by_symbol = {one.holding.contract.symbol: one for one in found}
    legs = tuple(by_symbol[symbol] for symbol in trade.structure.symbols if symbol in by_symbol)
    name = trade.structure.underlying
    strikes = [leg.contract.strike for leg in trade.structure.legs]
    between = None
    if legs and name in states:
        years = min(leg.holding.years for leg in legs)
        between = probability_between(min(strikes), max(strikes), states[name], years=years)
    return TradeForecast(trade, seen.underlying_prices.get(name), legs, between)


def _volatility(underlying: str, trades: Sequence[Trade], seen: Observation) -> float | None:
    """Median volatility that the quotes of these trades' legs imply until they settle."""
    price = seen.underlying_prices.get(underlying)
    contracts = {
        leg.contract
        for trade in trades
        for leg in trade.structure.legs
        if leg.contract.underlying == underlying
    }
    if price is None or not contracts:
        return None
    calendar = TradingCalendar()
    quotes = seen.bid_asks(contract.symbol for contract in contracts)
    found = []
    for contract in sorted(contracts):
        quote = quotes[contract.symbol]
        if quote.bid is None or quote.ask is None or not 0 <= quote.bid <= quote.ask:
            continue
        left = (settlement_moment(contract, calendar) - seen.as_of).total_seconds()
        volatility = european.implied_volatility(
            right=int(contract.right),
            price=float(quote.bid + quote.ask) / 2,
            spot=float(price),
            strike=float(contract.strike),
            years=left / _YEAR_SECONDS,
            rate=0.0,
            dividend_yield=0.0,
        )
        found.append(float(volatility))
    usable = [one for one in found if np.isfinite(one)]
    return median(usable) if usable else None


def _leg_text(leg: HoldingForecast) -> str:
    short = f" for want of {leg.shortage}" if leg.shortage else ""
    odds = leg.probability_in_the_money
    chance = "" if odds is None or leg.outcome is ExpiryOutcome.UNKNOWN else f" (ITM {odds:.0%})"
    return f"{leg.holding.contract.symbol} {leg.outcome}{short}{chance}"


def _leg_payload(leg: HoldingForecast) -> dict[str, object]:
    return {
        "symbol": leg.holding.contract.symbol,
        "quantity": leg.holding.quantity,
        "outcome": leg.outcome.value,
        "shortage": leg.shortage.value if leg.shortage else None,
        "intrinsic": _text(leg.intrinsic),
        "probability_in_the_money": leg.probability_in_the_money,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
