"""What an ingest did, file by file."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mahler_pipelines.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: every row is kept, unchanged (the lake has it) or quarantined for a reason.

    A row of an OptionsDX file counts twice, as its call and its put. `defects` counts kept quotes
    of bad quality by code. `already_ingested` files were not looked into again: the counts are
    those of the first time.
    """

    name: str
    sha256: str
    layout: str
    rows: int
    kept: int
    unchanged: int
    quarantined: Mapping[str, int]
    defects: Mapping[str, int]
    sessions: int
    first_session: date | None
    last_session: date | None
    underlyings: tuple[str, ...]
    already_ingested: bool = False

    def as_record(self) -> dict[str, Any]:
        """Return the report as a row of the table of ingested files."""
        return {
            "sha256": self.sha256,
            "name": self.name,
            "layout": self.layout,
            "rows": self.rows,
            "kept": self.kept,
            "unchanged": self.unchanged,
            "quarantined": json.dumps(dict(self.quarantined), sort_keys=True),
            "defects": json.dumps(dict(self.defects), sort_keys=True),
            "sessions": self.sessions,
            "first_session": self.first_session.isoformat() if self.first_session else "",
            "last_session": self.last_session.isoformat() if self.last_session else "",
            "underlyings": ",".join(self.underlyings),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "FileReport":
        """Read back a row of the table of ingested files, as already ingested."""
        names = str(record["underlyings"])
        return cls(
            name=str(record["name"]),
            sha256=str(record["sha256"]),
            layout=str(record["layout"]),
            rows=int(record["rows"]),
            kept=int(record["kept"]),
            unchanged=int(record["unchanged"]),
            quarantined=json.loads(record["quarantined"]),
            defects=json.loads(record["defects"]),
            sessions=int(record["sessions"]),
            first_session=_day(record["first_session"]),
            last_session=_day(record["last_session"]),
            underlyings=tuple(names.split(",")) if names else (),
            already_ingested=True,
        )


def _day(text: object) -> date | None:
    return date.fromisoformat(str(text)) if text else None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """All files of one ingest; `unreadable` files left nothing behind."""

    files: tuple[FileReport, ...]
    unreadable: tuple[UnreadableFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def kept(self) -> int:
        """Rows that were new and are now in the lake."""
        return sum(file.kept for file in self.files if not file.already_ingested)

    @property
    def quarantined(self) -> dict[str, int]:
        """Quarantined rows by reason."""
        return _added(file.quarantined for file in self.files)

    @property
    def defects(self) -> dict[str, int]:
        """Kept quotes of bad quality by code."""
        return _added(file.defects for file in self.files)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Underlyings with option quotes."""
        return tuple(sorted({name for file in self.files for name in file.underlyings}))


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
