"""Pictures of a scan's volatility surface, as markdown for asset metadata."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from mahler_pipelines.market.brackets import floats
from mahler_pipelines.market.term_structure import (
    DAYS_PER_YEAR,
    MINIMUM_DAYS,
    atm_volatility,
    constant_maturity_volatility,
    usable_volatilities,
)
from mahler_pipelines.market.volatility_metrics import PREMIUM_ESTIMATOR
from mahler_pipelines.pictures.markdown import NOTHING, embed_png
from mahler_pipelines.pictures.premium import ImpliedAndRealised, volatility_premium
from mahler_pipelines.pictures.smile import Quotes, SmilePanel, smiles
from mahler_pipelines.pictures.tables import markdown_table
from mahler_pipelines.pictures.term_structure import (
    NOT_USED,
    TOO_NEAR,
    USED,
    TermPanel,
    term_structures,
)

PANELS = 9
"""Most panels of a picture: as many as can be read."""

TABLE_ROWS = 20
_TABLE = {
    "IV 30 days": "iv30",
    "slope to 90": "term_slope",
    "25-delta skew": "skew_25_delta",
    "realised": PREMIUM_ESTIMATOR.value,
    "premium": "volatility_risk_premium",
    "one session": "session_move",
    "next expiration": "straddle_move",
}

TARGET_DAYS = 30.0
SPREAD_DAYS = (30.0, 60.0, 14.0, 90.0, 7.0, 45.0)
"""Where the expirations of an underlying with several panels are looked for, the first first."""


def smile_picture(valued: pd.DataFrame, *, as_of: datetime) -> str:
    """Smiles of nine underlyings at the expiration nearest 30 days, or of fewer at several.

    `valued` is a chain with implied volatilities. Out-of-the-money quotes are drawn, those that
    were used and those that were refused. The underlyings are those with the most quotes.
    """
    names, said = _chosen(valued)
    own = valued[valued["underlying"].isin(names)]
    if not np.isfinite(floats(own["implied_volatility"])).any():
        return NOTHING
    each = max(PANELS // len(names), 1)
    panels = [
        panel
        for name in names
        for panel in _smile_panels(own[own["underlying"] == name], count=each)
    ]
    subtitle = f"{said}out-of-the-money mid quotes of {_moment(as_of)}"
    return embed_png(smiles(panels, title="Smiles", subtitle=subtitle), "smiles")


def term_structure_picture(valued: pd.DataFrame, *, as_of: datetime) -> str:
    """At-the-money volatility of every expiration of the underlyings with the most quotes."""
    names, said = _chosen(valued)
    atm = atm_volatility(valued[valued["underlying"].isin(names)])
    if not np.isfinite(floats(atm["atm_volatility"])).any():
        return NOTHING
    maturity = constant_maturity_volatility(atm, days=TARGET_DAYS)
    panels = [_term_panel(atm[atm["underlying"] == name], maturity, name=name) for name in names]
    subtitle = f"{said}at the money, by days to expiration, {_moment(as_of)}"
    return embed_png(
        term_structures(panels, title="Term structures", subtitle=subtitle), "term structures"
    )


def premium_picture(metrics: pd.DataFrame) -> str:
    """Implied beside realised volatility of every underlying, the richest first."""
    named = metrics[["underlying", "iv30", PREMIUM_ESTIMATOR.value]]
    rows = [
        ImpliedAndRealised(str(name), float(implied), float(realised))
        for name, implied, realised in named.itertuples(index=False)
    ]
    if not np.isfinite(floats(named.drop(columns="underlying"))).any():
        return NOTHING
    return embed_png(volatility_premium(rows), "volatility premium")


def metrics_table(metrics: pd.DataFrame) -> str:
    """The richest underlyings as a table: percentages a year, differences in points."""
    ordered = metrics.sort_values(
        ["volatility_risk_premium", "underlying"], ascending=[False, True], kind="stable"
    )
    shown = ordered.head(TABLE_ROWS)
    cells = [
        [row["underlying"], *(_percent(row[name]) for name in _TABLE.values()), _missing(row)]
        for row in shown.to_dict("records")
    ]
    table = markdown_table(["underlying", *_TABLE, "not known"], cells)
    left_out = len(ordered) - len(shown)
    return f"{table}\n\n{left_out} more are in the table of the lake." if left_out else table


def _percent(value: float) -> float | None:
    return round(100.0 * value, 2) if np.isfinite(value) else None


def _missing(row: dict[Any, Any]) -> str:
    """Reasons of what is not known, each once."""
    told = [
        (row["iv30"], row["iv30_method"]),
        (row["skew_25_delta"], row["skew_method"]),
        (row["straddle_move"], row["move_reason"]),
        (row[PREMIUM_ESTIMATOR.value], row["realised_reason"]),
    ]
    return ", ".join(dict.fromkeys(reason for value, reason in told if not np.isfinite(value)))


def _chosen(valued: pd.DataFrame) -> tuple[list[str], str]:
    """The underlyings that are drawn, by name, and words for those left out."""
    usable = usable_volatilities(valued)
    codes, names = pd.factorize(valued["underlying"])
    counts = pd.Series(np.bincount(codes, weights=usable, minlength=len(names)), index=names)
    ranked = counts.sort_index().sort_values(ascending=False, kind="stable")
    chosen = sorted(str(name) for name in ranked.index[:PANELS])
    left_out = len(ranked) > PANELS
    return chosen, f"{PANELS} of {len(ranked)} underlyings, the most quoted; " if left_out else ""


def _smile_panels(own: pd.DataFrame, *, count: int) -> list[SmilePanel]:
    """One underlying's expirations nearest `SPREAD_DAYS`, by date; one root speaks for each."""
    atm = atm_volatility(own)
    days, chosen = floats(atm["years"]) * DAYS_PER_YEAR, list[int]()
    for target in SPREAD_DAYS[: min(count, len(atm))]:
        away = np.abs(days - target)
        away[chosen] = np.inf
        chosen.append(int(away.argmin()))
    return [_smile_panel(own, terms) for _, terms in atm.iloc[sorted(chosen)].iterrows()]


