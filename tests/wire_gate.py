"""Everything that any exchange of a test run is asked and answers, judged when the run ends.

Each exchange, in a test's process or a child of it, writes a record of its wire into one folder
(`EXCHANGE_RECORD`). Where `../shared/specs` is there, every row is held against the published
interface, rows of one shape once; a violation fails the run.

What the published files can't judge is judged by the forms that CONTRACTS 1.9 states: answers of
400 and above that they don't list, and injected errors. An answer that a fault has made wrong on
purpose (half a body, an unknown word, an old quote) is not judged; its request is.
"""

import importlib.util
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mahler_pipelines.exchange.wire.record import FOLDER_VARIABLE

SPECS = Path(__file__).parents[1].parent / "shared" / "specs"
OUR_CLIENT = "APCA-PY"
"""How alpaca-py names itself: what it sends has to conform even where it is refused."""

ERRORS_MADE = ("refuse", "rate_limit", "fail")
"""Faults whose answer has a form; those of the others are wrong on purpose or the true ones."""

TRUE_ANSWERS = ("hang", "clock_jump", "fill_first", "pend")

ALLOWED = {
    # Added to Alpaca's interface on 2026-07-29 (changelog); the published file is older.
    ("/v2/account/activities", "query.order_id: not in the spec"),
    ("/v2/account/activities/{activity_type}", "query.order_id: not in the spec"),
    # alpaca-py adds its page size to everything that its data clients ask for, and the symbols of
    # a chain. The desk's own requests are held to the file without this: tests/adapters.
    ("/v2/stocks/snapshots", "query.limit: not in the spec"),
    ("/v2/stocks/quotes/latest", "query.limit: not in the spec"),
    ("/v1beta1/options/quotes/latest", "query.limit: not in the spec"),
    ("/v1beta1/options/snapshots/{underlying_symbol}", "query.symbols: not in the spec"),
}
UNJUDGEABLE = {
    # Its oneOf of trade and non-trade rows admits no answer: either kind of row satisfies both.
    "/v2/account/activities/{activity_type}",
}
_PYTHONS_BOOLEANS = {"True": "true", "False": "false"}
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request and its answer; `fault` names the kind of the injected one that it met.

    `status` is None where there was no answer; `is_cut` says that the answer was not kept whole.
    """

    method: str
    target: str
    body: Any
    status: int | None
    answer: Any
    fault: str | None = None
    is_ours: bool = True
    is_cut: bool = False
    limits: tuple[str, ...] | None = None


@dataclass(slots=True)
class Verdict:
    """What a run's records hold: rows, answers of them that were judged, shapes, violations."""

    requests: int = 0
    answers: int = 0
    shapes: int = 0
    files: int = 0
    found: list[str] = field(default_factory=list)


def specifications_are_there() -> bool:
    """Whether there is anything to judge by."""
    return (SPECS / "gate.py").exists()


