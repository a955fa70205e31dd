"""Facts of a candidate: the only numbers an analyst is given, and may use."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mahler_pipelines.options.european import DAYS_PER_YEAR

Candidate = Mapping[str, Any]
"""One row of the ranked candidates, by column name."""

Fact = str | int | float | None

RIVAL_FACTS = (
    *("strategy", "root", "dte", "short_strike", "long_strike", "credit_mid"),
    *("probability_of_profit_percent", "return_on_risk_percent", "score"),
)
"""What is told of a rival."""


def facts_of(
    candidate: Candidate,
    *,
    rivals: Sequence[Candidate] = (),
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the facts of a candidate: JSON values, None where nothing is known.

    Prices are USD per share of one spread, greeks of the whole position, `_percent` values are
    percentages. `context` adds what is known of the underlying (`volatility_facts`). `rivals` are
    the candidates that were ranked beside it.
    """
    facts: dict[str, Any] = {**_terms(candidate), **_odds(candidate), **_market(candidate)}
    facts.update({name: _plain(value) for name, value in (context or {}).items()})
    facts["rivals"] = [_rival(rival) for rival in rivals]
    return facts


def number(value: Any, decimals: int) -> float | None:
    """Return a rounded float, None for what is absent or not finite."""
    if value is None:
        return None
    found = float(value)
    return round(found, decimals) if math.isfinite(found) else None


def percent(value: Any, decimals: int = 2) -> float | None:
    """Return a fraction as a rounded percentage, None for what is absent or not finite."""
    return None if value is None else number(float(value) * 100, decimals)


def net(candidate: Candidate, greek: str) -> float:
    """Return a greek of the position per share: the long leg's less the short leg's."""
    return float(candidate[f"long_{greek}"]) - float(candidate[f"short_{greek}"])


def _terms(candidate: Candidate) -> dict[str, Fact]:
    credit, width = float(candidate["credit_mid"]), float(candidate["width"])
    return {
        "strategy": str(candidate["strategy"]),
        "underlying": str(candidate["underlying"]),
        "root": str(candidate["root"]),
        "expiration": f"{candidate['expiration']:%Y-%m-%d}",
        "dte": int(candidate["dte"]),
        "short_symbol": str(candidate["short_symbol"]),
        "long_symbol": str(candidate["long_symbol"]),
        "short_strike": number(candidate["short_strike"], 3),
        "long_strike": number(candidate["long_strike"], 3),
        "width": number(width, 3),
        "credit_mid": number(credit, 4),
        "credit_natural": number(candidate["credit_natural"], 4),
        "credit_to_width_percent": percent(credit / width),
        "max_loss_per_share": number(width - credit, 4),
        "breakeven": number(candidate["breakeven"], 4),
    }


def _odds(candidate: Candidate) -> dict[str, Fact]:
    return {
        "probability_of_profit_percent": percent(candidate["probability_of_profit"]),
        "return_on_risk_percent": percent(candidate["return_on_risk"]),
        "expected_value_usd": number(candidate["expected_value_usd"], 2),
        "score": number(candidate["score"], 4),
        "rank": int(candidate["rank"]),
        "short_delta": number(candidate["short_delta"], 4),
        "net_delta": number(net(candidate, "delta"), 4),
        "net_theta_per_day": number(net(candidate, "theta_per_day"), 4),
        "net_vega": number(net(candidate, "vega"), 4),
    }


def _market(candidate: Candidate) -> dict[str, Fact]:
    price = float(candidate["underlying_price"])
    strike = float(candidate["short_strike"])
    facts: dict[str, Fact] = {
        "underlying_price": number(price, 4),
        "cushion_percent": percent(abs(strike - price) / price),
        "cushion_sigma": _cushion_sigma(candidate),
        "iv_rank": number(candidate["iv_rank"], 2),
        "iv_percentile": number(candidate["iv_percentile"], 2),
        "iv_rank_basis": str(candidate["iv_rank_basis"]),
        "iv30_percent": percent(candidate.get("iv30")),
        "short_iv_percent": percent(candidate["short_iv"]),
        "long_iv_percent": percent(candidate["long_iv"]),
    }
    for role in ("short", "long"):
        mid = float(candidate[f"{role}_mid"])
        spread = float(candidate[f"{role}_ask"]) - float(candidate[f"{role}_bid"])
        facts[f"{role}_spread_percent"] = percent(spread / mid) if mid > 0 else None
        facts[f"{role}_open_interest"] = number(candidate[f"{role}_open_interest"], 0)
        facts[f"{role}_volume"] = number(candidate[f"{role}_volume"], 0)
    return facts


def _cushion_sigma(candidate: Candidate) -> float | None:
    """Distance from underlying to short strike in standard deviations of the log price."""
    years = number(candidate.get("years"), 12)
    term = int(candidate["dte"]) / DAYS_PER_YEAR if years is None else years
    deviation = float(candidate["short_iv"]) * math.sqrt(term)
    if not deviation > 0:
        return None
    distance = math.log(float(candidate["short_strike"]) / float(candidate["underlying_price"]))
    return number(abs(distance) / deviation, 3)


def _rival(rival: Candidate) -> dict[str, Fact]:
    facts = {**_terms(rival), **_odds(rival)}
    return {name: facts[name] for name in RIVAL_FACTS}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return number(value, 6)
    return value if isinstance(value, str | int | bool | type(None)) else str(value)
