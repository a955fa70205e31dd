"""Archives into the lake: each file whole or not at all, each row accounted for.

Quotes go to the table `archive_quotes` by session; daily bars, volatility indices and rates to
reference tables of these names; rows that cannot be used to the reference table `quarantine`.
Ingesting the same files again, in any order, changes nothing.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import UnreadableFile
from mahler_pipelines.market.archive_layouts import Layout
from mahler_pipelines.market.archive_rules import (
    QUARANTINE_COLUMNS,
    ArchiveRows,
    QuarantineReason,
    as_json,
)
from mahler_pipelines.market.archive_series import read_bars, read_rates, read_volatility_indices
from mahler_pipelines.market.archives import read_chain
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.storage.archive_files import (
    ArchiveFile,
    archive_paths,
    file_hash,
    file_layout,
    read_archive_file,
)
from mahler_pipelines.storage.archive_merge import Merge, merge_quotes, merge_reference
from mahler_pipelines.storage.ingest_report import FileReport, IngestReport

INGESTED_FILES = "ingested_files"
QUARANTINE = "quarantine"

REFERENCE_KEYS: dict[str, tuple[str, ...]] = {
    "daily_bars": ("underlying", "session", "source"),
    "volatility_indices": ("name", "session"),
    "rates": ("name", "session"),
}
"""Reference tables and what identifies a row in them."""

_REFERENCE_TABLES = {
    Layout.DAILY_BARS: "daily_bars",
    Layout.VOLATILITY_INDICES: "volatility_indices",
    Layout.VOLATILITY_INDEX_BARS: "volatility_indices",
    Layout.RATES: "rates",
}

Progress = Callable[[Path, int, int], None]
"""Called before each file with its path, its number from 1, and how many there are."""


def ingest(paths: Sequence[Path], lake: Lake, *, progress: Progress | None = None) -> IngestReport:
    """Bring files, or all tables in folders, into the lake and report every row.

    A file that is missing, truncated or of no known layout is named in the report's `unreadable`
    and leaves nothing behind; the others are ingested. Errors of the lake itself are raised.
    """
    calendar = TradingCalendar()
    files: list[FileReport] = []
    unreadable: list[UnreadableFile] = []
    found = archive_paths(paths)
    for number, path in enumerate(found, start=1):
        if progress is not None:
            progress(path, number, len(found))
        try:
            files.append(_ingest_file(path, lake, calendar))
        except UnreadableFile as error:
            unreadable.append(error)
    return IngestReport(tuple(files), tuple(unreadable))


def archive_identity(paths: Sequence[Path]) -> str:
    """Return the name of the book of these files, `archive-` and twelve digits of their content.

    Neither order nor names matter. Raises `UnreadableFile` for a file that is not there.
    """
    hashes = sorted({file_hash(path) for path in archive_paths(paths)})
    return f"archive-{hashlib.sha256(' '.join(hashes).encode()).hexdigest()[:12]}"


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the bars, volatility indices and rates that lie beside a chain file.

    They are recognised by their header; siblings that cannot be read are left out.
    """
    return tuple(
        sibling
        for sibling in archive_paths([path.parent])
        if sibling != path and _layout_or_none(sibling) in _REFERENCE_TABLES
    )


def _layout_or_none(path: Path) -> Layout | None:
    try:
        return file_layout(path)
    except UnreadableFile:
        return None


def _ingest_file(path: Path, lake: Lake, calendar: TradingCalendar) -> FileReport:
    sha256 = file_hash(path)
    known = lake.read_reference(INGESTED_FILES)
    if not known.empty and (known["sha256"] == sha256).any():
        record = known.loc[known["sha256"] == sha256].iloc[0]
        return FileReport.from_record({str(name): value for name, value in record.items()})
    file = read_archive_file(path)
    archived = _read_rows(file, calendar)
    merge = _merge(file, archived, lake, calendar)
    conflicts = _conflict_rows(path.name, archived.row_numbers, merge)
    quarantined = pd.concat([archived.quarantined, file.ragged, conflicts], ignore_index=True)
    _add_reference(lake, QUARANTINE, quarantined.assign(file_sha256=sha256))
    report = _report(file, archived, merge, quarantined)
    # The file counts as ingested only once everything of it is in the lake.
    _add_reference(lake, INGESTED_FILES, pd.DataFrame([report.as_record()]))
    return report


def _read_rows(file: ArchiveFile, calendar: TradingCalendar) -> ArchiveRows:
    name = file.path.name
    if file.layout.is_chain:
        return read_chain(file.table, file.layout, source_file=name, calendar=calendar)
    if file.layout is Layout.DAILY_BARS:
        return read_bars(file.table, source_file=name, calendar=calendar)
    if file.layout is Layout.RATES:
        return read_rates(file.table, source_file=name)
    return read_volatility_indices(file.table, file.layout, source_file=name, calendar=calendar)


def _merge(
    file: ArchiveFile, archived: ArchiveRows, lake: Lake, calendar: TradingCalendar
) -> Merge:
    if file.layout.is_chain:
        return merge_quotes(lake, archived.rows, calendar)
    table = _REFERENCE_TABLES[file.layout]
    return merge_reference(lake, table, archived.rows, keys=REFERENCE_KEYS[table])


def _conflict_rows(source_file: str, row_numbers: NDArray[np.int64], merge: Merge) -> pd.DataFrame:
    positions = merge.conflicting["position"].to_numpy(dtype="int64")
    pairs = zip(
        merge.conflicting["in_lake"].to_list(), merge.conflicting["in_file"].to_list(), strict=True
    )
    rows: dict[str, Any] = {
        "source_file": source_file,
        "row_number": row_numbers[positions],
        "reason": str(QuarantineReason.CONFLICTS_WITH_INGESTED),
        "raw": [as_json({"ingested": old, "file": new}) for old, new in pairs],
    }
    frame = pd.DataFrame(rows, columns=list(QUARANTINE_COLUMNS), index=range(len(positions)))
    return frame.astype({"source_file": "str", "reason": "str", "raw": "str"})


def _add_reference(lake: Lake, table: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    known = lake.read_reference(table)
    together = rows if known.empty else pd.concat([known, rows], ignore_index=True)
    lake.write_reference(table, together.drop_duplicates(ignore_index=True))


def _report(
    file: ArchiveFile, archived: ArchiveRows, merge: Merge, quarantined: pd.DataFrame
) -> FileReport:
    rows = archived.rows
    days = rows["session"].drop_duplicates() if len(rows) else rows["session"]
    reasons = quarantined["reason"].value_counts().to_dict()
    names = rows["underlying"].unique() if file.layout.is_chain else ()
    return FileReport(
        name=file.path.name,
        sha256=file.sha256,
        layout=str(file.layout),
        rows=len(rows) + len(archived.quarantined) + len(file.ragged),
        kept=merge.added,
        unchanged=merge.unchanged,
        quarantined={str(reason): int(count) for reason, count in sorted(reasons.items())},
        defects=archived.defects,
        sessions=len(days),
        first_session=days.min().date() if len(days) else None,
        last_session=days.max().date() if len(days) else None,
        underlyings=tuple(sorted(str(name) for name in names)),
    )
