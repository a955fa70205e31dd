"""Archived market data: a table of any known layout becomes rows that the desk can use.

Pure functions: a table and a calendar go in; usable rows, quarantined rows and counts of what was
kept though defective come out, so that every row of a file is accounted for.
"""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import UnknownSession
from mahler_pipelines.market import archive_rules as rules
from mahler_pipelines.market.archive_layouts import (
    Layout,
    normalise_header,
    quote_fields,
)
from mahler_pipelines.market.archive_rules import (
    ArchiveRows,
    KeptDefect,
    QuarantineReason,
    SessionCalendar,
    clean_names,
    mark_repeats,
    parse_dates,
    parse_numbers,
    with_row_numbers,
)
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.options.contracts import INDEX_ROOTS

PRICES = ("bid", "ask", "last", "underlying_price")
COUNTS = ("bid_size", "ask_size", "volume", "open_interest")


_PM_SETTLED_ROOT = {"SPX": "SPXW", "NDX": "NDXP", "RUT": "RUTW"}


def read_chain(
    table: pd.DataFrame, layout: Layout, *, source_file: str, calendar: SessionCalendar
) -> ArchiveRows:
    """Turn a chain of any layout into quotes and quarantined rows.

    Quotes carry OCC symbols made from their root, `quote_time` from the session's close, and
    `previous_volume` NaN (it needs the session before). Each file row gives one contract (two in
    OptionsDX): quotes and quarantined rows together are all of them.
    """
    table = with_row_numbers(table)
    fields = quote_fields(
        table.set_axis(normalise_header(list(table.columns)), axis=1), layout, source_file
    )
    quotes, unreadable = _parse_quotes(fields)
    inferred = pd.Series(False, index=quotes.index)
    if layout is Layout.OPTIONSDX:
        quotes["root"], inferred = _infer_index_roots(quotes, calendar)
    quotes["symbol"] = _occ_symbols(quotes)
    reasons = _quote_reasons(quotes, fields, unreadable, calendar)
    quarantined = rules.quarantine(_raw_rows(table, fields, reasons), reasons, source_file)
    kept = reasons == ""
    good, inferred = quotes.loc[kept], inferred.loc[kept]
    # A file can have millions of rows: let go of each stage before the next is made.
    del fields, quotes
    rows = _conformed(good, layout, calendar)
    defects = rules.count_defects(rows)
    if inferred.any():
        defects[str(KeptDefect.ROOT_INFERRED)] = int(inferred.sum())
    return ArchiveRows(
        rows=rows,
        row_numbers=good["row_number"].to_numpy(dtype="int64"),
        quarantined=quarantined,
        defects=defects,
    )


def _conformed(good: pd.DataFrame, layout: Layout, calendar: SessionCalendar) -> pd.DataFrame:
    before = layout.minutes_before_close
    times = rules.session_times(good["session"], calendar, before)
    rows = conform_quotes(good.assign(quote_time=times)).reset_index(drop=True)
    rows.insert(0, "session", good["session"].to_numpy())
    return rows