@cache
def gate(name: str) -> Any:
    """Return the gate of one published file."""
    spec = importlib.util.spec_from_file_location("specs_gate", SPECS / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return module.Gate(str(SPECS / name))


# One exchange of messages


def violations(exchanged: Iterable[Exchanged]) -> list[str]:
    """What is wrong with requests and answers; [] where the specifications are absent."""
    if not specifications_are_there():
        return []
    return [wrong for one in exchanged for wrong in violations_of(one)]


def violations_of(one: Exchanged) -> list[str]:
    """What is wrong with one request and its answer."""
    if one.target.startswith("/control/"):
        return []
    place = f"{one.method} {one.target}"
    # What a test sends by hand shows how it is answered; the clients' requests have to conform.
    found = [f"{place}: {wrong}" for wrong in _request_errors(one)] if one.is_ours else []
    return found + [f"{place} answer {one.status}: {wrong}" for wrong in _answer_errors(one)]


def _gate_of(one: Exchanged) -> Any:
    is_data = one.target.startswith(("/v1beta1", "/v1/corporate-actions", "/v2/stocks"))
    return gate("alpaca-market-data-api.json" if is_data else "alpaca-trading-api.overlay.json")


def _request_errors(one: Exchanged) -> list[str]:
    target = re.sub(
        r"(?<==)(True|False)(?=&|$)", lambda found: _PYTHONS_BOOLEANS[found[0]], one.target
    )
    operation = _gate_of(one).find(one.method, one.target)
    errors = _gate_of(one).request(one.method, target, one.body)
    return [error for error in errors if (operation and operation[0], error) not in ALLOWED]


def _answer_errors(one: Exchanged) -> list[str]:
    if one.status is None or one.is_cut:
        return []
    if one.fault is not None and one.fault not in TRUE_ANSWERS:
        return error_form(one) if one.fault in ERRORS_MADE else []
    if one.status >= 400:
        return error_form(one) + (_schema_errors(one) if _lists(one) else [])
    operation = _gate_of(one).find(one.method, one.target)
    if operation is not None and operation[0] in UNJUDGEABLE:
        return []
    if one.status == 207:
        return _multi_status_errors(one)
    return _schema_errors(one)


def _schema_errors(one: Exchanged) -> list[str]:
    return list(_gate_of(one).response(one.method, one.target, one.status, one.answer))


def _lists(one: Exchanged) -> bool:
    """Whether the published file says what the answer of this status looks like."""
    operation = _gate_of(one).find(one.method, one.target)
    answer = operation and operation[1]["responses"].get(str(one.status))
    return bool(answer and answer.get("content"))


def _multi_status_errors(one: Exchanged) -> list[str]:
    """Rows that succeeded by the published file, refused ones by the form of errors."""
    good = [row for row in one.answer if row["status"] < 400]
    errors = _schema_errors(replace(one, answer=good))
    for row in one.answer:
        if row["status"] >= 400 and "body" in row:
            errors += error_form(replace(one, status=row["status"], answer=row["body"]))
    return errors


def error_form(one: Exchanged) -> list[str]:
    """CONTRACTS 1.9: `code` begins with the status, `message` is text; 401 and 403 may lack a code.

    40010001 comes with 400 and 422. A failing server may answer a page or nothing at all. 429 says
    when there are requests left.
    """
    status, body = one.status or 0, one.answer
    if status >= 500 and not isinstance(body, dict):
        return [] if one.fault == "fail" else ["a failure without Alpaca's body"]
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        return ["an error without a message"]
    code = body.get("code")
    if code is None:
        may_lack = status in (401, 403) or one.fault == "refuse"  # as its plan says
        return [] if may_lack else [f"status {status} without a code"]
    known = code // 100_000 == status or (code == 40010001 and status in (400, 422))
    errors = [] if known else [f"code {code} with status {status}"]
    if status == 429 and one.limits is not None:
        wanted = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
        errors += [f"429 without {name}" for name in sorted(wanted - set(one.limits))]
    return errors


# A record


def judge(folder: Path) -> Verdict:
    """Judge every record in a folder: all of it where the run is small, one row of each shape."""
    verdict, judged = Verdict(), set[Any]()
    for file in sorted(folder.glob("exchange-*.jsonl")):
        verdict.files += 1
        for row in _rows(file):
            if row.get("full"):
                verdict.found.append(f"{file.name} is full: what followed was not judged")
                continue
            one = exchanged_of(row)
            verdict.requests += 1
            verdict.answers += one.status is not None and not one.is_cut
            shape = shape_of(one)
            if shape not in judged:
                judged.add(shape)
                verdict.found += violations_of(one)
    verdict.shapes = len(judged)
    return verdict


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # An exchange that is killed may leave half a line.
                yield json.loads(line)


def exchanged_of(row: dict[str, Any]) -> Exchanged:
    """Read a row of a record."""
    kind, answered = row["kind"], row["answered"]
    return Exchanged(
        row["method"],
        row["target"],
        parsed(row["sent"]),
        row["status"],
        None if answered is None else parsed(answered),
        kind,
        row["agent"].startswith(OUR_CLIENT),
        answered is None,
        tuple(row["limits"]),
    )


def parsed(text: str) -> Any:
    """Parse a body; what is no JSON stays text, and no body is None."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


# Shapes: rows that no schema tells apart


def shape_of(one: Exchanged) -> Any:
    """What a row has in common with those that are judged alike.

    Digits of texts are interchangeable, but for their number beyond the longest client id; numbers
    by type and sign; words, which an enumeration may list, stay. Parameters keep their values where
    these are numbers or words.
    """
    url = urlsplit(one.target)
    query = tuple(
        (name, value if value.isdigit() else _text(value))
        for name, value in parse_qsl(url.query, keep_blank_values=True)
    )
    return (
        (one.method, _text(url.path), query, one.status, one.fault, one.is_ours, one.is_cut),
        (_shape(one.body), _shape(one.answer), one.limits),
    )


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((_text(key), _shape(member)) for key, member in value.items())
    if isinstance(value, list):
        return ("list", frozenset(map(_shape, value)), bool(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    return type(value).__name__, (value > 0) - (value < 0)


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SYMBOL = re.compile(r"\b[A-Z]{1,6}\d?(?=\d{6}[CP]\d{8}\b)")
_DIGITS = re.compile(r"\d+")


@cache
def _text(text: str) -> tuple[str, bool]:
    plain = _SYMBOL.sub("ROOT", _UUID.sub("uuid", text))
    return _DIGITS.sub("9", plain), len(text) > 128


# The run


class WireGate:
    """Plugin of the process that judges: gives every exchange of the run a folder to write into."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wire-"))
        self._verdict = Verdict()
        os.environ[FOLDER_VARIABLE] = str(self._folder)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge what was recorded; a violation fails the run."""
        os.environ.pop(FOLDER_VARIABLE, None)
        self._verdict = judge(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._verdict.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how much of the wire was judged, and what is wrong with it."""
        verdict = self._verdict
        if not verdict.requests:
            return
        terminalreporter.section("wire gate")
        terminalreporter.line(
            f"{verdict.requests} requests and {verdict.answers} answers of {verdict.files}"
            f" exchanges ({verdict.shapes} shapes): {len(verdict.found)} violations"
        )
        for wrong in verdict.found[:_SHOWN]:
            terminalreporter.line(f"  {wrong}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Judge the wire of the whole run; a worker writes into the folder of its controller."""
    if specifications_are_there() and not hasattr(config, "workerinput"):
        config.pluginmanager.register(WireGate(), "wire-gate")
