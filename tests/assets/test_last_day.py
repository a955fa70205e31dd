"""The last day of a spread on a real exchange over a real wire, and an ex-date before it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading.client import TradingClient
from typer.testing import CliRunner

from mahler_pipelines.cli.app import app
from mahler_pipelines.cli.desk_instance import open_instance
from mahler_pipelines.cli.run_plan import ApprovalPolicy, RunPlan
from mahler_pipelines.cli.session_runner import SessionRunner
from mahler_pipelines.composition import LOCAL_KEY, LOCAL_SECRET, compose, local_exchange
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.definitions import build_definitions
from mahler_pipelines.execution.desk import ExecutionDesk
from mahler_pipelines.execution.submission import ExecutionStatus, execute
from mahler_pipelines.execution.trades import ExitReason, Trade, TradeStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.assets.desk import (
    ACCOUNT,
    PlayedDesk,
    at,
    first_failure,
    metadata,
    scan_at,
    settings_of,
)
from tests.execution.scenes import accept, recommendation

NORMAL, EARLY = date(2025, 3, 7), date(2025, 11, 28)
"""Fridays of the simulated market: one closes at 16:00, the one after Thanksgiving at 13:00."""
CLOSES = {"action": "alert", "expiry_always_closes": True}
"""A person is told of every exit but the last: what is still open at the cut-off is closed."""
LIQUIDATION = "broker-liquidation-"


@contextmanager
def played_from(home: Path, begin: datetime, **overrides: Any) -> Iterator[PlayedDesk]:
    """Open a new book whose exchange begins at a moment; close all of it again."""
    settings = settings_of(home, **overrides)
    desk = compose(settings)
    desk.paths.create()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("DAGSTER_HOME", str(desk.paths.dagster))
        exchange = stack.enter_context(local_exchange(desk, begin=begin))
        instance = stack.enter_context(open_instance(desk.paths.dagster))
        exchange.advance_to(begin)
        yield PlayedDesk(desk, build_definitions(settings), instance, exchange)
        if isinstance(desk.ledger, SqlLedgerBook):
            desk.ledger.close()


@dataclass(frozen=True)
class Chosen:
    """A vertical around the price: its short strike is in the money by a share of it."""

    underlying: str
    right: Right
    expiration: date
    depth: float
    contracts: int


def opened(desk: PlayedDesk, chosen: Chosen) -> Trade:
    """Open a vertical spread for what it brings now, as an approval would."""
    now = desk.desk.broker.clock().now
    chain = desk.desk.market_data.chain(
        chosen.underlying, expires_from=chosen.expiration, expires_to=chosen.expiration
    )
    sign = int(chosen.right)
    rows = chain[chain["right"] == sign].sort_values("strike", ascending=sign > 0)
    spot = float(rows["underlying_price"].iloc[0])
    inside = rows[sign * (spot - rows["strike"]) >= chosen.depth * spot]
    short = inside.iloc[-1]
    outside = rows[sign * (spot - rows["strike"]) < -chosen.depth * spot]
    long = outside.iloc[0]
    legs = tuple(
        Leg(
            OptionContract(
                chosen.underlying, chosen.expiration, chosen.right, Decimal(str(row["strike"]))
            ),
            side,
        )
        for row, side in ((short, Side.SELL), (long, Side.BUY))
    )
    name = "bull_put_spread" if chosen.right is Right.PUT else "bear_call_spread"
    credit = Decimal(str(round(float(short["bid"] - long["ask"]), 2)))
    shown = replace(
        recommendation(contracts=chosen.contracts, created=now),
        structure=Structure(name, legs),
        session=now.astimezone(NEW_YORK).date(),
        target_credit=credit,
        floor_credit=credit - Decimal("0.20"),
        natural_credit=credit,
        underlying_price=Decimal(str(round(spot, 2))),
    )
    with desk.desk.ledger.transaction(ACCOUNT) as book:
        book.add_recommendation(shown, at=now)
        book.add_decision(
            Decision(shown.id, DecisionVerdict.APPROVE, "tester", "test", now, shown.content_hash)
        )
        pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
        book.move_recommendation(shown.id, expected=pending, to=approved, at=now)
    outcome = execute(shown.id, desk=execution_desk(desk), recheck=accept)
    assert outcome.status is ExecutionStatus.EXECUTED, outcome
    (trade,) = desk.trades()
    return trade


def execution_desk(desk: PlayedDesk) -> ExecutionDesk:
    return ExecutionDesk(
        account_id=ACCOUNT,
        book=desk.desk.ledger,
        broker=desk.desk.broker,
        market_data=desk.desk.market_data,
        lake=desk.desk.lake,
        run_id="by-hand",
        holder="tester",
        sleep=lambda _: None,
    )


def looked(desk: PlayedDesk, moment: datetime) -> dict[str, Any]:
    """What a look through the graph says of positions."""
    desk.advance(moment)
    result = desk.watch(moment.astimezone(NEW_YORK).date())
    assert result.success, first_failure(result)
    return metadata(result, ACCOUNT, "positions")


def told(desk: PlayedDesk, kind: str) -> list[dict[str, Any]]:
    with desk.desk.ledger.reading(ACCOUNT) as book:
        return [row["payload"] for row in book.outbox() if row["kind"] == kind]


def orders_of_the_broker(desk: PlayedDesk) -> list[str]:
    """Symbols that the broker closed by itself, from the account's own list of orders."""
    client = TradingClient(
        LOCAL_KEY, LOCAL_SECRET, raw_data=True, url_override=desk.desk.exchange_url()
    )
    rows: Any = client.get("/orders", {"status": "all", "limit": 500})
    return [row["symbol"] for row in rows if row["client_order_id"].startswith(LIQUIDATION)]