def _parse_quotes(fields: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Parse every field; also return where a price or count is text but no number."""
    quotes = pd.DataFrame({"row_number": fields["row_number"]})
    quotes["session"] = parse_dates(fields["quote_date"])
    quotes["expiration"] = parse_dates(fields["expiration"])
    quotes["underlying"] = clean_names(fields["underlying"], r"[\^$\s]")
    quotes["root"] = clean_names(fields["root"], r"[\^$./\s]")
    known = {root: underlying for root, (underlying, _) in INDEX_ROOTS.items()}
    quotes["underlying"] = quotes["root"].map(known).fillna(quotes["underlying"]).astype("str")
    letter = fields["right"].astype("str").str.strip().str.upper().str.slice(0, 1)
    quotes["right"] = letter.map({"C": 1, "P": -1})
    strike, _ = parse_numbers(fields["strike"])
    quotes["strike"] = strike.where(rules.unusable_strike(strike), strike.round(3))
    unreadable = pd.Series(False, index=fields.index)
    for name in (*PRICES, *COUNTS):
        quotes[name], odd = parse_numbers(fields[name])
        unreadable |= odd
    # Vendors write 0 where nothing was traded or no level was known.
    for name in ("last", "underlying_price"):
        quotes[name] = quotes[name].where(quotes[name] != 0)
    return quotes, unreadable


def _occ_symbols(quotes: pd.DataFrame) -> pd.Series:
    """Return OCC symbols, missing where one cannot be made."""
    usable = ~rules.unusable_strike(quotes["strike"]) & quotes["right"].notna()
    usable &= quotes["expiration"].notna() & quotes["root"].notna()
    some = quotes.loc[usable, ["root", "expiration", "right", "strike"]]
    days = {stamp: f"{stamp:%y%m%d}" for stamp in some["expiration"].unique()}
    strikes = {price: f"{round(price * 1000):08d}" for price in some["strike"].unique()}
    symbols = (
        some["root"].astype("str")
        + some["expiration"].map(days).astype("str")
        + some["right"].map({1: "C", -1: "P"}).astype("str")
        + some["strike"].map(strikes).astype("str")
    )
    return symbols.reindex(quotes.index).astype("str")


def _quote_reasons(
    quotes: pd.DataFrame, fields: pd.DataFrame, unreadable: pd.Series, calendar: SessionCalendar
) -> NDArray[np.object_]:
    checks = [
        (QuarantineReason.DATE_UNREADABLE, quotes["session"].isna()),
        (QuarantineReason.ROOT_UNREADABLE, ~_readable_names(quotes)),
        (QuarantineReason.EXPIRATION_UNREADABLE, quotes["expiration"].isna()),
        (QuarantineReason.RIGHT_UNKNOWN, quotes["right"].isna()),
        (QuarantineReason.STRIKE_UNREADABLE, rules.unusable_strike(quotes["strike"])),
        (QuarantineReason.SESSION_CLOSED, ~rules.on_session(quotes["session"], calendar)),
        (QuarantineReason.EXPIRED_BEFORE_QUOTE, quotes["expiration"] < quotes["session"]),
        (QuarantineReason.NONSTANDARD_DELIVERABLE, fields["nonstandard"].eq(True)),
        (QuarantineReason.NUMBER_UNREADABLE, unreadable),
        (QuarantineReason.PRICE_NOT_FINITE, _any(quotes, PRICES, np.isinf)),
        (QuarantineReason.PRICE_NEGATIVE, _any(quotes, PRICES, _negative)),
        (QuarantineReason.COUNT_NEGATIVE, _any(quotes, COUNTS, _no_count)),
        (QuarantineReason.EARLIER_SNAPSHOT, _earlier_snapshot(quotes, fields)),
    ]
    reasons = rules.first_reason(quotes.index, checks)
    keys = ["session", "symbol"]
    return mark_repeats(quotes[[*keys, *PRICES, *COUNTS]], reasons, keys)


def _any(
    quotes: pd.DataFrame,
    names: tuple[str, ...],
    test: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
) -> pd.Series:
    masks = [test(quotes[name].to_numpy(dtype=np.float64)) for name in names]
    return pd.Series(np.logical_or.reduce(masks), index=quotes.index)


def _negative(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return values < 0


def _no_count(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (values < 0) | np.isinf(values)


def _readable_names(quotes: pd.DataFrame) -> pd.Series:
    # Few distinct names stand in many rows: judge each name once.
    roots = pd.Series(quotes["root"].dropna().unique(), dtype="str")
    good = set(roots[roots.str.fullmatch(r"[A-Z]{1,6}\d?")])
    named = quotes["underlying"].notna() & ~quotes["underlying"].isin(["", "NAN", "NONE"])
    return quotes["root"].isin(good) & named


def _earlier_snapshot(quotes: pd.DataFrame, fields: pd.DataFrame) -> pd.Series:
    """Where a file holds several snapshots of a day, all but the last."""
    taken, _ = parse_numbers(fields["read_time"])
    if taken.isna().all():
        return pd.Series(False, index=quotes.index)
    latest = taken.groupby(quotes["session"]).transform("max")
    return taken < latest


def _infer_index_roots(
    quotes: pd.DataFrame, calendar: SessionCalendar
) -> tuple[pd.Series, pd.Series]:
    """Give index contracts without a root the one that lists their expiration.

    The AM-settled root (SPX) lists the third Friday (the Saturday after it before 2015, the
    session before it on a holiday); every other expiration is the PM-settled root's (SPXW).
    """
    pm_root = quotes["root"].map(_PM_SETTLED_ROOT)
    inferred = pm_root.notna()
    if not inferred.any():
        return quotes["root"], inferred
    expirations = quotes["expiration"]
    monthly = expirations.map(
        {stamp: _is_monthly(stamp.date(), calendar) for stamp in expirations.dropna().unique()}
    ).eq(True)
    return quotes["root"].where(~inferred | monthly, pm_root).astype("str"), inferred


def _is_monthly(expiration: date, calendar: SessionCalendar) -> bool:
    first = expiration.replace(day=1)
    third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    if expiration in (third_friday, third_friday + timedelta(days=1)):
        return True
    if expiration != third_friday - timedelta(days=1):
        return False
    try:
        return not calendar.is_session(third_friday)
    except UnknownSession:
        return False


def _raw_rows(
    table: pd.DataFrame, fields: pd.DataFrame, reasons: NDArray[np.object_]
) -> pd.DataFrame:
    """Rows of the file behind the quarantined contracts, aligned with `fields`.

    Only the side that is meant is kept of a row with a call and a put side.
    """
    if len(fields) == len(table):
        return table.reset_index(drop=True)
    sides = []
    for number, other in enumerate(("P_", "C_")):
        bad = reasons[number * len(table) : (number + 1) * len(table)] != ""
        mine = [name for name in table.columns if not name.strip(" []").startswith(other)]
        sides.append(table.loc[bad, mine])
    gathered: pd.DataFrame = pd.concat(sides, ignore_index=True)
    gathered.index = pd.Index(np.flatnonzero(reasons != ""))
    return gathered.reindex(fields.index)


def fill_previous_volume(quotes: pd.DataFrame, previous: pd.DataFrame | None) -> pd.DataFrame:
    """Return quotes with `previous_volume` from the session before; NaN where that is unknown."""
    if previous is None or previous.empty:
        return quotes.assign(previous_volume=np.nan)
    volume = pd.Series(previous["volume"].to_numpy(), index=previous["symbol"].to_numpy())
    filled = quotes["symbol"].map(volume).astype("float64")
    result: pd.DataFrame = quotes.assign(previous_volume=filled)
    return result
