"""What a recommendation stood against: the scan's other candidates, and what the screen refused."""

from typing import Any, Final

import pandas as pd

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.strategies.spread_screening import PAIR_CODES

RIVALS: Final = 5
"""How many of an underlying's other candidates are named, best first; all of them are counted."""

_SHOWN = (
    *("rank", "candidate_id", "strategy", "expiration", "short_strike", "long_strike"),
    *("credit_mid", "probability_of_profit", "return_on_risk", "score"),
)


def candidate_and_rivals(lake: Lake, shown: Recommendation) -> dict[str, Any]:
    """Return the candidate that a scan's recommendation was, and who it was chosen before.

    `rivals` are the best other candidates of its underlying, `beside` the candidates of other
    underlyings that the analyst was asked about, each with why it was not this one. Empty where the
    lake has no table of the scan.
    """
    beside = _read(lake, f"{shown.account_id}.recommendations", shown)
    chosen = beside[beside["recommendation_id"] == shown.id] if len(beside) else beside
    name = str(chosen["candidate_id"].iloc[0]) if len(chosen) else ""
    field = _read(lake, "screened_candidates", shown)
    mine = field[field["underlying"] == shown.underlying] if len(field) else field
    own = mine[mine["candidate_id"] == name] if len(mine) else mine
    rivals = [] if own.empty else _rivals(mine, own.iloc[0])
    return {
        "candidate_id": name,
        "candidate": None if own.empty else _row(own.iloc[0]),
        "candidates_of_underlying": len(mine),
        "rivals": rivals,
        "beside": _beside(beside, name),
    }


def refused_by_code(lake: Lake, shown: Recommendation) -> dict[str, int]:
    """Count the pairs of its underlying that the scan's screen refused, by code, most first."""
    pairs = _read(lake, "screen_pairs", shown)
    if pairs.empty:
        return {}
    own = pairs[pairs["underlying"] == shown.underlying]
    counts = {code.value: int(own[code.value].sum()) for code in PAIR_CODES}
    found = {code: count for code, count in counts.items() if count}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _rivals(field: pd.DataFrame, own: "pd.Series[Any]") -> list[dict[str, Any]]:
    others = field[field["candidate_id"] != own["candidate_id"]].nsmallest(RIVALS, "rank")
    return [{**_row(row), "because": _why(row, own)} for _, row in others.iterrows()]


def _why(rival: "pd.Series[Any]", own: "pd.Series[Any]") -> str:
    """One candidate of an underlying is asked about: the best that the account has room for."""
    if rival["rank"] < own["rank"]:
        return "ranked before it; the account had no room for one"
    return f"score {rival['score']:.3f} below {own['score']:.3f}"


def _beside(assessed: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    if assessed.empty:
        return []
    columns = ["candidate_id", "underlying", "strategy", "recommendation_id", "refusal"]
    others = assessed[assessed["candidate_id"] != name][columns]
    return [{str(key): value for key, value in row.items()} for row in others.to_dict("records")]


def _row(candidate: "pd.Series[Any]") -> dict[str, Any]:
    row = {name: candidate[name] for name in _SHOWN}
    plain = {name: getattr(value, "item", lambda kept=value: kept)() for name, value in row.items()}
    return {**plain, "expiration": f"{candidate['expiration']:%Y-%m-%d}"}


def _read(lake: Lake, table: str, shown: Recommendation) -> pd.DataFrame:
    """A table of the scan that proposed it; empty where the lake has none."""
    if not lake.has(table, session=shown.session, scan=shown.scan):
        return pd.DataFrame()
    return lake.read(table, session=shown.session, scan=shown.scan)