def _smile_panel(own: pd.DataFrame, terms: "pd.Series[Any]") -> SmilePanel:
    listed = own[(own["root"] == terms["root"]) & (own["expiration"] == terms["expiration"])]
    outside = listed[listed["right"] * (listed["strike"] - terms["forward"]) >= 0]
    usable = usable_volatilities(outside)
    refused = outside[~usable]
    reasons = refused["quote_defect"].where(refused["quote_defect"] != "", refused["iv_reason"])
    days = terms["years"] * DAYS_PER_YEAR
    return SmilePanel(
        title=f"{terms['root']} {terms['expiration']:%d %b %Y}, {days:.0f} days",
        used=_quotes(outside[usable]),
        forward=float(terms["forward"]),
        refused={str(reason): _quotes(rows) for reason, rows in refused.groupby(reasons)},
    )


def _quotes(rows: pd.DataFrame) -> Quotes:
    return Quotes(floats(rows["strike"]), floats(rows["implied_volatility"]))


def _term_panel(atm: pd.DataFrame, maturity: pd.DataFrame, *, name: str) -> TermPanel:
    level, days = floats(atm["atm_volatility"]), floats(atm["years"]) * DAYS_PER_YEAR
    own = maturity[maturity["underlying"] == name].iloc[0]
    target = float(own["implied_volatility"])
    used = atm["expiration"].isin([own["near_expiration"], own["far_expiration"]])
    kinds = np.select(
        [~np.isfinite(level), days < MINIMUM_DAYS, used & np.isfinite(target)],
        [atm["atm_method"].to_numpy(dtype="object"), TOO_NEAR, USED],
        NOT_USED,
    )
    return TermPanel(name, days, level, [str(kind) for kind in kinds], (TARGET_DAYS, target))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M} UTC"
