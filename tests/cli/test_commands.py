"""Every command of `mahler`: its help, its answers, its ends."""

import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import LOOKS, SETTINGS, Mahler
from tests.cli.programs import environment, run_report
from tests.conftest import ROOT

LISTINGS = ("recommendations", "positions", "trades", "status", "settings")


def _commands() -> list[str]:
    from typer.main import get_command

    from mahler_pipelines.cli.app import app

    return sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", _commands())
def test_command_has_help_that_ends_well(mahler: Mahler, command: str) -> None:
    ended = mahler(command, "--help")
    assert ended.code == 0
    assert f"mahler {command}" in ended.out
    described = [line for line in ended.out.splitlines() if line.strip().endswith(".")]
    assert described, "says in a sentence what it does"


@pytest.mark.parametrize("command", _commands())
def test_command_is_documented(command: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    assert f"mahler {command}" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing-of-the-kind",),
        ("run", "--approve", "perhaps"),
        ("run", "--nothing"),
        ("recommendations", "--status", "odd"),
        ("approve",),
        ("reject", "r-1"),
        ("halt",),
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_two(mahler: Mahler, arguments: tuple[str, ...]) -> None:
    ended = mahler(*arguments)
    assert ended.code == 2
    assert "Error" in ended.err or "Usage" in ended.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("run", "--sessions", "soon"), "not FIRST:LAST"),
        (("run", "--sessions", "2025-03-05:2025-03-03"), "after the last"),
        (("run", "--sessions", "2025-03-01"), "the exchange was closed"),
        (("run", "--sessions", "1925-03-05"), "the calendar is"),
        (("run", "--sessions", "2023-03-06"), "begins on 2024-03-01"),
        (("run", "--sessions", "2030-03-06"), "to today, not 2030-03-06"),
        (("run", "--scans", "noon"), "morning, midday, afternoon, close"),
        (("run", "--monitor", "0m"), "minutes such as 5m"),
        (("run", "--monitor", "hourly"), "minutes such as 5m"),
        (("run", "--market", "sim:seven"), "sim:SEED nor archive:PATH"),
        (("run", "--market", "elsewhere"), "sim:SEED nor archive:PATH"),
        (("run", "--profile", "odd"), "'equities', 'index' or 'thin-data'"),
        (("run", "--json", "no/such/folder/x.json"), "no folder that exists"),
        (("run", "--market", "archive:none.parquet"), "is missing"),
        (("--set", "mode=paper", "run"), "local mode only"),
        (("--set", "screen.dte_min", "status"), "needs key=value"),
        (("--set", "screen.dte_min=many", "status"), "screen.dte_min"),
        (("explain", "r-0"), "nothing in sim-7 is called r-0"),
        (("approve", "r-0"), "no local exchange runs"),
        (("advance",), "no local exchange runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refusal_is_one_line_on_stderr_and_ends_with_one(
    mahler: Mahler, arguments: tuple[str, ...], reason: str
) -> None:
    ended = mahler(*arguments)
    assert ended.code == 1
    assert reason in ended.err
    assert ended.err.startswith("mahler: ")
    assert len(ended.err.splitlines()) == 1


def test_unknown_setting_names_the_nearest(mahler: Mahler) -> None:
    ended = mahler("--set", "screen.dte_mni=20", "settings")
    assert ended.code == 1
    assert "screen.dte_min" in ended.err


