"""Archived series: daily bars, volatility indices and rates of any known layout."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.market import archive_rules as rules
from mahler_pipelines.market.archive_layouts import (
    Layout,
    date_column,
    name_in_file,
    normalise_header,
)
from mahler_pipelines.market.archive_rules import (
    ArchiveRows,
    QuarantineReason,
    SessionCalendar,
    clean_names,
    mark_repeats,
    parse_dates,
    parse_numbers,
    with_row_numbers,
)
from mahler_pipelines.options.contracts import INDEX_ROOTS

BAR_COLUMNS = (
    "underlying",
    "session",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "source",
    "adjusted",
)
"""Columns of archived daily bars; `adjusted` (for splits) is <NA> where nobody says."""

SPLIT_ADJUSTED_SOURCES = {"heliar": True, "lean": False}
"""Sources whose treatment of splits is known. Indices do not split."""


def read_bars(table: pd.DataFrame, *, source_file: str, calendar: SessionCalendar) -> ArchiveRows:
    """Turn daily bars into columns `BAR_COLUMNS`; without a symbol the file's name is it."""
    table = with_row_numbers(table)
    plain = table.set_axis(normalise_header(list(table.columns)), axis=1)
    stem = name_in_file(source_file)
    bars = pd.DataFrame({"session": parse_dates(plain[date_column(list(plain.columns))])})
    named = plain["symbol"] if "symbol" in plain.columns else pd.Series(stem, index=plain.index)
    bars["underlying"] = clean_names(named, r"[\^$\s]")
    bars["source"] = plain.get("source", pd.Series(stem.lower(), index=plain.index)).astype("str")
    unreadable = pd.Series(False, index=bars.index)
    for name in ("open", "high", "low", "close", "volume"):
        values = plain.get(name, pd.Series(np.nan, index=plain.index))
        bars[name], odd = parse_numbers(values)
        unreadable |= odd
    bars["adjusted"] = _adjusted(bars, plain)
    reasons = _bar_reasons(bars, unreadable, calendar)
    return ArchiveRows(
        rows=bars.loc[reasons == "", list(BAR_COLUMNS)].reset_index(drop=True),
        row_numbers=table.loc[reasons == "", "row_number"].to_numpy(dtype="int64"),
        quarantined=rules.quarantine(table, reasons, source_file),
        defects={},
    )


def _adjusted(bars: pd.DataFrame, plain: pd.DataFrame) -> pd.Series:
    if "adjusted" in plain.columns:
        said = plain["adjusted"].astype("str").str.strip().str.lower()
        return said.map({"true": True, "1": True, "false": False, "0": False}).astype("boolean")
    known = bars["source"].map(SPLIT_ADJUSTED_SOURCES).astype("boolean")
    return known.mask(bars["underlying"].isin(list(INDEX_ROOTS)), False)


def _bar_reasons(
    bars: pd.DataFrame, unreadable: pd.Series, calendar: SessionCalendar
) -> NDArray[np.object_]:
    prices = bars[["open", "high", "low", "close"]]
    checks = [
        (QuarantineReason.DATE_UNREADABLE, bars["session"].isna()),
        (QuarantineReason.SESSION_CLOSED, ~rules.on_session(bars["session"], calendar)),
        (QuarantineReason.NUMBER_UNREADABLE, unreadable),
        (QuarantineReason.PRICE_NOT_FINITE, prices.isin([np.inf, -np.inf]).any(axis=1)),
        (QuarantineReason.PRICE_NEGATIVE, (prices < 0).any(axis=1)),
        (QuarantineReason.CLOSE_MISSING, ~(bars["close"] > 0)),
        (QuarantineReason.HIGH_BELOW_LOW, bars["high"] < bars["low"]),
        (QuarantineReason.COUNT_NEGATIVE, bars["volume"] < 0),
    ]
    reasons = rules.first_reason(bars.index, checks)
    return mark_repeats(bars, reasons, ["underlying", "session", "source"])


def read_volatility_indices(
    table: pd.DataFrame, layout: Layout, *, source_file: str, calendar: SessionCalendar
) -> ArchiveRows:
    """Turn closes of volatility indices into name, session, close.

    A wide table has a column per index; an empty cell is no value and no row. Of a history of one
    index the file's name says which it is.
    """
    wide = table
    if layout is Layout.VOLATILITY_INDEX_BARS:
        plain = table.set_axis(normalise_header(list(table.columns)), axis=1)
        dates = date_column(list(plain.columns))
        wide = plain[[dates, "close"]].rename(columns={"close": name_in_file(source_file)})
        if "row_number" in table.columns:
            wide = wide.assign(row_number=table["row_number"])
    return _read_wide(wide, value="close", source_file=source_file, calendar=calendar)


def read_rates(table: pd.DataFrame, *, source_file: str) -> ArchiveRows:
    """Turn rates in percent into name, session, value; they are published on closed days too."""
    return _read_wide(table, value="value", source_file=source_file, calendar=None)


def _read_wide(
    table: pd.DataFrame, *, value: str, source_file: str, calendar: SessionCalendar | None
) -> ArchiveRows:
    table = with_row_numbers(table)
    plain = table.set_axis(normalise_header(list(table.columns)), axis=1)
    dates = date_column(list(plain.columns))
    names = [name for name in plain.columns if name not in (dates, "row_number")]
    session = parse_dates(plain[dates])
    numbers, unreadable = {}, pd.Series(False, index=plain.index)
    for name in names:
        numbers[name.upper()], odd = parse_numbers(plain[name])
        unreadable |= odd
    closed = pd.Series(False, index=plain.index)
    if calendar is not None:
        closed = ~rules.on_session(session, calendar)
    wide = pd.DataFrame(numbers)
    checks = [
        (QuarantineReason.DATE_UNREADABLE, session.isna()),
        (QuarantineReason.SESSION_CLOSED, closed),
        (QuarantineReason.NUMBER_UNREADABLE, unreadable),
        (QuarantineReason.PRICE_NOT_FINITE, wide.isin([np.inf, -np.inf]).any(axis=1)),
    ]
    reasons = rules.first_reason(plain.index, checks)
    reasons = mark_repeats(wide.assign(session=session), reasons, ["session"])
    long = _melt(wide.assign(session=session, row_number=table["row_number"]), reasons, value)
    return ArchiveRows(
        rows=long[["name", "session", value]],
        row_numbers=long["row_number"].to_numpy(dtype="int64"),
        quarantined=rules.quarantine(table, reasons, source_file),
        defects={},
    )


def _melt(wide: pd.DataFrame, reasons: NDArray[np.object_], value: str) -> pd.DataFrame:
    keys = ["session", "row_number"]
    long = wide.loc[reasons == ""].melt(id_vars=keys, var_name="name", value_name=value)
    long = long.dropna(subset=[value]).sort_values(["name", "session"], ignore_index=True)
    typed: pd.DataFrame = long.astype({"name": "str", value: "float64"})
    return typed
