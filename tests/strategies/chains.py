"""Small chains for the tests of the screen, and the screen once more as a double loop."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.liquidity import mid, quote_defects
from mahler_pipelines.options.contracts import Right, occ_symbol
from mahler_pipelines.options.european import greeks, price
from mahler_pipelines.strategies.limits import NotAvailablePolicy, ScreenLimits

AS_OF = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)
IN_RANGE = date(2026, 2, 6)
TOO_NEAR = date(2026, 1, 16)
NAN = float("nan")
MODEL_COLUMNS = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega")


def contract(strike: float, **changes: Any) -> dict[str, Any]:
    """One put of XYZ that passes every gate as a long leg and, by its delta, as a short one."""
    row: dict[str, Any] = {
        "underlying": "XYZ",
        "root": "XYZ",
        "expiration": IN_RANGE,
        "right": -1,
        "strike": strike,
        "bid": 1.98,
        "ask": 2.02,
        "bid_size": 10.0,
        "ask_size": 10.0,
        "last": 2.0,
        "volume": 500.0,
        "previous_volume": 500.0,
        "open_interest": 1000.0,
        "quote_time": AS_OF - timedelta(seconds=5),
        "underlying_price": 100.0,
        "implied_volatility": 0.3,
        "delta": -0.25,
        "gamma": 0.02,
        "theta_per_day": -0.03,
        "vega": 0.1,
    }
    return row | changes


def chain(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return rows as the market room hands them to the screen."""
    frame = pd.DataFrame(list(rows))
    if "symbol" not in frame:
        frame["symbol"] = [
            occ_symbol(row["root"], row["expiration"], Right(row["right"]), row["strike"])
            for row in rows
        ]
    frame["expiration"] = pd.to_datetime(frame["expiration"])
    frame["quote_time"] = pd.to_datetime(frame["quote_time"], utc=True)
    quotes = conform_quotes(frame)
    quotes[list(MODEL_COLUMNS)] = frame[list(MODEL_COLUMNS)].to_numpy(np.float64)
    quotes["mid"] = mid(quotes)
    quotes["quote_defect"] = quote_defects(quotes, as_of=AS_OF, max_age=None)
    return quotes


def empty_chain() -> pd.DataFrame:
    """A chain with every column and no row."""
    return chain(contract(100.0)).head(0)


def underlyings(*names: str, **changes: Any) -> pd.DataFrame:
    """One row per name that passes every underlying gate, unless changed."""
    row: dict[str, Any] = {
        "price": 100.0,
        "share_volume": 5e6,
        "share_spread": 0.001,
        "iv_rank": 50.0,
        "probability_calm": 0.2,
        "probability_normal": 0.5,
        "probability_stressed": 0.3,
        "iv_percentile": 60.0,
        "iv_rank_basis": "own history",
        "iv30": 0.3,
        "chain_rows": 100,
    }
    return pd.DataFrame([{"underlying": name} | row | changes for name in names])


def model_chain(
    names: list[str], *, spot: float, strikes: int, expirations: list[date], seed: int = 7
) -> pd.DataFrame:
    """Chains priced by the model with random liquidity: a big, plausible screen."""
    random = np.random.default_rng(seed)
    frames = []
    for name in names:
        for expiration in expirations:
            years = max((expiration - AS_OF.date()).days, 1) / 365
            for right in Right:
                frames.append(_model_rows(random, name, expiration, right, spot, strikes, years))
    quotes = pd.concat(frames, ignore_index=True)
    conformed = conform_quotes(quotes)
    conformed[list(MODEL_COLUMNS)] = quotes[list(MODEL_COLUMNS)].to_numpy(np.float64)
    conformed["mid"] = mid(conformed)
    conformed["quote_defect"] = quote_defects(conformed, as_of=AS_OF, max_age=None)
    return conformed


def _model_rows(
    random: np.random.Generator,
    name: str,
    expiration: date,
    right: Right,
    spot: float,
    strikes: int,
    years: float,
) -> pd.DataFrame:
    strike = np.round(np.linspace(0.75 * spot, 1.25 * spot, strikes), 2)
    terms: dict[str, Any] = {
        "right": int(right),
        "spot": spot,
        "strike": strike,
        "years": years,
        "rate": 0.0,
        "dividend_yield": 0.0,
        "volatility": 0.3,
    }
    value, sensitivities = price(**terms), greeks(**terms)
    half = np.maximum(0.01, random.uniform(0.0, 0.06, strikes) * value)
    return pd.DataFrame(
        {
            "underlying": name,
            "root": name,
            "symbol": [occ_symbol(name, expiration, right, float(level)) for level in strike],
            "expiration": pd.Timestamp(expiration),
            "right": int(right),
            "strike": strike,
            "bid": np.round(np.maximum(value - half, 0.0), 2),
            "ask": np.round(value + half, 2),
            "volume": random.integers(0, 500, strikes).astype(float),
            "previous_volume": random.integers(0, 500, strikes).astype(float),
            "open_interest": random.integers(0, 1500, strikes).astype(float),
            "quote_time": pd.Timestamp(AS_OF),
            "underlying_price": spot,
            "implied_volatility": 0.3,
            **{column: getattr(sensitivities, column) for column in MODEL_COLUMNS[1:]},
        }
    )


