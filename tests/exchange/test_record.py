"""The record of the wire: what is in it, what is not, and where it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.exchange.wire.record import (
    FOLDER_VARIABLE,
    LONG_ONES_KEPT,
    LONGEST_BODY,
    WireRecord,
)
from tests.exchange.fakes import OPENING, HandMadeMarket, put
from tests.exchange.orders import single

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path / "wire"


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(HandMadeMarket(), tmp_path / "state", ExchangeTerms(start_at=OPENING))


def rows(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_request_is_written_with_its_answer_and_without_keys(
    exchange: Exchange, folder: Path
) -> None:
    fault = {"path": "/v2/positions", "fault": {"kind": "fail", "status": 503}}
    plan = parse_faults(json.dumps({"rules": [fault]}), source="test")
    body = single(put(95), "buy", "0.10", qty=3)
    with TestClient(build_wire(exchange, faults=plan, record=folder), headers=KEYS) as client:
        client.post("/v2/orders", json=body)
        client.get("/v2/positions")
        client.get("/v2/account", headers={"APCA-API-SECRET-KEY": "wrong"})
        client.get("/control/status")
        client.post("/v2/orders", json=body, headers={"APCA-API-SECRET-KEY": "wrong"})
    sent, failed, unauthorized, unread = rows(folder)
    assert json.loads(unread["sent"]) == body, "though nobody but the record read it"
    assert (sent["method"], sent["target"], sent["status"]) == ("POST", "/v2/orders", 200)
    assert json.loads(sent["sent"]) == body
    assert json.loads(sent["answered"])["qty"] == "3"
    assert sent["limits"] == ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    assert (failed["status"], failed["kind"], failed["fault"]) == (503, "fail", "fail")
    assert (unauthorized["status"], unauthorized["limits"]) == (401, [])
    (file,) = folder.iterdir()
    assert "secret" not in file.read_text()


def test_a_folder_is_named_by_the_environment(
    exchange: Exchange, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        client.get("/v2/clock")
    assert [row["target"] for row in rows(folder)] == ["/v2/clock"]


def test_without_a_folder_nothing_is_written(exchange: Exchange, folder: Path) -> None:
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        client.get("/v2/clock")
    assert not folder.exists()


def test_long_answers_are_kept_whole_a_few_times_only(folder: Path) -> None:
    record = WireRecord(folder)
    long = bytearray(LONGEST_BODY + 1)
    kept = [record.keeps(long, "GET", "get_chain", 200) for _ in range(LONG_ONES_KEPT + 1)]
    assert kept == [True] * LONG_ONES_KEPT + [False]
    assert record.keeps(long, "GET", "get_contracts", 200)
    assert all(record.keeps(bytearray(LONGEST_BODY), "GET", "get_chain", 200) for _ in range(9))


def test_a_full_file_says_so_and_ends(folder: Path) -> None:
    record = WireRecord(folder, most_bytes=60)
    for number in range(9):
        record.write({"number": number, "text": "x" * 10})
    record.close()
    written = rows(folder)
    assert written[-1] == {"full": True}
    assert [row["number"] for row in written[:-1]] == [0, 1]
