"""Partitions: what the graph is cut along."""

from datetime import UTC, date, datetime

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.orchestration.partitions import (
    recommendations_of,
    scan_key,
    scan_partition,
    scans,
    session_key,
    sessions,
)


def test_sessions_are_trading_days_and_nothing_else() -> None:
    """Weekends, holidays and special closures have no partition that could stay empty."""
    asked = datetime(2025, 7, 7, 15, tzinfo=UTC)
    keys = sessions.get_partition_keys(current_time=asked)
    july = [key for key in keys if key.startswith("2025-07")]
    assert july == ["2025-07-01", "2025-07-02", "2025-07-03", "2025-07-07"]
    assert "2025-01-09" not in keys, "the day of mourning for President Carter"
    assert keys[0] == "2010-01-04"


def test_today_has_a_partition_before_the_day_is_over() -> None:
    """Dagster opens a time window when it ends; a desk needs the session it is in."""
    begun = datetime(2025, 3, 4, 6, tzinfo=UTC)
    assert sessions.get_partition_keys(current_time=begun)[-1] == "2025-03-04"


@pytest.mark.parametrize("scan", list(Scan))
def test_scan_key_reads_back(scan: Scan) -> None:
    session = date(2025, 3, 3)
    key = scan_key(session, scan)
    assert scan_partition(str(key)) == (session, scan)
    assert key.keys_by_dimension == {"session": session_key(session), "scan": scan.value}


def test_scans_are_the_scans_of_the_market() -> None:
    assert scans.get_partition_keys() == [scan.value for scan in Scan]


@pytest.mark.parametrize("key", ["", "2025-03-03", "2025-03-03|morning", "noon|2025-03-03", "a|b"])
def test_key_of_another_form_is_refused_with_the_key(key: str) -> None:
    with pytest.raises(BadInput, match=r"not a scan\|session key") as refused:
        scan_partition(key)
    assert refused.value.value == key


def test_recommendations_of_accounts_are_apart() -> None:
    names = {str(recommendations_of(account).name) for account in ("main", "second")}
    assert names == {"main_recommendations", "second_recommendations"}
