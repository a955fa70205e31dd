"""Findings at the terminal: listed, repaired, dismissed; and the look at start-up."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.cli.repairing import reconcile_on_start
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.execution.broker import OrderLeg, OrderRequest, PositionIntent
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.structures import Side
from mahler_pipelines.settings import Settings
from tests.cli.conftest import SESSION, Mahler

OPEN = TradingCalendar().open(date.fromisoformat(SESSION))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedDesk]:
    """A desk whose exchange runs, reconciled once; then another hand buys a put and shares."""
    home = tmp_path_factory.mktemp("findings")
    made = compose(Settings.load({"home": str(home)}, directory=home, environ={}))
    with local_exchange(made, begin=OPEN + timedelta(minutes=30)):
        reconcile_on_start(made)
        made.exchange_control().advance_to(OPEN + timedelta(minutes=31))
        chain = made.market_data.chain(
            "BRIO", expires_from=date(2025, 3, 14), expires_to=date(2025, 4, 30)
        )
        listed = chain[(chain["ask"] > 1) & (chain["ask_size"] > 2)].iloc[0]
        _buy(made, str(listed["symbol"]), 2, Decimal(str(listed["ask"])))
        _buy(made, "BRIO", 10, Decimal(str(float(listed["underlying_price"]))) + 5)
        made.exchange_control().advance_to(OPEN + timedelta(minutes=46))
        yield made


def _buy(desk: ComposedDesk, symbol: str, quantity: int, limit: Decimal) -> None:
    leg = OrderLeg(symbol, Side.BUY, 1, PositionIntent.BUY_TO_OPEN)
    desk.broker.submit(
        OrderRequest(f"by-hand-{symbol}", (leg,), quantity, limit.quantize(Decimal("0.01")))
    )


def listed(mahler: Mahler, home: Path, *more: str) -> dict[str, Any]:
    ended = mahler("findings", "--json", *more, home=home)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_what_differs_is_named_at_start_listed_adopted_and_dismissed(
    desk: ComposedDesk, mahler: Mahler, capsys: pytest.CaptureFixture[str]
) -> None:
    home = desk.paths.home
    reconcile_on_start(desk)
    assert "differs: unknown position BRIO" in capsys.readouterr().out
    rows = {row["subject"]: row for row in listed(mahler, home)["findings"]}
    (contract,) = set(rows) - {"BRIO"}
    assert rows[contract]["kind"] == rows["BRIO"]["kind"] == "unknown_position"
    table = mahler("findings", home=home)
    assert rows["BRIO"]["id"] in table.out
    ended = mahler("repair", rows[contract]["id"], home=home)
    assert ended.code == 0, ended.err
    (lot,) = listed(mahler, home)["holdings"]
    assert (lot["symbol"], lot["quantity"]) == (contract, 2)
    assert Decimal(lot["average_price"]) > 1
    ended = mahler("dismiss", rows["BRIO"]["id"], "--reason", "my own", home=home)
    assert ended.code == 0, ended.err
    reconcile_on_start(desk)
    assert listed(mahler, home)["findings"] == []
    every = listed(mahler, home, "--all")["findings"]
    assert {row["status"] for row in every} == {"repaired", "dismissed"}


def test_a_repair_that_is_not_done_says_why_and_ends_with_one(
    desk: ComposedDesk, mahler: Mahler
) -> None:
    ended = mahler("repair", "d-none", home=desk.paths.home)
    assert ended.code == 1
    assert "no finding d-none" in ended.err


def test_a_broker_that_does_not_answer_stops_no_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = compose(Settings.load({"home": str(tmp_path)}, directory=tmp_path, environ={}))
    reconcile_on_start(made)
    assert "not reconciled at start" in capsys.readouterr().out
