"""Named sets of settings. They stand above the defaults and below everything a person wrote."""

from collections.abc import Mapping
from enum import StrEnum


class Profile(StrEnum):
    """What is traded, and so which gates make sense."""

    EQUITIES = "equities"
    INDEX = "index"
    THIN_DATA = "thin-data"


PROFILES: Mapping[Profile, Mapping[str, object]] = {
    Profile.EQUITIES: {},
    # An index has no shares: no volume, no share spread, and a level far above any share's price.
    Profile.INDEX: {
        "screen.underlying_price_min": None,
        "screen.underlying_price_max": None,
        "screen.share_volume_min": None,
        "screen.share_spread_max": None,
        "screen.iv_rank_min": None,
        "screen.width_min": 5.0,
        "screen.width_max": 25.0,
        "exchange.equity": "500000",
    },
    # Archives and the indicative feed: no shares, little history, wide quotes.
    Profile.THIN_DATA: {
        "screen.share_volume_min": None,
        "screen.share_spread_max": None,
        "screen.iv_rank_min": None,
        "screen.option_spread_max": 0.60,
    },
}

PAPER_UNIVERSE = (
    "AAPL", "AMD", "AMZN", "BAC", "DIS", "EEM", "GLD", "GOOGL", "INTC", "IWM",
    "JPM", "KO", "NVDA", "PLTR", "TLT", "TSLA", "UBER", "WMT", "XLF", "XOM",
)  # fmt: skip
"""Liquid US names, used where a vendor lists far more than a desk wants to look at."""
