"""`mahler roll` on a desk that holds a spread: proposed, listed, approved; or refused with why."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.cli.repairing import execution_desk
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import DecisionVerdict
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.settings import Settings
from tests.cli.conftest import SESSION, Mahler
from tests.execution.scenes import accept, recommendation

OPEN = TradingCalendar().open(date.fromisoformat(SESSION))
NOW = OPEN + timedelta(minutes=30)
HELD = "t-260112-mo-abcdef12"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedDesk]:
    """A desk that holds a put spread of BRIO, sold at the quotes of its exchange."""
    home = tmp_path_factory.mktemp("rolling")
    made = compose(Settings.load({"home": str(home)}, directory=home, environ={}))
    with local_exchange(made, begin=NOW):
        _open(made)
        yield made


def _open(desk: ComposedDesk) -> None:
    chain = desk.market_data.chain(
        "BRIO", expires_from=date(2025, 3, 7), expires_to=date(2025, 3, 21)
    )
    near = chain[(chain["right"] == -1) & (chain["expiration"] == chain["expiration"].min())]
    puts = near[near["strike"] < near["underlying_price"]].sort_values("strike")
    long, short = puts.iloc[-3], puts.iloc[-2]
    natural = Decimal(str(round(float(short["bid"] - long["ask"]), 2)))
    assert natural > 0
    structure = Structure(
        "bull_put_spread",
        (
            Leg(parse_occ(str(short["symbol"])), Side.SELL),
            Leg(parse_occ(str(long["symbol"])), Side.BUY),
        ),
    )
    shown = replace(
        recommendation(contracts=2, created=NOW),
        structure=structure,
        target_credit=natural,
        floor_credit=natural,
        natural_credit=natural,
        underlying_price=Decimal(str(round(float(short["underlying_price"]), 2))),
    )
    with desk.ledger.transaction("main") as book:
        book.add_recommendation(shown, at=NOW)
        decide(
            book,
            recommendation_id=shown.id,
            verdict=DecisionVerdict.APPROVE,
            decided_by="anna",
            door="cli",
            at=NOW,
        )
    outcome = execute(shown.id, desk=execution_desk(desk), recheck=accept)
    assert outcome.trade_id == HELD, outcome


def test_roll_is_refused_with_the_reason(desk: ComposedDesk, mahler: Mahler) -> None:
    home = desk.paths.home
    for arguments, reason in (
        (("roll", "t-none"), "no trade t-none"),
        (("roll", HELD, "--to", "2025-03-01"), "not later than"),
        (("roll", HELD, "--to", "2027-01-02"), "no_later_expiration"),
    ):
        ended = mahler(*arguments, home=home)
        assert (ended.code, ended.out) == (1, "")
        assert reason in ended.err
    assert mahler("roll", HELD, "--to", "soon", home=home).code == 2


def test_roll_is_proposed_listed_and_approved(desk: ComposedDesk, mahler: Mahler) -> None:
    """To the next expiration of the window; then it is an order like any other."""
    home = desk.paths.home
    ended = mahler("roll", HELD, "--json", home=home)
    assert ended.code == 0, ended.err
    shown = json.loads(ended.out)
    assert (shown["rolls"], shown["contracts"], shown["status"]) == (HELD, 2, "pending")
    assert 25 <= shown["dte"] <= 45
    listed = mahler("recommendations", "--json", home=home)
    assert shown["id"] in [row["id"] for row in json.loads(listed.out)]
    assert "roll_is_waiting" in mahler("roll", HELD, home=home).err
    assert mahler("approve", shown["id"], home=home).code == 0
    outcome = execute(shown["id"], desk=execution_desk(desk), recheck=accept)
    assert outcome.status in (ExecutionStatus.EXECUTED, ExecutionStatus.WORKING)
    order = outcome.order
    assert order is not None
    assert (order.purpose.value, len(order.legs), order.rolls) == ("roll", 4, HELD)
    told = mahler("explain", order.client_order_id, home=home)
    assert f"Rolls 2 of {HELD}" in " ".join(told.out.split())
