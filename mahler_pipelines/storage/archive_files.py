"""Files of archived market data: found, hashed and read whole, or named as unreadable."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mahler_pipelines.errors import UnreadableFile
from mahler_pipelines.market.archive_layouts import Layout, normalise_header, recognise
from mahler_pipelines.market.archive_rules import QUARANTINE_COLUMNS, QuarantineReason, as_json

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".txt", ".txt.gz")
"""Files that are looked at in a folder; OptionsDX delivers its tables as .txt."""

_LARGEST_HEADER = 64 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveFile:
    """A file read whole. `ragged` are rows with a wrong number of columns, as quarantined."""

    path: Path
    sha256: str
    layout: Layout
    table: pd.DataFrame
    ragged: pd.DataFrame


def archive_paths(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files meant by files and folders, sorted and once each.

    A folder stands for the files directly in it that could be tables; a named file for itself.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(child for child in path.iterdir() if child.name.endswith(SUFFIXES))
            found.update(dict.fromkeys(child for child in inside if child.is_file()))
        else:
            found[path] = None
    return tuple(found)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file; raise `UnreadableFile` when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile("path", str(path), _reason(error)) from error


def file_layout(path: Path) -> Layout | None:
    """Return the layout of a file by its header alone, or None when it has none of ours."""
    return recognise(_header(path), path.name)


def read_archive_file(path: Path) -> ArchiveFile:
    """Read a whole file.

    Raises `UnreadableFile` with the reason when it is missing, empty, truncated, damaged or of no
    known layout; a file is used whole or not at all.
    """
    sha256 = file_hash(path)
    header = _header(path)
    layout = recognise(header, path.name)
    if layout is None:
        columns = ", ".join(header[:12])
        raise UnreadableFile("path", str(path), f"no known layout has the columns {columns}")
    if len(set(normalise_header(header))) < len(header):
        raise UnreadableFile("path", str(path), "a column appears twice in the header")
    try:
        read = _read_parquet if path.suffix == ".parquet" else _read_text
        table, ragged = read(path)
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        raise UnreadableFile("path", str(path), _reason(error)) from error
    if table.empty and ragged.empty:
        raise UnreadableFile("path", str(path), "holds no rows")
    return ArchiveFile(path, sha256, layout, table, ragged)


def _header(path: Path) -> list[str]:
    try:
        if path.stat().st_size == 0:
            raise UnreadableFile("path", str(path), "is empty")
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            line = stream.readline(_LARGEST_HEADER).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        raise UnreadableFile("path", str(path), _reason(error)) from error
    return [name.strip().strip('"') for name in line.rstrip("\r\n").split(_delimiter(line))]


def _delimiter(line: str) -> str:
    return max((",", "\t", ";"), key=line.count)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, EOFError):
        return "is truncated"
    return f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _read_parquet(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    arrow = pq.read_table(path)
    table = arrow.to_pandas(date_as_object=False, split_blocks=True, self_destruct=True)
    return table.reset_index(drop=True), _no_ragged()


def _read_text(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every cell as text, so that what cannot be parsed can be shown as it came."""
    header = _header(path)
    ragged: list[tuple[int, str]] = []

    def note(row: pa_csv.InvalidRow) -> str:
        ragged.append((int(row.number), str(row.text)))
        return "skip"

    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        first = stream.readline(_LARGEST_HEADER).decode("utf-8-sig")
        if not stream.peek(1):
            return pd.DataFrame(), _no_ragged()
        arrow = pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(column_names=header, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=_delimiter(first), invalid_row_handler=note
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    if ragged and _ends_within_row(path, ragged[-1][1]):
        raise EOFError
    table = arrow.to_pandas()
    return _number_rows(table, [number for number, _ in ragged]), _ragged_rows(path, ragged)


def _ends_within_row(path: Path, last_ragged: str) -> bool:
    """Whether the file breaks off inside its last row."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        tail = b""
        while block := stream.read(1 << 20):
            tail = (tail + block)[-_LARGEST_HEADER:]
    return not tail.endswith(b"\n") and tail.decode("utf-8", "replace").endswith(last_ragged)


def _number_rows(table: pd.DataFrame, skipped: list[int]) -> pd.DataFrame:
    if not skipped:
        return table
    everything = np.arange(1, len(table) + len(skipped) + 1)
    return table.assign(row_number=np.setdiff1d(everything, skipped))


def _ragged_rows(path: Path, ragged: list[tuple[int, str]]) -> pd.DataFrame:
    if not ragged:
        return _no_ragged()
    return pd.DataFrame(
        {
            "source_file": path.name,
            "row_number": [number for number, _ in ragged],
            "reason": str(QuarantineReason.COLUMNS_MISSING),
            "raw": [as_json({"line": text}) for _, text in ragged],
        }
    ).astype({"source_file": "str", "reason": "str", "raw": "str"})


def _no_ragged() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="str") for name in QUARANTINE_COLUMNS}).astype(
        {"row_number": "int64"}
    )
