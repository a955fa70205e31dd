"""Rules for archived rows: what can never be a quote or a bar, and why.

A quote of bad quality (no bid, one-sided, locked, crossed) is a real quote: it is kept, counted,
and refused by the screen later. A row that contradicts itself is quarantined with a reason.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import UnknownSession
from mahler_pipelines.market.liquidity import quote_defects

LARGEST_STRIKE = 99_999.999
"""The largest strike that an OCC symbol can carry."""

QUARANTINE_COLUMNS = ("source_file", "row_number", "reason", "raw")
"""Columns of quarantined rows; `row_number` counts data rows from 1, `raw` is the row as JSON."""


class QuarantineReason(StrEnum):
    """Why a row of a file is not used."""

    COLUMNS_MISSING = "columns_missing"
    DATE_UNREADABLE = "date_unreadable"
    SESSION_CLOSED = "session_closed"
    ROOT_UNREADABLE = "root_unreadable"
    EXPIRATION_UNREADABLE = "expiration_unreadable"
    EXPIRED_BEFORE_QUOTE = "expired_before_quote"
    RIGHT_UNKNOWN = "right_unknown"
    STRIKE_UNREADABLE = "strike_unreadable"
    NONSTANDARD_DELIVERABLE = "nonstandard_deliverable"
    NUMBER_UNREADABLE = "number_unreadable"
    PRICE_NOT_FINITE = "price_not_finite"
    PRICE_NEGATIVE = "price_negative"
    COUNT_NEGATIVE = "count_negative"
    CLOSE_MISSING = "close_missing"
    HIGH_BELOW_LOW = "high_below_low"
    EARLIER_SNAPSHOT = "earlier_snapshot"
    REPEATED_ROW = "repeated_row"
    CONFLICTING_ROWS = "conflicting_rows"
    CONFLICTS_WITH_INGESTED = "conflicts_with_ingested"


class KeptDefect(StrEnum):
    """What was wrong with a kept row, beside the quote defects."""

    UNDERLYING_PRICE_MISSING = "underlying_price_missing"
    LAST_MISSING_DESPITE_VOLUME = "last_missing_despite_volume"
    ROOT_INFERRED = "root_inferred"


class SessionCalendar(Protocol):
    """What the rules ask of the exchange's calendar."""

    def is_session(self, day: date) -> bool:
        """Whether the exchange was open that day."""
        ...

    def close(self, session: date) -> datetime:
        """When the session closed, with a zone."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveRows:
    """What a table held.

    `rows` has the columns of its kind (for quotes `session` first, then `QUOTE_COLUMNS`),
    `quarantined` has `QUARANTINE_COLUMNS`, and `defects` counts kept rows by defect code.
    `row_numbers` says where in the file each of `rows` stood.
    """

    rows: pd.DataFrame
    row_numbers: NDArray[np.int64]
    quarantined: pd.DataFrame
    defects: dict[str, int]


def with_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a `row_number` counting data rows from 1, unless it has one."""
    if "row_number" in table.columns:
        return table
    return table.assign(row_number=np.arange(1, len(table) + 1))


def parse_dates(values: pd.Series) -> pd.Series:
    """Return midnights as datetime64[us]; NaT where a value is not a date.

    Reads ISO, YYYYMMDD, MM/DD/YYYY (the vendors are American) and 04JAN1996.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        naive = values.dt.tz_localize(None) if values.dt.tz is not None else values
        midnights: pd.Series = naive.dt.normalize()
        return midnights.astype("datetime64[us]")
    text = values.astype("str").str.strip().str.replace(r"[T ]\d{2}:\d{2}.*$|\.0$", "", regex=True)
    unique = pd.Series(text.dropna().unique(), dtype="str")
    parsed = pd.Series(pd.NaT, index=unique.index, dtype="datetime64[us]")
    for pattern in ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d%b%Y"):
        found = pd.to_datetime(unique, format=pattern, errors="coerce")
        parsed = parsed.fillna(found.astype("datetime64[us]"))
    return text.map(pd.Series(parsed.to_numpy(), index=unique)).astype("datetime64[us]")


def parse_numbers(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return float64 values (NaN where missing) and a mask of texts that are no number."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype("float64"), pd.Series(False, index=values.index)
    text = values.astype("str").str.strip()
    missing = text.isna() | text.str.lower().isin(["", ".", "nan", "none", "null", "na"])
    number = pd.to_numeric(text.where(~missing), errors="coerce").astype("float64")
    return number, number.isna() & ~missing


def clean_names(values: pd.Series, noise: str) -> pd.Series:
    """Return names in capitals, without the characters that the pattern matches."""
    return values.astype("str").str.upper().str.replace(noise, "", regex=True)


def on_session(days: pd.Series, calendar: SessionCalendar) -> pd.Series:
    """Return whether each date was a session; a date that the calendar does not cover was not."""
    return days.map(_per_day(days, lambda day: _is_session(day, calendar))).eq(True)


def session_times(
    days: pd.Series, calendar: SessionCalendar, minutes_before_close: int
) -> pd.Series:
    """Return the moment of each session's snapshot, datetime64[us, UTC]."""
    before = timedelta(minutes=minutes_before_close)
    times = _per_day(days, lambda day: pd.Timestamp(calendar.close(day) - before))
    return days.map(times).astype("datetime64[us, UTC]")


