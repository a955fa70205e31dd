"""The simulated names: what each one is, how it moves, and how well its options trade."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class Sector(StrEnum):
    """Groups of names that move together."""

    STRINGS = "strings"
    WINDS = "winds"
    VOICES = "voices"
    FORMS = "forms"
    TEMPI = "tempi"
    BROAD = "broad"


class TickRule(Enum):
    """Smallest price increments of an option class: below 3 dollars, and from 3 dollars on."""

    PENNY = (0.01, 0.01)
    STANDARD = (0.01, 0.05)
    NICKEL = (0.05, 0.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlying:
    """One simulated name.

    Attributes:
        start_price: USD on the first session; prices are pulled weakly back towards it.
        volatility: Long-run annual volatility of ordinary sessions.
        beta: Loading on the market factor, relative to the name's own volatility.
        sector_weight: Loading on the sector factor, likewise.
        dividend_yield: Annual, paid quarterly; zero pays none.
        earnings_move: Standard deviation of the gap after a quarterly report; zero has none.
        premium: Implied over realised volatility, on average.
        skew: SSVI rho; curvature: SSVI eta, with eta (1 + |rho|) <= 2.
        share_volume: Typical shares a day.
        share_spread: Bid-ask spread of the shares, as a fraction of the price.
        option_interest: Open interest at the money in a monthly expiration, in contracts.
        spread_factor: Width of option spreads relative to a liquid name.
        weeklies: Whether weekly expirations are listed.
        phase: Where in the quarter, in sessions, the report falls.
    """

    ticker: str
    company: str
    sector: Sector
    start_price: float
    volatility: float
    beta: float
    sector_weight: float
    dividend_yield: float
    earnings_move: float
    premium: float
    skew: float
    curvature: float
    share_volume: float
    share_spread: float
    option_interest: float
    spread_factor: float
    ticks: TickRule
    weeklies: bool
    phase: int


@dataclass(frozen=True, slots=True)
class _Liquidity:
    share_volume: float
    share_spread: float
    option_interest: float
    spread_factor: float
    ticks: TickRule
    weeklies: bool


_FLAGSHIP = _Liquidity(48e6, 0.0001, 26_000, 0.6, TickRule.PENNY, weeklies=True)
_DEEP = _Liquidity(17e6, 0.0002, 12_000, 0.8, TickRule.STANDARD, weeklies=True)
_LIQUID = _Liquidity(6e6, 0.0003, 6_500, 1.0, TickRule.STANDARD, weeklies=True)
_FAIR = _Liquidity(2.6e6, 0.0006, 3_200, 1.4, TickRule.STANDARD, weeklies=True)
_THIN = _Liquidity(0.35e6, 0.0030, 110, 6.0, TickRule.NICKEL, weeklies=False)


def _name(
    ticker: str,
    company: str,
    sector: Sector,
    market: tuple[float, float, float, float],
    income: tuple[float, float],
    smile: tuple[float, float, float],
    liquidity: _Liquidity,
    phase: int,
) -> Underlying:
    start_price, volatility, beta, sector_weight = market
    dividend_yield, earnings_move = income
    premium, skew, curvature = smile
    return Underlying(
        ticker=ticker,
        company=company,
        sector=sector,
        start_price=start_price,
        volatility=volatility,
        beta=beta,
        sector_weight=sector_weight,
        dividend_yield=dividend_yield,
        earnings_move=earnings_move,
        premium=premium,
        skew=skew,
        curvature=curvature,
        share_volume=liquidity.share_volume,
        share_spread=liquidity.share_spread,
        option_interest=liquidity.option_interest,
        spread_factor=liquidity.spread_factor,
        ticks=liquidity.ticks,
        weeklies=liquidity.weeklies,
        phase=phase,
    )


_S = Sector
# market: price, volatility, market loading, sector loading · income: yield, report move
# smile: premium over realised, skew, curvature
UNIVERSE: tuple[Underlying, ...] = (
    _name("ADAG", "Adagio Utilities", _S.TEMPI, (74, 0.19, 0.55, 0.45), (0.034, 0.025),
          (1.10, -0.40, 0.75), _LIQUID, 9),
    _name("ALEG", "Allegro Semiconductors", _S.TEMPI, (182, 0.38, 0.65, 0.35), (0.0, 0.055),
          (1.08, -0.35, 0.70), _DEEP, 15),
    _name("ARIA", "Aria Streaming", _S.VOICES, (128, 0.36, 0.55, 0.40), (0.0, 0.065),
          (1.09, -0.30, 0.75), _DEEP, 12),
    _name("BASS", "Bass Industrial", _S.WINDS, (96, 0.24, 0.65, 0.40), (0.021, 0.035),
          (1.10, -0.42, 0.80), _LIQUID, 18),
    _name("BRIO", "Brio Motors", _S.TEMPI, (212, 0.46, 0.50, 0.30), (0.0, 0.070),
          (1.07, -0.22, 0.80), _DEEP, 20),
    _name("CELL", "Cello Pharma", _S.STRINGS, (88, 0.26, 0.45, 0.45), (0.024, 0.035),
          (1.11, -0.35, 0.80), _LIQUID, 24),
    _name("CODA", "Coda Bank", _S.FORMS, (58, 0.27, 0.70, 0.50), (0.027, 0.035),
          (1.10, -0.50, 0.75), _DEEP, 6),
    _name("FUGA", "Fuga Airlines", _S.FORMS, (46, 0.40, 0.60, 0.25), (0.0, 0.055),
          (1.08, -0.30, 0.70), _LIQUID, 7),
    _name("HARP", "Harp Insurance", _S.STRINGS, (148, 0.22, 0.60, 0.35), (0.018, 0.030),
          (1.12, -0.48, 0.80), _FAIR, 13),
    _name("LARGO", "Largo Shipping", _S.TEMPI, (39, 0.42, 0.45, 0.30), (0.032, 0.050),
          (1.07, -0.25, 0.70), _FAIR, 30),
    _name("LIED", "Lied Publishing", _S.VOICES, (67, 0.29, 0.50, 0.40), (0.015, 0.045),
          (1.10, -0.38, 0.75), _FAIR, 26),
    _name("LUTE", "Lute Minerals", _S.STRINGS, (12, 0.55, 0.35, 0.25), (0.0, 0.060),
          (1.05, -0.15, 0.65), _THIN, 33),
    _name("OBOE", "Oboe Software", _S.WINDS, (245, 0.30, 0.65, 0.40), (0.007, 0.045),
          (1.09, -0.42, 0.75), _DEEP, 17),
    _name("OPUS", "Opus Holdings", _S.FORMS, (680, 0.20, 0.65, 0.40), (0.0, 0.025),
          (1.11, -0.50, 0.80), _FAIR, 22),
    _name("RONDO", "Rondo Retail", _S.FORMS, (135, 0.23, 0.55, 0.35), (0.019, 0.045),
          (1.10, -0.40, 0.80), _LIQUID, 35),
    _name("SOLO", "Solo Therapeutics", _S.VOICES, (105, 0.52, 0.35, 0.30), (0.0, 0.080),
          (1.06, -0.18, 0.75), _LIQUID, 28),
    _name("TUBA", "Tuba Energy", _S.WINDS, (112, 0.29, 0.45, 0.50), (0.036, 0.030),
          (1.10, -0.40, 0.75), _DEEP, 19),
    _name("TUTTI", "Tutti Market Fund", _S.BROAD, (402, 0.16, 0.97, 0.0), (0.014, 0.0),
          (1.14, -0.62, 0.95), _FLAGSHIP, 0),
    _name("VIOL", "Viol Instruments", _S.STRINGS, (64, 0.34, 0.45, 0.30), (0.010, 0.050),
          (1.06, -0.28, 0.70), _THIN, 31),
    _name("VIVA", "Viva Payments", _S.VOICES, (275, 0.25, 0.68, 0.40), (0.008, 0.040),
          (1.10, -0.45, 0.80), _DEEP, 11),
)  # fmt: skip
"""Twenty names. LUTE starts below 20 dollars, OPUS above 500; LUTE and VIOL hardly trade."""

SECTORS: tuple[Sector, ...] = tuple(Sector)

NUMBER_OF: dict[str, int] = {name.ticker: number for number, name in enumerate(UNIVERSE)}
"""Ticker to its position in `UNIVERSE`."""