@pytest.mark.parametrize(
    ("day", "cutoff", "last_chance"),
    [(NORMAL, (14, 45), (15, 0)), (EARLY, (11, 45), (12, 0))],
    ids=["a normal day", "an early close"],
)
def test_spread_is_closed_before_the_broker_comes_to_it(
    tmp_path: Path, day: date, cutoff: tuple[int, int], last_chance: tuple[int, int]
) -> None:
    """A torn spread that the account could not carry: forecast, closed by us, never liquidated."""
    with played_from(tmp_path / "home", at(10, 0, day), exits=CLOSES) as desk:
        trade = opened(desk, Chosen("BRIO", Right.PUT, day, 0.015, 15))
        seen = looked(desk, at(10, 5, day))
        assert "liquidated" in seen["last_day"]
        assert "buying_power" in seen["last_day"]
        (payload,) = told(desk, "expiry_forecast")[:1]
        assert datetime.fromisoformat(payload["cutoff"]) == at(*cutoff, day)
        looked(desk, at(*cutoff, day) - timedelta(minutes=5))
        assert desk.trades()[0].status is TradeStatus.OPEN
        looked(desk, at(*cutoff, day))
        (closed,) = desk.trades()
        assert (closed.id, closed.status) == (trade.id, TradeStatus.CLOSED)
        assert closed.exit_reason is ExitReason.EXPIRY_CUTOFF
        assert closed.exit_time is not None
        assert closed.exit_time <= at(*last_chance, day)
        assert desk.desk.broker.positions() == ()
        desk.advance(at(*last_chance, day) + timedelta(minutes=50))
        assert orders_of_the_broker(desk) == []


def test_without_the_cut_off_the_broker_does_what_was_forecast(tmp_path: Path) -> None:
    """The same spread left alone: the leg that the forecast names is the one that is closed."""
    off = {"action": "alert", "expiry_cutoff_minutes": None}
    with played_from(tmp_path / "home", at(10, 0, NORMAL), exits=off) as desk:
        opened(desk, Chosen("BRIO", Right.PUT, NORMAL, 0.015, 15))
        looked(desk, at(15, 10, NORMAL))
        assert desk.trades()[0].status is TradeStatus.OPEN
        latest = told(desk, "expiry_forecast")[-1]
        foreseen = [leg["symbol"] for leg in latest["legs"] if leg["outcome"] == "liquidated"]
        assert len(foreseen) == 1
        desk.advance(at(15, 20, NORMAL))
        assert set(foreseen) <= set(orders_of_the_broker(desk))


def test_run_of_sessions_looks_at_the_cut_off_though_no_scan_falls_on_it(tmp_path: Path) -> None:
    """`mahler run` with the afternoon scan at 15:30 alone would come after the broker."""
    with played_from(tmp_path / "home", at(10, 0, NORMAL), exits=CLOSES) as desk:
        opened(desk, Chosen("BRIO", Right.PUT, NORMAL, 0.015, 2))
        runner = SessionRunner(
            desk.desk, desk.definitions, desk.instance, desk.exchange, ask=lambda _: None
        )
        plan = RunPlan((NORMAL,), (), ApprovalPolicy.NONE, timedelta(hours=6))
        runner.play(plan)
        assert runner.failures == []
        (closed,) = desk.trades()
        assert closed.exit_reason is ExitReason.EXPIRY_CUTOFF
        assert closed.exit_time == at(14, 45, NORMAL)


def test_short_call_is_warned_of_before_its_ex_date_through_every_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TUBA pays 1.09 on Wednesday: the scan knows it on Monday, and the look says so."""
    monkeypatch.chdir(tmp_path)
    monday, home = date(2025, 3, 3), tmp_path / "home"
    small = {"universe": ["TUBA", "BRIO"], "exits": {"action": "alert"}}
    with played_from(home, at(9, 35, monday), **small) as desk:
        trade = opened(desk, Chosen("TUBA", Right.CALL, date(2025, 3, 14), 0.12, 3))
        seen = looked(desk, at(9, 40, monday))
        assert seen["not_foreseen"] == "none"
        assert "2025-03-05" in seen["early_assignment"]
        assert "dividend" in seen["early_assignment"]
        (payload,) = told(desk, "early_assignment_warning")
        assert (payload["ex_date"], payload["gain"]) == ("2025-03-05", "1.09")
        assert payload["symbol"] == trade.structure.symbols[0]
        shown = CliRunner().invoke(app, ["--home", str(home), "positions", "--json"])
        assert shown.exception is None, shown.exception
        (row,) = json.loads(shown.stdout)
        assert row["mark"]["warning"].startswith("early assignment ")
        assert "ex 2025-03-05 1.09" in row["mark"]["warning"]
        table = CliRunner().invoke(app, ["--home", str(home), "positions"])
        assert "beware" in table.output
        assert "early assignment" in " ".join(table.output.split())
        desk.advance(scan_at(Scan.MIDDAY, monday))
        scanned = desk.scan(Scan.MIDDAY, monday)
        assert scanned.success, first_failure(scanned)
        known = metadata(scanned, "dividends")
        assert (known["declared"], known["next_ex_date"]) == (1, "2025-03-05")
        stored = desk.desk.lake.read("dividends", session=monday, scan="midday")
        assert stored["underlying"].to_list() == sorted(desk.desk.universe)
        assert stored.set_index("underlying")["amount"]["TUBA"] == 1.09