def _per_day(days: pd.Series, value: Callable[[date], object]) -> dict[pd.Timestamp, object]:
    return {stamp: value(stamp.date()) for stamp in days.dropna().unique()}


def _is_session(day: date, calendar: SessionCalendar) -> bool:
    try:
        return calendar.is_session(day)
    except UnknownSession:
        return False


def first_reason(
    index: pd.Index, checks: Iterable[tuple[QuarantineReason, pd.Series]]
) -> NDArray[np.object_]:
    """Return for each row the first reason whose mask holds, or the empty text."""
    reasons = np.full(len(index), "", dtype=object)
    for reason, mask in checks:
        hit = mask.to_numpy(dtype=bool)
        reasons[hit & (reasons == "")] = str(reason)
    return reasons


def unusable_strike(strike: pd.Series) -> pd.Series:
    """Return where a strike is not a positive multiple of 0.001 that an OCC symbol can carry."""
    thousandths = strike * 1000
    # Wide enough for a strike that was stored in single precision.
    whole = (thousandths - thousandths.round()).abs() < 0.01
    return ~(whole & (strike > 0) & (strike <= LARGEST_STRIKE))


def repeated_and_conflicting(
    keys: pd.DataFrame, values: pd.DataFrame
) -> tuple[pd.Series, pd.Series]:
    """Return masks: later copies of an identical row, and rows of one key that disagree.

    Of rows that disagree none is believed.
    """
    variants = pd.concat([keys, values], axis=1).drop_duplicates()
    disagreeing = variants.loc[variants.duplicated(subset=list(keys.columns)), list(keys.columns)]
    conflicting = pd.Series(
        pd.MultiIndex.from_frame(keys).isin(pd.MultiIndex.from_frame(disagreeing)),
        index=keys.index,
    )
    return keys.duplicated() & ~conflicting, conflicting


def mark_repeats(
    rows: pd.DataFrame, reasons: NDArray[np.object_], keys: list[str]
) -> NDArray[np.object_]:
    """Return the reasons with repeated and conflicting rows of a key marked too."""
    good = reasons == ""
    suspects = np.flatnonzero(good)[rows.loc[good, keys].duplicated(keep=False).to_numpy()]
    some = rows.iloc[suspects]
    repeated, conflicting = repeated_and_conflicting(some[keys], some.drop(columns=keys))
    reasons[suspects[conflicting.to_numpy()]] = str(QuarantineReason.CONFLICTING_ROWS)
    reasons[suspects[repeated.to_numpy()]] = str(QuarantineReason.REPEATED_ROW)
    return reasons


def count_defects(quotes: pd.DataFrame) -> dict[str, int]:
    """Count kept quotes of bad quality by their code; codes that do not occur are left out."""
    if quotes.empty:
        return {}
    defects = quote_defects(quotes, as_of=quotes["quote_time"].max(), max_age=None)
    counts = {str(code): int(n) for code, n in defects[defects != ""].value_counts().items()}
    unpriced = quotes["last"].isna() & (quotes["volume"] > 0)
    counts[KeptDefect.UNDERLYING_PRICE_MISSING] = int(quotes["underlying_price"].isna().sum())
    counts[KeptDefect.LAST_MISSING_DESPITE_VOLUME] = int(unpriced.sum())
    return {str(code): counts[code] for code in sorted(counts) if counts[code]}


def quarantine(raw: pd.DataFrame, reasons: NDArray[np.object_], source_file: str) -> pd.DataFrame:
    """Return `QUARANTINE_COLUMNS` for rows whose reason is not empty.

    `raw` holds the rows as they came, `row_number` among the columns.
    """
    bad = reasons != ""
    rows = raw.loc[bad]
    records = as_records(rows.drop(columns="row_number"))
    return pd.DataFrame(
        {
            "source_file": pd.Series(source_file, index=range(len(rows)), dtype="str"),
            "row_number": rows["row_number"].to_numpy(dtype="int64"),
            "reason": pd.Series(reasons[bad], dtype="str"),
            "raw": pd.Series([as_json(record) for record in records], dtype="str"),
        }
    )


def as_records(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Return rows as texts by column, missing values left out."""
    texts = rows.astype("str").to_dict("records")
    return [{str(k): v for k, v in text.items() if isinstance(v, str)} for text in texts]


def as_json(record: object) -> str:
    """Return a record as compact JSON with sorted keys."""
    return json.dumps(record, sort_keys=True, allow_nan=False)