@dataclass
class CountedPairs:
    """What the double loop found."""

    kept: set[tuple[str, str]] = field(default_factory=set)
    codes: Counter[str] = field(default_factory=Counter)
    by_group: dict[tuple[str, date, int], Counter[str]] = field(default_factory=dict)
    pair_rows: set[tuple[str, str, str]] = field(default_factory=set)
    leg_rows: dict[str, str] = field(default_factory=dict)


def count_pairs(
    quotes: pd.DataFrame, limits: ScreenLimits, *, rights: tuple[int, ...], volume: str
) -> CountedPairs:
    """Ask every pair every gate in plain Python and exact decimals, one after the other."""
    found = CountedPairs()
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in quotes.to_dict("records")
    ]
    for short in rows:
        if short["right"] in rights:
            _note_leg(found, short, limits, volume)
        for long in rows:
            if short["right"] not in rights or not _is_pair(short, long):
                continue
            code = _pair_code(short, long, limits, volume)
            key = (short["root"], short["expiration"].date(), short["right"])
            found.by_group.setdefault(key, Counter())[code or "kept"] += 1
            if code:
                found.codes[code] += 1
            else:
                found.kept.add((short["symbol"], long["symbol"]))
            if code in _PAIR_GATES:
                found.pair_rows.add((short["symbol"], long["symbol"], code))
    return found


_PAIR_GATES = {
    "width_out_of_range",
    "natural_credit_not_positive",
    "credit_too_low",
    "credit_exceeds_width",
}


def _is_pair(short: dict[str, Any], long: dict[str, Any]) -> bool:
    if any(short[key] != long[key] for key in ("underlying", "root", "expiration", "right")):
        return False
    return bool((long["strike"] - short["strike"]) * short["right"] > 0)


def _note_leg(found: CountedPairs, row: dict[str, Any], limits: ScreenLimits, volume: str) -> None:
    if _dte_code(row, limits):
        return
    code = _leg_code(row, limits, volume) or _short_code(row, limits)
    if code:
        found.leg_rows[row["symbol"]] = code


def _pair_code(
    short: dict[str, Any], long: dict[str, Any], limits: ScreenLimits, volume: str
) -> str:
    return (
        _dte_code(short, limits)
        or _leg_code(short, limits, volume)
        or _short_code(short, limits)
        or _leg_code(long, limits, volume)
        or _credit_code(short, long, limits)
    )


def _dte_code(row: dict[str, Any], limits: ScreenLimits) -> str:
    dte = (row["expiration"].date() - AS_OF.date()).days
    return "" if _inside(dte, limits.dte_min, limits.dte_max) else "dte_out_of_range"


def _leg_code(row: dict[str, Any], limits: ScreenLimits, volume: str) -> str:
    if row["quote_defect"]:
        return str(row["quote_defect"])
    if any(np.isnan(row[side]) for side in ("bid", "ask", "mid")):
        return "quote_missing"
    oldest = limits.max_quote_age_seconds
    if oldest is not None:
        age = (AS_OF - row["quote_time"]).total_seconds()
        if not age <= oldest:
            return "quote_stale"
    for name, column in (("open_interest", "open_interest"), ("option_volume", volume)):
        least = getattr(limits, f"{name}_min")
        policy = getattr(limits, f"{name}_not_available")
        if least is None:
            continue
        if np.isnan(row[column]):
            if policy is NotAvailablePolicy.REFUSE:
                return f"{name}_not_available"
        elif not row[column] > least:
            return f"{name}_too_low"
    bid, ask = Decimal(str(row["bid"])), Decimal(str(row["ask"]))
    widest = limits.option_spread_max
    if widest is not None and not (ask - bid) * 2 < Decimal(str(widest)) * (bid + ask):
        return "option_spread_too_wide"
    return "delta_not_available" if np.isnan(row["delta"]) else ""


def _short_code(row: dict[str, Any], limits: ScreenLimits) -> str:
    inside = _inside(abs(row["delta"]), limits.short_delta_min, limits.short_delta_max)
    return "" if inside else "short_delta_out_of_range"


def _credit_code(short: dict[str, Any], long: dict[str, Any], limits: ScreenLimits) -> str:
    decimals = {
        f"{role}_{side}": Decimal(str(row[side]))
        for role, row in (("short", short), ("long", long))
        for side in ("bid", "ask", "strike")
    }
    width = abs(decimals["short_strike"] - decimals["long_strike"])
    natural = decimals["short_bid"] - decimals["long_ask"]
    mid_credit = (
        decimals["short_bid"] + decimals["short_ask"] - decimals["long_bid"] - decimals["long_ask"]
    ) / 2
    if not _inside(width, _decimal(limits.width_min), _decimal(limits.width_max)):
        return "width_out_of_range"
    if natural <= 0:
        return "natural_credit_not_positive"
    least = _decimal(limits.credit_min)
    if least is not None and mid_credit < least:
        return "credit_too_low"
    return "credit_exceeds_width" if mid_credit >= width else ""


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _inside(value: Any, low: Any, high: Any) -> bool:
    return not ((low is not None and value < low) or (high is not None and value > high))
