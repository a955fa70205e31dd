"""Frames as Parquet bytes and back, and many partitions as one frame.

One partition is read with pyarrow, many with DuckDB where they are local files. Measured on two
cores, 12,000 rows of 16 columns: pyarrow 2.5 ms, DuckDB 9 ms and 13 ms more to connect; on 750
partitions of 400 rows: DuckDB 0.18 s (three columns 0.08 s), pyarrow 0.74 s (0.26 s).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mahler_pipelines.errors import BadInput, CorruptData

PARTITION_COLUMNS = ("session", "scan")


@dataclass(frozen=True, slots=True)
class Partition:
    """One stored partition: its relative path and the values its folders carry."""

    path: str
    session: date
    scan: str | None


def encode(rows: pd.DataFrame, *, metadata: dict[str, str] | None = None) -> bytes:
    """Return the frame as zstd Parquet with extra key-value metadata.

    Raises `BadInput` for a named index (it would be lost) and for columns Parquet cannot hold.
    """
    if any(name is not None for name in rows.index.names):
        raise BadInput("rows", list(rows.index.names), "the index would be lost: reset it first")
    try:
        table = pa.Table.from_pandas(rows, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadInput("rows", list(rows.columns), f"Parquet cannot hold them: {error}") from error
    if metadata:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode(
    content: bytes, *, location: str, columns: Sequence[str] | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the frame in the dtypes it was written with, and its metadata.

    Raises `CorruptData` when the bytes are not a whole Parquet file.
    """
    table = _read_table(content, location=location, columns=columns)
    metadata = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
    return table.to_pandas(), metadata


def select(content: bytes, *, location: str, column: str, values: Collection[str]) -> pd.DataFrame:
    """Return the rows whose `column` is one of these values, in the dtypes they were written with.

    Raises `CorruptData` when the bytes are not a whole Parquet file or have no such column.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), filters=[(column, "in", list(values))])
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{location} is not a whole Parquet file: {error}") from error
    rows: pd.DataFrame = table.to_pandas()
    return rows


def combine(
    contents: Sequence[tuple[Partition, bytes]], *, columns: Sequence[str] | None
) -> pd.DataFrame:
    """Return all partitions as one frame with the columns `session` and `scan`, by pyarrow."""
    tables = [
        _with_partition_columns(
            _read_table(content, location=partition.path, columns=columns), partition
        )
        for partition, content in contents
    ]
    whole = pa.concat_tables(tables, promote_options="permissive")
    rows: pd.DataFrame = whole.replace_schema_metadata(tables[0].schema.metadata).to_pandas()
    return rows


def combine_local(
    partitions: Sequence[Partition], locations: Sequence[str], *, columns: Sequence[str] | None
) -> pd.DataFrame:
    """Return all partitions as one frame with the columns `session` and `scan`, by DuckDB.

    The files themselves must have neither column, and all or none of them a scan.
    """
    import duckdb

    reference = _read_schema(locations[0])
    scanned = partitions[0].scan is not None
    hive = {"session": "DATE"} | ({"scan": "VARCHAR"} if scanned else {})
    wanted = "*" if columns is None else ", ".join(_quoted((*columns, *hive)))
    with duckdb.connect() as connection:
        try:
            relation = connection.sql(
                f"SELECT {wanted} FROM read_parquet($files, union_by_name=true, "  # noqa: S608
                f"hive_partitioning=true, hive_types={hive!r})",
                params={"files": list(locations)},
            )
            table = relation.to_arrow_table()
        except duckdb.BinderException as error:
            raise BadInput("columns", columns, str(error)) from error
        except duckdb.Error as error:
            raise CorruptData(f"cannot read {locations[0]} and others: {error}") from error
    if not scanned:
        table = table.append_column("scan", pa.nulls(len(table), pa.large_string()))
    names = [name for name in table.column_names if name not in PARTITION_COLUMNS]
    table = table.select([*names, *PARTITION_COLUMNS])
    rows: pd.DataFrame = _as_written(table, reference).to_pandas()
    return rows


def has_partition_columns(location: str) -> bool:
    """Return whether a local file itself has a column `session` or `scan`."""
    return not set(PARTITION_COLUMNS).isdisjoint(_read_schema(location).names)


def empty_range(
    content: bytes | None, *, location: str, columns: Sequence[str] | None
) -> pd.DataFrame:
    """Return a range without rows: in the dtypes of a stored partition where there is one."""
    if content is None:
        rows = pd.DataFrame({name: pd.Series(dtype="object") for name in columns or ()})
    else:
        rows = decode(content, location=location, columns=columns)[0].iloc[:0]
    for name, dtype in (("session", "datetime64[us]"), ("scan", "str")):
        if name not in rows.columns:
            rows[name] = pd.Series(dtype=dtype)
    return rows


def _read_table(content: bytes, *, location: str, columns: Sequence[str] | None) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        known = file.schema_arrow.names
        picked = None if columns is None else [name for name in columns if name in known]
        if columns is not None and set(columns) - set(known) - set(PARTITION_COLUMNS):
            raise BadInput("columns", tuple(columns), f"{location} has only {known}")
        return file.read(columns=picked)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{location} is not a whole Parquet file: {error}") from error


def _read_schema(location: str) -> pa.Schema:
    try:
        return pq.read_schema(location)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{location} is not a whole Parquet file: {error}") from error


def _with_partition_columns(table: pa.Table, partition: Partition) -> pa.Table:
    values = {
        "session": pa.scalar(partition.session, pa.date32()).cast(pa.timestamp("us")),
        "scan": pa.scalar(partition.scan, pa.large_string()),
    }
    for name, value in values.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(value, len(table)))
    return table


def _as_written(table: pa.Table, reference: pa.Schema) -> pa.Table:
    # DuckDB has no durations or dictionaries and names UTC otherwise: take the written types back.
    for place, field in enumerate(table.schema):
        wanted = pa.timestamp("us") if field.name == "session" else None
        if field.name in reference.names:
            wanted = reference.field(field.name).type
        if wanted is None or wanted == field.type or not _lost_in_duckdb(wanted):
            continue
        table = table.set_column(place, field.name, table.column(place).cast(wanted))
    return table.replace_schema_metadata(reference.metadata)


def _lost_in_duckdb(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_dictionary(kind)
    )


def _quoted(names: Sequence[str]) -> list[str]:
    return ['"' + name.replace('"', '""') + '"' for name in dict.fromkeys(names)]