def test_settings_say_where_they_come_from_and_hide_secrets(
    mahler: Mahler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPACA_SECRET_KEY", "hush-hush")
    shown = mahler("--set", "screen.dte_min=20", "settings")
    told = mahler("--set", "screen.dte_min=20", "settings", "--json")
    assert "hush-hush" not in shown.out + shown.err + told.out + told.err
    rows = {row["key"]: row for row in json.loads(told.out)}
    assert rows["screen.dte_min"] == {"key": "screen.dte_min", "value": 20, "from": "command line"}
    assert rows["alpaca.secret_key"]["from"] == "environment"
    assert set(rows["alpaca.secret_key"]["value"]) == {"*"}


@pytest.mark.parametrize("command", LISTINGS)
def test_listing_of_a_new_book_is_empty_and_no_failure(mahler: Mahler, command: str) -> None:
    assert mahler(command).code == 0
    ended = mahler(command, "--json")
    assert ended.code == 0
    assert isinstance(json.loads(ended.out), list | dict)


def test_doctor_goes_on_after_a_failed_check_and_ends_with_one(mahler: Mahler) -> None:
    """Nothing runs beside it, so that the broker cannot be reached."""
    ended = mahler("doctor", "--json")
    found = {row["check"]: row["passed"] for row in json.loads(ended.out)}
    assert found["ledger"]
    assert found["lake"]
    assert not found["broker"]
    assert ended.code == 1
    assert "broker" in ended.err


def _chain(path: Path, *sessions: str) -> Path:
    rows = [
        {
            "quote_date": session,
            "symbol": "YPF",
            "root": "YPF",
            "expiration": "2015-12-18",
            "type": right,
            "strike": float(strike),
            "bid": 1.0,
            "ask": 1.2,
            "last": 1.1,
            "volume": 10,
            "open_interest": 100,
            "underlying": 20.0,
        }
        for session in sessions
        for right in "CP"
        for strike in (18, 20, 22)
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


def test_archive_that_cannot_be_read_is_refused(mahler: Mahler, tmp_path: Path) -> None:
    corrupt, empty = tmp_path / "corrupt.parquet", tmp_path / "empty"
    corrupt.write_text("no parquet")
    empty.mkdir()
    for path in (corrupt, empty):
        ended = mahler("run", "--market", f"archive:{path}")
        assert ended.code == 1
        assert "holds no option chain that could be read" in ended.err
    ended = mahler("ingest", str(corrupt))
    assert ended.code == 1
    assert "corrupt.parquet" in ended.err


def test_closed_session_and_hole_of_an_archive_are_refused(mahler: Mahler, tmp_path: Path) -> None:
    path = _chain(tmp_path / "chain.parquet", "2015-11-02", "2015-11-04")
    market = ("run", "--market", f"archive:{path}")
    closed = mahler(*market, "--sessions", "2015-11-01")
    assert closed.code == 1
    assert "the exchange was closed" in closed.err
    hole = mahler(*market, "--sessions", "2015-11-03")
    assert hole.code == 1
    assert "holds none of these; it has 2015-11-02 to 2015-11-04" in hole.err
    scan = mahler(*market, "--scans", "morning")
    assert scan.code == 1
    assert "one snapshot a day" in scan.err


def test_ingest_twice_changes_nothing(mahler: Mahler, tmp_path: Path) -> None:
    path = _chain(tmp_path / "chain.parquet", "2015-11-02")
    once, twice = (json.loads(mahler("ingest", "--json", str(path)).out) for _ in range(2))
    assert once["book"] == twice["book"]
    assert [file["kept"] for file in once["files"]] == [6]
    assert [file["already_ingested"] for file in twice["files"]] == [True]


@pytest.mark.slow
def test_repeated_run_is_the_same_to_the_cent(traded: tuple[Path, Any], tmp_path: Path) -> None:
    """Of two homes only the ids of Dagster's runs differ."""
    again = run_report(tmp_path, *LOOKS, settings=SETTINGS)
    assert traded[1]["trades"]
    assert _without_run_ids(again) == _without_run_ids(traded[1])


def _without_run_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_run_ids(part) for key, part in value.items() if key != "run_id"}
    return [_without_run_ids(part) for part in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_refused_run_leaves_the_book_of_the_last_one(
    traded: tuple[Path, Any], mahler: Mahler
) -> None:
    home, report = traded
    assert mahler("run", "--sessions", "2025-03-01", home=home).code == 1
    left = json.loads(mahler("trades", "--json", home=home).out)
    assert [trade["id"] for trade in left] == [trade["id"] for trade in report["trades"]]


@pytest.mark.slow
def test_positions_are_looked_at_between_scans(traded: tuple[Path, Any], mahler: Mahler) -> None:
    """`--monitor 120m` looks at 11:30, 13:30 and 15:30 New York time."""
    home, report = traded
    for trade in report["trades"]:
        marks = json.loads(mahler("explain", trade["id"], "--json", home=home).out)["marks"]
        times = [datetime.fromisoformat(mark["marked_at"]).astimezone(UTC) for mark in marks]
        assert [f"{time:%H:%M}" for time in times] == ["16:30", "18:30", "20:30"]


@pytest.mark.slow
def test_listings_show_what_the_report_says(traded: tuple[Path, Any], mahler: Mahler) -> None:
    home, report = traded
    recommendations = json.loads(mahler("recommendations", "--json", home=home).out)
    assert recommendations == report["recommendations"]
    assert json.loads(mahler("trades", "--json", home=home).out) == report["trades"]
    positions = json.loads(mahler("positions", "--json", home=home).out)
    assert {row["id"] for row in positions} == {trade["id"] for trade in report["trades"]}
    assert all(row["mark"]["unrealised_pnl_usd"] for row in positions)
    status = json.loads(mahler("status", "--json", home=home).out)
    assert status["open_trades"] == len(report["trades"])
    for command in LISTINGS:
        shown = mahler(command, home=home)
        assert shown.code == 0
        assert max(map(len, shown.out.splitlines())) <= 150
    for row in recommendations:
        assert row["id"] in mahler("recommendations", home=home).out


@pytest.mark.slow
def test_explain_goes_from_any_id_down_to_the_quotes(
    traded: tuple[Path, Any], mahler: Mahler
) -> None:
    home, report = traded
    trade = report["trades"][0]
    told = json.loads(mahler("explain", trade["id"], "--json", home=home).out)
    shown = told["recommendation"]
    assert shown["id"] == trade["recommendation_id"]
    assert shown["decision"]["by"] == "policy:all"
    quotes = {quote["symbol"]: quote for quote in told["quotes"]}
    assert {quote["snapshot"] for quote in told["quotes"]} == {shown["snapshot"]}
    for quote in shown["quotes"]:
        assert quotes[quote["symbol"]]["bid"] == float(quote["bid"])
        assert quotes[quote["symbol"]]["ask"] == float(quote["ask"])
    orders = told["orders"]
    fills = [fill for order in orders for fill in order["fills"]]
    assert {fill["symbol"] for fill in fills} == set(quotes)
    assert told["history"]
    assert told["asked"] == {"id": trade["id"], "is": "trade"}
    last = orders[-1]
    others = {
        shown["id"]: "recommendation",
        last["client_order_id"]: "order",
        last["broker_order_id"]: "order at the broker",
        fills[0]["id"]: "fill",
    }
    for other, kind in others.items():
        again = json.loads(mahler("explain", other, "--json", home=home).out)
        assert again.pop("asked") == {"id": other, "is": kind}
        assert again == {name: value for name, value in told.items() if name != "asked"}


@pytest.mark.slow
def test_explain_names_rivals_gates_refusals_snapshots_and_runs(
    traded: tuple[Path, Any], mahler: Mahler
) -> None:
    home, report = traded
    trade = report["trades"][0]
    told = json.loads(mahler("explain", trade["id"], "--json", home=home).out)
    own, rivals = told["candidate"], told["rivals"]
    assert own["candidate_id"] == told["candidate_id"] == told["model_calls"][0]["candidate_id"]
    assert 0 < len(rivals) < told["candidates_of_underlying"]
    assert all(rival["score"] <= own["score"] and rival["because"] for rival in rivals)
    scan = report["scans"][0]
    ours = [row for row in scan["expirations"] if row["underlying"] == trade["underlying"]]
    assert sum(told["refused_by_code"].values()) == sum(row["refused"] for row in ours)
    assert told["candidates_of_underlying"] == sum(row["kept"] for row in ours)
    (again,) = told["gates_asked_again"]
    assert [gate["code"] for gate in again["gates"]] == [
        gate["code"] for gate in told["recommendation"]["gates"]
    ]
    hashes = {row["snapshot"] for row in told["snapshots"]}
    assert told["recommendation"]["snapshot"] in hashes
    assert {leg["entry_snapshot"] for leg in trade["legs"]} < hashes
    assert told["runs"]["proposed"] == [told["recommendation"]["run_id"]]
    assert set(told["runs"]["executed"]) == {order["run_id"] for order in told["orders"]}


@pytest.mark.slow
def test_explain_is_readable(traded: tuple[Path, Any], mahler: Mahler) -> None:
    """Sections in the order of the day, as wide as any listing."""
    home, report = traded
    trade = report["trades"][0]
    ended = mahler("explain", trade["id"], home=home)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 150
    sections = (
        *("Shown ", "Answers", "Thesis", "Candidate and rivals", "Pairs of this underlying"),
        *("Gates when it was proposed", "Gates when its order was written", "Quotes that were"),
        *("Orders", "Fills", "Trade t-", "Runs", "Snapshots", "History"),
    )
    places = [next(n for n, line in enumerate(lines) if line.startswith(s)) for s in sections]
    assert places == sorted(places)
    assert "policy:all" in ended.out
    assert trade["legs"][0]["symbol"] in ended.out


@pytest.mark.slow
def test_unanswered_recommendations_expire(unanswered: tuple[Path, Any], mahler: Mahler) -> None:
    """Three hours pass for what the morning proposed, and not yet for the afternoon's."""
    home, report = unanswered
    assert report["trades"] == []
    rows = json.loads(mahler("recommendations", "--json", home=home).out)
    found = Counter((row["scan"], row["status"]) for row in rows)
    assert set(found) == {("morning", "expired"), ("afternoon", "pending")}
    only = mahler("recommendations", "--status", "expired", "--json", home=home)
    assert {row["scan"] for row in json.loads(only.out)} == {"morning"}


def _pending(mahler: Mahler, home: Path) -> list[str]:
    told = mahler("recommendations", "--status", "pending", "--json", home=home)
    return [row["id"] for row in json.loads(told.out)]


@pytest.mark.slow
def test_the_rule_of_two_people_holds_at_this_door_too(
    open_desk: tuple[Path, Any], mahler: Mahler
) -> None:
    home, _ = open_desk
    waiting = _pending(mahler, home)[-1]
    heat = ("--set", "discord.second_approval_heat=0")
    for said in ("approval 1 of 2", "you have approved it before"):
        first = mahler(*heat, "approve", waiting, home=home)
        assert first.code == 0
        assert said in first.out
        assert waiting in _pending(mahler, home)


@pytest.mark.slow
def test_answers_count_once(open_desk: tuple[Path, Any], mahler: Mahler) -> None:
    home, report = open_desk
    first, second, *_ = _pending(mahler, home)
    assert mahler("approve", first, home=home).code == 0
    again = mahler("approve", first, home=home)
    assert again.code == 1
    assert "already answered" in again.err
    assert mahler("reject", second, "--reason", "too close", home=home).code == 0
    late = mahler("approve", second, home=home)
    assert late.code == 1
    assert "already answered: reject" in late.err
    found = json.loads(mahler("explain", second, "--json", home=home).out)
    told = found["recommendation"]
    assert told["status"] == "rejected"
    assert told["decision"]["reason"] == "too close"
    (refused,) = found["refused_answers"]
    assert (refused["door"], refused["verdict"]) == ("cli", "approve")
    assert "already answered: reject" in refused["told"]
    assert "already answered: reject" in " ".join(mahler("explain", second, home=home).out.split())
    morning = next(row["id"] for row in report["recommendations"] if row["scan"] == "morning")
    expired = mahler("approve", morning, home=home)
    assert expired.code == 1
    assert "expired" in expired.err
    unknown = mahler("approve", "r-0", home=home)
    assert unknown.code == 1
    assert "no such recommendation" in unknown.err


@pytest.mark.slow
def test_trading_state_is_a_persons_act(open_desk: tuple[Path, Any], mahler: Mahler) -> None:
    home, _ = open_desk
    for command, state in (("halt", "halted"), ("reduce", "reducing"), ("resume", "active")):
        assert mahler(command, "--reason", "a test", home=home).code == 0
        status = json.loads(mahler("status", "--json", home=home).out)
        assert status["trading_state"] == state
        assert status["reason"] == "a test"


@pytest.mark.slow
def test_doctor_is_content_with_a_running_desk(open_desk: tuple[Path, Any], mahler: Mahler) -> None:
    home, _ = open_desk
    ended = mahler("--set", "universe=TUBA", "doctor", "--json", home=home)
    assert ended.code == 0, ended.err + ended.out


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "answer"), [("y", True), ("no", False), ("", None)])
def test_person_in_front_of_the_run_is_asked(
    traded: tuple[Path, Any],
    typed: str,
    answer: bool | None,
    monkeypatch: pytest.MonkeyPatch,
    stored_recommendation: Callable[[Path], Any],
) -> None:
    from mahler_pipelines.cli.running import _ask

    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
    assert _ask(stored_recommendation(traded[0])) is answer


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_stops_inside_a_job(tmp_path: Path, number: signal.Signals) -> None:
    """Dagster keeps an interrupt inside the job; the run must not go on with the next one."""
    overrides = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    home = ["--home", str(tmp_path)]
    run = [*home, *overrides, "run", "--sessions", "2025-03-03:2025-03-14"]
    with subprocess.Popen(
        [sys.executable, "-m", "mahler_pipelines", *run],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        lake = tmp_path / "books" / "sim-7" / "lake"
        deadline = time.monotonic() + 90
        while not any(lake.rglob("*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        program.send_signal(number)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "mahler: stopped at 2025-03-03 morning" in said


def test_the_command_line_starts_without_the_graph() -> None:
    """An approval waits for nothing that it does not use."""
    heavy = ("dagster", "matplotlib", "sklearn", "anthropic", "alpaca", "scipy.stats")
    code = f"import sys, mahler_pipelines.cli.app; print([n for n in {heavy} if n in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert answer.stdout.strip() == "[]"
