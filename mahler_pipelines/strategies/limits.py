"""Limits of the screen. None switches a gate off."""

from dataclasses import dataclass
from enum import StrEnum

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.regimes import Regime


class NotAvailablePolicy(StrEnum):
    """What a gate does when the market gave it nothing to measure."""

    REFUSE = "refuse"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class ScreenLimits:
    """Limits of every screening gate; None switches the gate off.

    Volumes and open interest must lie above their minimum, spreads below their maximum (both
    strictly), the rank above its minimum (strictly). DTE, short delta and width are inclusive
    ranges; the mid credit must reach its minimum. Prices, widths and credits are USD per share,
    spreads are relative to the mid, delta is absolute, IV rank runs from 0 to 100. The probability
    that the underlying is in one of `regimes_refused` must lie below `regime_probability`; without
    such regimes the gate is off.
    """

    underlying_price_min: float | None = 20.0
    underlying_price_max: float | None = 500.0
    share_volume_min: float | None = 1_000_000.0
    share_volume_sessions: int = 20
    share_spread_max: float | None = 0.01
    iv_rank_min: float | None = 25.0
    regimes_refused: tuple[Regime, ...] = ()
    regime_probability: float = 0.5
    open_interest_min: float | None = 100.0
    option_volume_min: float | None = 50.0
    option_spread_max: float | None = 0.10
    dte_min: int | None = 25
    dte_max: int | None = 45
    short_delta_min: float | None = 0.20
    short_delta_max: float | None = 0.30
    width_min: float | None = 5.0
    width_max: float | None = 10.0
    credit_min: float | None = 0.30
    max_quote_age_seconds: float | None = 900.0
    share_volume_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    share_spread_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    iv_rank_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    regime_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    open_interest_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    option_volume_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE

    def __post_init__(self) -> None:
        if self.share_volume_sessions < 1:
            raise BadInput("share_volume_sessions", self.share_volume_sessions, "below one session")
        if set(self.regimes_refused) == set(Regime):
            raise BadInput("regimes_refused", self.regimes_refused, "would refuse everything")
        for name in ("underlying_price", "dte", "short_delta", "width"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and high is not None and low > high:
                raise BadInput(f"{name}_min", low, f"above {name}_max={high}")
