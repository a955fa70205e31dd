"""Early assignment: which short legs their holders may exercise before expiration, and why.

A call is exercised early for a dividend, in the last session before its ex-date: what the holder
gives up is the option's time value, what he gets is the dividend (S. Natenberg, Option Volatility
and Pricing, 2nd ed., chapter 16; J. Hull, Options, Futures and Other Derivatives, 10th ed., section
15.12). A put is exercised early for the interest on its strike, less the dividends that its share
still pays. Time value below that gain is the plain rule and makes an assignment `possible`. It is
`likely` where exercise is also the best use by `options.american`, at today's price and the
volatility of the leg's own mid: a call worth less on the share gone ex than exercised before it, a
put beyond its exercise boundary. European roots are never exercised early.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.market.dividends import CashDividend
from mahler_pipelines.market.expirations import last_trading_session, settlement_moment
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options import american
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    OptionContract,
    Right,
    exercise_style,
)

SESSIONS_AHEAD = 2
"""Sessions before an ex-date from which a short call is warned of."""

_YEAR_SECONDS = 365.0 * 86_400.0


class AssignmentLevel(StrEnum):
    """How near an early assignment is; `unknown` in the money without a quote to read it from."""

    UNKNOWN = "unknown"
    POSSIBLE = "possible"
    LIKELY = "likely"


class AssignmentCause(StrEnum):
    """What the holder gains by exercising early."""

    DIVIDEND = "dividend"
    INTEREST = "interest"


@dataclass(frozen=True, slots=True)
class ShortLeg:
    """A sold contract and what was seen of it; prices per share, None where nothing was."""

    contract: OptionContract
    bid: Decimal | None
    ask: Decimal | None
    underlying_price: Decimal | None

    @property
    def mid(self) -> Decimal | None:
        """Middle of a whole quote."""
        if self.bid is None or self.ask is None or not 0 <= self.bid <= self.ask or not self.ask:
            return None
        return (self.bid + self.ask) / 2

    @property
    def intrinsic(self) -> Decimal:
        """What exercise is worth per share; zero without a price of the underlying."""
        if self.underlying_price is None:
            return Decimal(0)
        return max(self.contract.right * (self.underlying_price - self.contract.strike), Decimal(0))

    @property
    def time_value(self) -> Decimal | None:
        """What the holder gives up by exercising, per share at mid."""
        return None if self.mid is None else self.mid - self.intrinsic


@dataclass(frozen=True, slots=True)
class AssignmentWarning:
    """A short leg that may be assigned early: `gain` per share against its `time_value`."""

    contract: OptionContract
    level: AssignmentLevel
    cause: AssignmentCause
    gain: Decimal
    time_value: Decimal | None
    dividend: CashDividend | None = None

    @property
    def is_worth_avoiding(self) -> bool:
        """Whether a desk that closes for early assignment closes for this one."""
        if self.cause is AssignmentCause.DIVIDEND:
            return self.level is not AssignmentLevel.UNKNOWN
        return self.level is AssignmentLevel.LIKELY


def assignment_warning(
    leg: ShortLeg,
    dividends: Sequence[CashDividend],
    *,
    as_of: datetime,
    rate: float,
    calendar: TradingCalendar,
) -> AssignmentWarning | None:
    """Return the warning of one short leg, or None where its holder has no reason to exercise.

    `dividends` are those of the underlying, by ex-date. Calls are warned of from `SESSIONS_AHEAD`
    sessions before an ex-date that the contract lives to see, puts at any time.
    """
    contract = leg.contract
    if exercise_style(contract.root) is not ExerciseStyle.AMERICAN or leg.intrinsic <= 0:
        return None
    today = as_of.astimezone(NEW_YORK).date()
    if today >= last_trading_session(contract, calendar):
        return None
    ahead = sorted(paid for paid in dividends if today < paid.ex_date <= contract.expiration)
    if contract.right is Right.PUT:
        return _put_warning(leg, ahead, as_of=as_of, rate=rate, calendar=calendar)
    if not ahead or _sessions_to(ahead[0], today, calendar) > SESSIONS_AHEAD:
        return None
    level = _level(leg, ahead[0].amount)
    if level is AssignmentLevel.POSSIBLE and _call_is_exercised(
        leg, ahead, as_of=as_of, rate=rate, calendar=calendar
    ):
        level = AssignmentLevel.LIKELY
    if level is None:
        return None
    return AssignmentWarning(
        contract, level, AssignmentCause.DIVIDEND, ahead[0].amount, leg.time_value, ahead[0]
    )


def _put_warning(
    leg: ShortLeg,
    ahead: Sequence[CashDividend],
    *,
    as_of: datetime,
    rate: float,
    calendar: TradingCalendar,
) -> AssignmentWarning | None:
    years = _years(as_of, settlement_moment(leg.contract, calendar))
    interest = Decimal(str(round(float(leg.contract.strike) * -math.expm1(-rate * years), 4)))
    gain = interest - sum((paid.amount for paid in ahead), Decimal(0))
    level = _level(leg, gain) if gain > 0 else None
    if level is AssignmentLevel.POSSIBLE:
        schedule = _schedule(ahead, as_of, calendar)
        if _put_is_exercised(leg, years=years, schedule=schedule, rate=rate):
            level = AssignmentLevel.LIKELY
    if level is None:
        return None
    return AssignmentWarning(leg.contract, level, AssignmentCause.INTEREST, gain, leg.time_value)


def _level(leg: ShortLeg, gain: Decimal) -> AssignmentLevel | None:
    """The plain rule: time value at mid below what early exercise gains."""
    if leg.time_value is None:
        return AssignmentLevel.UNKNOWN
    return AssignmentLevel.POSSIBLE if leg.time_value < gain else None


def _call_is_exercised(
    leg: ShortLeg,
    ahead: Sequence[CashDividend],
    *,
    as_of: datetime,
    rate: float,
    calendar: TradingCalendar,
) -> bool:
    """Whether exercise before the next ex-date brings more than keeping the call through it.

    At today's price: intrinsic value against the price of the call on the share that has gone ex.
    """
    schedule = _schedule(ahead, as_of, calendar)
    years = _years(as_of, settlement_moment(leg.contract, calendar))
    volatility = _volatility(leg, years=years, schedule=schedule, rate=rate)
    (wait, amount), *later = schedule
    spot = float(leg.underlying_price or 0) - amount
    if volatility is None or spot <= 0:
        return False
    kept = american.price(
        right=int(leg.contract.right),
        spot=spot,
        strike=float(leg.contract.strike),
        years=max(years - wait, 0.0),
        rate=rate,
        dividend_yield=0.0,
        volatility=volatility,
        dividends=[(ahead_years - wait, paid) for ahead_years, paid in later],
    )
    return float(leg.intrinsic) > float(kept)


def _put_is_exercised(
    leg: ShortLeg, *, years: float, schedule: Sequence[tuple[float, float]], rate: float
) -> bool:
    """Whether exercise now is best."""
    volatility = _volatility(leg, years=years, schedule=schedule, rate=rate)
    if volatility is None:
        return False
    boundary = american.exercise_boundary(
        right=int(leg.contract.right),
        strike=float(leg.contract.strike),
        years=years,
        rate=rate,
        dividend_yield=0.0,
        volatility=volatility,
        dividends=schedule,
    )
    return float(leg.underlying_price or 0) <= float(boundary)


def _volatility(
    leg: ShortLeg, *, years: float, schedule: Sequence[tuple[float, float]], rate: float
) -> float | None:
    """Volatility of the mid; zero at or below parity, where nothing is left to give up."""
    found, reason = american.implied_volatility(
        right=int(leg.contract.right),
        price=float(leg.mid or 0),
        spot=float(leg.underlying_price or 0),
        strike=float(leg.contract.strike),
        years=years,
        rate=rate,
        dividend_yield=0.0,
        dividends=schedule,
        with_reason=True,
    )
    if int(reason) == american.NoVolatility.BELOW_INTRINSIC:
        return 0.0
    return float(found) if math.isfinite(float(found)) else None


def _sessions_to(paid: CashDividend, today: date, calendar: TradingCalendar) -> int:
    """Sessions from today, left out, to the ex-date: 1 in the last one before it."""
    return len(calendar.sessions(today + timedelta(days=1), _session(paid, calendar)))


def _schedule(
    dividends: Sequence[CashDividend], as_of: datetime, calendar: TradingCalendar
) -> list[tuple[float, float]]:
    """Years to each ex-date's open, and dollars per share."""
    return [
        (_years(as_of, calendar.open(_session(paid, calendar))), float(paid.amount))
        for paid in dividends
    ]


def _session(paid: CashDividend, calendar: TradingCalendar) -> date:
    return paid.ex_date if calendar.is_session(paid.ex_date) else calendar.next(paid.ex_date)


def _years(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0) / _YEAR_SECONDS
