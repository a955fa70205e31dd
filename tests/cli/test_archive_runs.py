"""Runs over recorded chains, recomputed from the raw files by code that shares nothing."""

import copy
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.programs import run_report
from tests.recomputation import discrepancies, main

pytestmark = pytest.mark.xdist_group("archive_runs")

BARS = "bars_daily.parquet"
INDEX_CHAINS = "chains_spx_2019q2.parquet"
SHARE_CHAINS = "chains_adr_2015q4.parquet"


@pytest.fixture(scope="module")
def index_run(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Any:
    """Twelve sessions of SPX and SPXW."""
    return run_report(
        tmp_path_factory.mktemp("index"),
        *("--market", f"archive:{shared_data / INDEX_CHAINS}", "--profile", "index"),
        *("--scans", "close", "--sessions", "2019-04-25:2019-05-13"),
    )


@pytest.fixture
def index_discrepancies(shared_data: Path) -> Callable[[Any], list[str]]:
    return lambda report: discrepancies(report, shared_data / INDEX_CHAINS, shared_data / BARS)


@pytest.mark.slow
def test_index_run_is_borne_out_by_the_raw_quotes(
    index_run: Any, index_discrepancies: Callable[[Any], list[str]]
) -> None:
    assert len(index_run["sessions"]) == 12
    assert "2019-05-10" not in index_run["sessions"], "a hole in the archive"
    assert index_discrepancies(index_run) == []


@pytest.mark.slow
def test_index_trades_are_of_two_or_more_contracts_and_some_are_closed(index_run: Any) -> None:
    trades = index_run["trades"]
    assert min(trade["contracts"] for trade in trades) >= 2
    closed = [trade for trade in trades if trade["status"] == "closed"]
    assert closed
    assert all(trade["exit_reason"] for trade in closed)


def _closed(report: Any) -> Any:
    return next(trade for trade in report["trades"] if trade["status"] == "closed")


def _a_cent_more(report: Any) -> None:
    trade = _closed(report)
    trade["pnl"] = str(Decimal(trade["pnl"]) + Decimal("0.01"))


def _a_better_fill(report: Any) -> None:
    leg = _closed(report)["legs"][0]
    leg["entry_price"] = str(Decimal(leg["entry_ask"]) + Decimal("0.05"))


def _another_exit_quote(report: Any) -> None:
    _closed(report)["legs"][1]["exit_bid"] = "0.01"


def _another_shown_quote(report: Any) -> None:
    report["recommendations"][0]["quotes"][0]["ask"] = "99.95"


def _a_larger_credit(report: Any) -> None:
    report["recommendations"][0]["target_credit"] = "99.00"


def _a_pair_lost(report: Any) -> None:
    report["scans"][3]["considered"] -= 1


def _an_expiration_lost(report: Any) -> None:
    del report["scans"][2]["expirations"][5]


def _an_unapproved_trade(report: Any) -> None:
    report["recommendations"][0]["decision"] = None


def _more_contracts(report: Any) -> None:
    report["trades"][0]["contracts"] += 1


def _another_result_of_the_day(report: Any) -> None:
    report["performance"][0]["realised_pnl"] = "1.00"


@pytest.mark.slow
@pytest.mark.parametrize(
    "tamper",
    [
        _a_cent_more,
        _a_better_fill,
        _another_exit_quote,
        _another_shown_quote,
        _a_larger_credit,
        _a_pair_lost,
        _an_expiration_lost,
        _an_unapproved_trade,
        _more_contracts,
        _another_result_of_the_day,
    ],
    ids=lambda tamper: tamper.__name__.strip("_"),
)
def test_recomputation_finds_what_was_tampered_with(
    index_run: Any,
    index_discrepancies: Callable[[Any], list[str]],
    tamper: Callable[[Any], None],
) -> None:
    """A recomputation that finds nothing proves something only if it can find."""
    report = copy.deepcopy(index_run)
    tamper(report)
    assert index_discrepancies(report) != []


@pytest.mark.slow
def test_recomputation_is_a_program(
    index_run: Any, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(index_run))
    arguments = [str(path), str(shared_data / INDEX_CHAINS), str(shared_data / BARS)]
    assert main(arguments) == 0
    assert "0 discrepancies" in capsys.readouterr().out
    index_run_changed = copy.deepcopy(index_run)
    _a_cent_more(index_run_changed)
    path.write_text(json.dumps(index_run_changed))
    assert main(arguments) == 1
    assert main([]) == 2


@pytest.mark.slow
def test_every_pair_of_thinly_traded_shares_is_accounted_for(
    tmp_path: Path, shared_data: Path
) -> None:
    """Eleven ADRs, whose chains reach years out and come and go: nothing may be left out."""
    report = run_report(
        tmp_path,
        *("--market", f"archive:{shared_data / SHARE_CHAINS}", "--profile", "thin-data"),
        *("--sessions", "2015-11-02:2015-11-09"),
    )
    assert len(report["sessions"]) == 6
    assert min(scan["considered"] for scan in report["scans"]) >= 1_000
    assert discrepancies(report, shared_data / SHARE_CHAINS, shared_data / BARS) == []


@pytest.mark.slow
def test_both_roots_settle_on_their_own_price(tmp_path: Path, shared_data: Path) -> None:
    """SPX on the open and SPXW on the close of the same day.

    Exits only alert, so that everything expires. Without SPXW on the first day the desk takes SPX
    there, and without SPX on the second SPXW.
    """
    chains = pd.read_parquet(shared_data / INDEX_CHAINS)
    first, second, day = date(2019, 6, 19), date(2019, 6, 20), date(2019, 6, 21)
    days = chains["quote_date"].isin([first, second, day, date(2019, 6, 24)])
    withheld = (chains["expiration"] == day) & (
        ((chains["quote_date"] == first) & (chains["root"] == "SPXW"))
        | ((chains["quote_date"] == second) & (chains["root"] == "SPX"))
    )
    near = chains["expiration"] <= date(2019, 6, 28)
    path = tmp_path / "chains.parquet"
    chains[days & near & ~withheld].to_parquet(path)
    report = run_report(
        tmp_path / "home",
        *("--market", f"archive:{path},{shared_data / BARS}", "--profile", "index"),
        settings={"exits.action": "alert", "screen.dte_min": 1, "screen.dte_max": 2},
    )
    assert discrepancies(report, path, shared_data / BARS) == []
    settled = {
        trade["legs"][0]["symbol"][:-15]: trade["exit_time"][:10]
        for trade in report["trades"]
        if trade["exit_reason"] == "expired"
    }
    assert settled == {"SPX": "2019-06-24", "SPXW": "2019-06-24"}
