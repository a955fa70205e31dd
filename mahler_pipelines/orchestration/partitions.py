"""Partitions of the graph: sessions, scans, and the recommendations of an account.

This module stands below `assets`, which are cut along it.
"""

from datetime import date, datetime, time
from typing import NamedTuple

import dagster as dg

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.closed_weekdays import closed_weekdays

FIRST_SESSION = date(2010, 1, 4)
SESSION_FORMAT = "%Y-%m-%d"
SESSIONS_PER_RUN = 63
"""How many sessions one run of a backfill takes: a quarter of a year, so that each is soon done."""


class ScanPartition(NamedTuple):
    """Session and scan of a market partition."""

    session: date
    scan: Scan


sessions = dg.TimeWindowPartitionsDefinition(
    start=FIRST_SESSION.strftime(SESSION_FORMAT),
    fmt=SESSION_FORMAT,
    cron_schedule="0 0 * * 1-5",
    timezone="America/New_York",
    end_offset=1,
    exclusions=[datetime.combine(day, time()) for day in closed_weekdays()],
)
"""NYSE trading days; `end_offset=1` so that today exists."""

scans = dg.StaticPartitionsDefinition([scan.value for scan in Scan])
"""The moments of a session at which every chain is looked at."""

session_scans = dg.MultiPartitionsDefinition({"session": sessions, "scan": scans})
"""The grain of everything that faces the market."""


def recommendations_of(account_id: str) -> dg.DynamicPartitionsDefinition:
    """The recommendations of one account: the grain of orders and fills."""
    return dg.DynamicPartitionsDefinition(name=f"{account_id}_recommendations")


def scan_key(session: date, scan: Scan) -> dg.MultiPartitionKey:
    """The partition key of a session's scan."""
    return dg.MultiPartitionKey({"session": session_key(session), "scan": scan.value})


def session_key(session: date) -> str:
    """The partition key of a session."""
    return session.strftime(SESSION_FORMAT)


def session_range_tags(first: date, last: date) -> dict[str, str]:
    """The tags of a run that takes all sessions from first to last."""
    prefix = "dagster/asset_partition_range"
    return {f"{prefix}_start": session_key(first), f"{prefix}_end": session_key(last)}


def scan_partition(key: str) -> ScanPartition:
    """Read a `scan|session` key (dimensions in alphabetical order, as Dagster writes them).

    Raises `BadInput` when the key is not of that form.
    """
    scan, _, session = key.partition("|")
    try:
        return ScanPartition(date.fromisoformat(session), Scan(scan))
    except ValueError:
        raise BadInput("partition", key, "not a scan|session key") from None
