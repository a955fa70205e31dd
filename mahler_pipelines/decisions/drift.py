"""Whether the market still is what was approved."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.errors import BadInput
from mahler_pipelines.strategies.refusals import Refusal


class LapseCode(StrEnum):
    """Why an approved trade is not sent; the docs' table is made from this enum."""

    EXPIRED = "expired"
    UNDERLYING_MOVED = "underlying_moved"
    CREDIT_BELOW_FLOOR = "credit_below_floor"
    CREDIT_ABOVE_BAND = "credit_above_band"
    QUOTE_NOT_USABLE = "quote_not_usable"
    GATE_FAILED = "gate_failed"


def check(
    recommendation: Recommendation,
    *,
    now: datetime,
    underlying_price: Decimal | None,
    natural_credit: Decimal | None,
    terms: ApprovalTerms,
) -> tuple[Refusal, ...]:
    """Return every reason why the approval no longer covers the market; empty when it does.

    Prices are per share, None (or NaN) where no usable quote was seen, which lapses too. The
    natural credit has to be inside the band that was shown, floor to target: a spread that suddenly
    pays more is not the one shown.
    Raises `BadInput` for a time without zone.
    """
    if now.tzinfo is None:
        raise BadInput("now", now, "needs a time zone")
    found = (
        _expired(recommendation, now),
        _moved(recommendation, underlying_price, terms),
        _credit_left_band(recommendation, natural_credit),
    )
    return tuple(refusal for refusal in found if refusal is not None)


def credit_ceiling(recommendation: Recommendation) -> Decimal:
    """Highest natural credit per share that the approval covers: the target that was shown.

    Where the tick has put the target below the natural credit shown beside it, that natural credit
    counts, so that a quote which has not changed never lapses.
    """
    return max(recommendation.target_credit, recommendation.natural_credit)


def _expired(recommendation: Recommendation, now: datetime) -> Refusal | None:
    if now < recommendation.expires_at:
        return None
    return _lapse(
        recommendation, LapseCode.EXPIRED, now.isoformat(), recommendation.expires_at.isoformat()
    )


def _moved(
    recommendation: Recommendation, price: Decimal | None, terms: ApprovalTerms
) -> Refusal | None:
    if price is None or not price.is_finite() or price <= 0:
        return _lapse(recommendation, LapseCode.QUOTE_NOT_USABLE, None, "underlying price")
    shown = recommendation.underlying_price
    move = abs(price - shown) / shown
    if move <= terms.underlying_drift:
        return None
    return _lapse(
        recommendation, LapseCode.UNDERLYING_MOVED, float(move), float(terms.underlying_drift)
    )


def _credit_left_band(recommendation: Recommendation, credit: Decimal | None) -> Refusal | None:
    if credit is None or not credit.is_finite():
        return _lapse(recommendation, LapseCode.QUOTE_NOT_USABLE, None, "natural credit")
    floor, ceiling = recommendation.floor_credit, credit_ceiling(recommendation)
    if credit < floor:
        return _lapse(recommendation, LapseCode.CREDIT_BELOW_FLOOR, float(credit), float(floor))
    if credit > ceiling:
        return _lapse(recommendation, LapseCode.CREDIT_ABOVE_BAND, float(credit), float(ceiling))
    return None


def _lapse(
    recommendation: Recommendation,
    code: LapseCode,
    value: float | str | None,
    limit: float | str | None,
) -> Refusal:
    return Refusal(code, value, limit, {"recommendation": recommendation.id})
