"""The gate over the run: it finds what is wrong, and takes nothing for another."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.wire_gate import Exchanged, error_form, judge, shape_of, violations_of

CLOCK = {
    "timestamp": "2026-11-20T10:00:00-05:00",
    "is_open": True,
    "next_open": "2026-11-23T09:30:00-05:00",
    "next_close": "2026-11-20T16:00:00-05:00",
}
ASKED = Exchanged("GET", "/v2/clock", None, 200, CLOCK)
ORDER = {"symbol": "XYZ", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}


def row(one: Exchanged, **more: Any) -> str:
    """A row of a record, as an exchange writes it."""
    written = {
        "method": one.method,
        "target": one.target,
        "agent": "APCA-PY/0.44.0" if one.is_ours else "curl",
        "sent": "" if one.body is None else json.dumps(one.body),
        "status": one.status,
        "limits": list(one.limits or ()),
        "answered": "" if one.answer is None else json.dumps(one.answer),
        "kind": one.fault,
        "fault": one.fault,
    }
    return json.dumps(written | more) + "\n"


@pytest.mark.usefixtures("shared_specs")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(ASKED, target="/v2/clock?zone=UTC"), "query.zone: not in the spec"),
        (replace(ASKED, target="/v2/o_clock"), "no such operation"),
        (replace(ASKED, answer=CLOCK | {"is_open": "yes"}), "is_open"),
        (replace(ASKED, status=201), "status 201 not in the spec"),
        (Exchanged("POST", "/v2/orders", {**ORDER, "side": "up"}, None, None), "side"),
        (Exchanged("POST", "/v2/orders", None, None, None), "body: missing"),
        (replace(ASKED, status=500, answer={"message": "no"}), "without a code"),
        (replace(ASKED, status=500, answer="<html>"), "without Alpaca's body"),
        (replace(ASKED, status=404, answer={"code": 42210000, "message": ""}), "with status 404"),
        (replace(ASKED, status=403, answer={"code": 40310000}), "without a message"),
        (
            replace(ASKED, status=429, answer={"code": 42910000, "message": ""}, limits=()),
            "429 without x-ratelimit-limit",
        ),
        (
            Exchanged(
                "DELETE",
                "/v2/positions",
                None,
                207,
                [{"symbol": "XYZ", "status": 403, "body": {"code": 1, "message": "no"}}],
            ),
            "code 1 with status 403",
        ),
    ],
)
def test_what_is_wrong_is_found(wrong: Exchanged, said: str) -> None:
    assert any(said in found for found in violations_of(wrong)), violations_of(wrong)


@pytest.mark.usefixtures("shared_specs")
@pytest.mark.parametrize(
    "right",
    [
        ASKED,
        replace(ASKED, status=None, answer=None),
        replace(ASKED, status=401, answer={"message": "unauthorized"}),
        replace(ASKED, status=503, answer="<html>", fault="fail"),
        replace(ASKED, status=503, answer=None, fault="fail"),
        replace(ASKED, status=422, answer={"code": 40010001, "message": "unique"}),
        replace(ASKED, answer={"is_open": "a_word_of_tomorrow"}, fault="unknown_value"),
        replace(ASKED, target="/v2/clock?zone=UTC", is_ours=False),
        Exchanged("DELETE", "/v2/positions?cancel_orders=True", None, 207, []),
        replace(ASKED, target="/control/status", answer={}),
    ],
)
def test_what_is_right_passes(right: Exchanged) -> None:
    assert violations_of(right) == []


def test_an_error_that_a_plan_made_without_a_code_has_none() -> None:
    answer = {"message": "no"}
    assert error_form(replace(ASKED, status=404, answer=answer, fault="refuse")) == []
    assert error_form(replace(ASKED, status=404, answer=answer)) != []


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, answer=CLOCK | {"is_open": None}),
        replace(ASKED, answer=CLOCK | {"is_open": 1}),
        replace(ASKED, answer=CLOCK | {"timestamp": "yesterday"}),
        replace(ASKED, answer=CLOCK | {"more": 1}),
        replace(ASKED, answer=[CLOCK]),
        replace(ASKED, target="/v2/clock?limit=1"),
        replace(ASKED, fault="hang"),
        replace(ASKED, status=422),
        replace(ASKED, is_ours=False),
    ],
)
def test_rows_that_a_schema_tells_apart_have_other_shapes(other: Exchanged) -> None:
    assert shape_of(other) != shape_of(ASKED)


def test_rows_that_differ_in_digits_have_one_shape() -> None:
    later = {name: str(value).replace("2026", "2031") for name, value in CLOCK.items()}
    assert shape_of(replace(ASKED, answer=later | {"is_open": True})) == shape_of(ASKED)
    many = [{"symbol": "XYZ", "qty": str(n), "at": n} for n in range(1, 9)]
    assert shape_of(replace(ASKED, answer=many)) == shape_of(replace(ASKED, answer=many[:1]))
    long = [replace(ASKED, body={"client_order_id": "1" * length}) for length in (128, 129)]
    assert shape_of(long[0]) != shape_of(long[1]), "a length that the interface bounds"


@pytest.mark.usefixtures("shared_specs")
def test_a_record_is_judged_row_by_row_and_half_a_line_is_none(tmp_path: Path) -> None:
    wrong = replace(ASKED, target="/v2/clock?zone=UTC")
    half = row(wrong)[:40]
    (tmp_path / "exchange-1-a.jsonl").write_text(row(ASKED) * 3 + row(wrong) + half)
    (tmp_path / "exchange-2-b.jsonl").write_text(
        row(ASKED, answered=None) + json.dumps({"full": True}) + "\n"
    )
    verdict = judge(tmp_path)
    assert (verdict.files, verdict.requests, verdict.answers) == (2, 5, 4)
    assert verdict.found == [
        "GET /v2/clock?zone=UTC: query.zone: not in the spec",
        "exchange-2-b.jsonl is full: what followed was not judged",
    ]


RUN = """
import pytest
from starlette.testclient import TestClient
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import build_wire
from tests.exchange.fakes import OPENING, HandMadeMarket

@pytest.mark.parametrize("query", ["", "?zone=UTC"])
def test_asks(tmp_path, query):
    exchange = Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))
    keys = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
    with TestClient(build_wire(exchange), headers=keys | {"User-Agent": "APCA-PY"}) as client:
        assert client.get("/v2/clock" + query).status_code == 200
"""


@pytest.mark.usefixtures("shared_specs")
def test_a_violation_in_a_worker_fails_the_run(tmp_path: Path, repository_root: Path) -> None:
    """A run of its own, whose tests all pass: one of its two requests has a strange parameter."""
    (tmp_path / "conftest.py").write_text("from tests.wire_gate import pytest_configure\n")
    (tmp_path / "test_asks.py").write_text(RUN)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository_root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "2 requests and 2 answers of 2 exchanges (2 shapes): 1 violations" in ran.stdout
    assert "GET /v2/clock?zone=UTC: query.zone: not in the spec" in ran.stdout
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
