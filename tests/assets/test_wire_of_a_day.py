"""The desk's main day over the wire, every request and answer of it held against the interface."""

from pathlib import Path

import pytest

from mahler_pipelines.exchange.wire.record import FOLDER_VARIABLE
from mahler_pipelines.market.chains import Scan
from tests.assets.conftest import Open
from tests.assets.desk import at, first_failure, scan_at
from tests.wire_gate import judge

ASKED = (
    '"POST", "target": "/v2/orders"',
    '"GET", "target": "/v2/orders:by_client_order_id',
    '"GET", "target": "/v2/account"',
    '"GET", "target": "/v2/positions"',
    '"GET", "target": "/v2/clock"',
    '"GET", "target": "/v1beta1/options/snapshots',
    '"GET", "target": "/v2/stocks/snapshots',
)


def test_the_main_day_conforms_to_the_published_interface(
    open_desk: Open, tmp_path: Path, shared_specs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval, its execution, a look, a scan and a summary: 0 violations."""
    assert (shared_specs / "gate.py").exists()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "wire"))
    desk = open_desk()
    desk.approve(desk.pending()[0].id)
    assert len(desk.execute_approved()) == 1
    desk.advance(scan_at(Scan.MIDDAY))
    for result in (desk.watch(), desk.scan(Scan.MIDDAY)):
        assert result.success, first_failure(result)
    desk.advance(at(16, 15))
    assert desk.summary().success

    verdict = judge(tmp_path / "wire")
    assert verdict.found == []
    (record,) = (tmp_path / "wire").iterdir()
    said = record.read_text()
    assert [asked for asked in ASKED if asked not in said] == []
    assert verdict.requests == len(said.splitlines())
