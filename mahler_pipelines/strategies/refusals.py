"""Refusals: a value with a code, the number that was measured, and the limit it broke."""

from dataclasses import dataclass, field
from enum import StrEnum


class RefusalLevel(StrEnum):
    """What was refused."""

    UNDERLYING = "underlying"
    EXPIRATION = "expiration"
    LEG = "leg"
    PAIR = "pair"


class RefusalCode(StrEnum):
    """Why the screen refused something; the docs' table is made from this enum."""

    CHAIN_EMPTY = "chain_empty"
    UNDERLYING_PRICE_MISSING = "underlying_price_missing"
    UNDERLYING_PRICE_OUT_OF_RANGE = "underlying_price_out_of_range"
    SHARE_VOLUME_TOO_LOW = "share_volume_too_low"
    SHARE_VOLUME_NOT_AVAILABLE = "share_volume_not_available"
    SHARE_SPREAD_TOO_WIDE = "share_spread_too_wide"
    SHARE_SPREAD_NOT_AVAILABLE = "share_spread_not_available"
    IV_RANK_TOO_LOW = "iv_rank_too_low"
    IV_RANK_NOT_AVAILABLE = "iv_rank_not_available"
    REGIME_REFUSED = "regime_refused"
    REGIME_NOT_AVAILABLE = "regime_not_available"
    DTE_OUT_OF_RANGE = "dte_out_of_range"
    QUOTE_MISSING = "quote_missing"
    QUOTE_NEGATIVE = "quote_negative"
    QUOTE_ZERO_BID = "quote_zero_bid"
    QUOTE_ONE_SIDED = "quote_one_sided"
    QUOTE_CROSSED = "quote_crossed"
    QUOTE_LOCKED = "quote_locked"
    QUOTE_STALE = "quote_stale"
    OPEN_INTEREST_TOO_LOW = "open_interest_too_low"
    OPEN_INTEREST_NOT_AVAILABLE = "open_interest_not_available"
    OPTION_VOLUME_TOO_LOW = "option_volume_too_low"
    OPTION_VOLUME_NOT_AVAILABLE = "option_volume_not_available"
    OPTION_SPREAD_TOO_WIDE = "option_spread_too_wide"
    DELTA_NOT_AVAILABLE = "delta_not_available"
    SHORT_DELTA_OUT_OF_RANGE = "short_delta_out_of_range"
    WIDTH_OUT_OF_RANGE = "width_out_of_range"
    CREDIT_TOO_LOW = "credit_too_low"
    CREDIT_EXCEEDS_WIDTH = "credit_exceeds_width"
    NATURAL_CREDIT_NOT_POSITIVE = "natural_credit_not_positive"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: code, the value that was measured and the limit it broke."""

    code: StrEnum
    value: float | str | None = None
    limit: float | str | None = None
    context: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        pairs = " ".join(f"{key}={value}" for key, value in self.context.items())
        return f"{self.code} value={self.value} limit={self.limit} {pairs}".rstrip()
