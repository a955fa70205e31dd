"""The rate limit, shared: several processes of a desk against one exchange that counts."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaConnection, AlpacaMarketData
from mahler_pipelines.adapters.alpaca.turns import LONGEST_WAITS, SILENT_PAUSE_SECONDS, Turns
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import parse_faults
from mahler_pipelines.exchange.wire.app import RateLimit, build_wire
from mahler_pipelines.execution.request_budget import Api, RequestLimits, Turn, Urgency
from mahler_pipelines.storage.request_budget import SharedRequestBudget
from tests.adapters.hammering import EXCHANGE_LIMIT, ORDERS, WINDOW_SECONDS
from tests.adapters.recorded_alpaca import connection_to, order_of
from tests.adapters.stages import MORNING, RICH
from tests.exchange.fakes import HandMadeMarket, put
from tests.exchange.serving import served

TRADING, DATA = Api.TRADING, Api.DATA
ORDER, LOOK, SCAN = Urgency.ORDER, Urgency.LOOK, Urgency.SCAN
READS = 40
TOO_MUCH = Decimal("-4.50")
SCANNERS = 2


@contextmanager
def exchange(state: Path, limit: RateLimit | None = None) -> Iterator[str]:
    terms = ExchangeTerms(start_at=MORNING, starting_equity=RICH)
    with served(build_wire(Exchange(HandMadeMarket(), state, terms), limit=limit)) as url:
        yield url


def hammer(url: str, file: str) -> tuple[list[dict[str, Any]], list[int]]:
    """Let scanners and a sender of orders loose; return what each says and every status."""
    roles = [["scan", url, file, str(READS)]] * SCANNERS + [["orders", url, file, "0"]]
    command = [sys.executable, "-m", "tests.adapters.hammering"]
    root = Path(__file__).parents[2]
    children = [
        subprocess.Popen([*command, *role], stdout=subprocess.PIPE, text=True, cwd=root)
        for role in roles
    ]
    said = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    rows = ExchangeControl(url).journal(10_000)
    return said, [row["status"] for row in rows if row["path"].startswith("/v2/")]


def counting() -> RateLimit:
    return RateLimit(EXCHANGE_LIMIT, minute_seconds=WINDOW_SECONDS)


@pytest.mark.slow
def test_processes_together_keep_the_limit_and_no_order_waits(tmp_path: Path) -> None:
    with exchange(tmp_path / "state", counting()) as url:
        said, statuses = hammer(url, str(tmp_path / "requests.sqlite"))
    *scanners, orders = said
    # A request may arrive late and fall into the next minute: hardly any does.
    refused = statuses.count(429)
    assert refused <= 0.05 * len(statuses)
    assert orders["got"] == {"answered": ORDERS}
    assert orders["waited"] == {"order": 0}
    answered = sum(scanner["got"]["answered"] for scanner in scanners)
    assert answered >= READS * SCANNERS - refused
    assert sum(scanner["waited"]["scan"] for scanner in scanners) > 0


@pytest.mark.slow
def test_without_a_budget_the_same_processes_are_refused(tmp_path: Path) -> None:
    with exchange(tmp_path / "state", counting()) as url:
        said, statuses = hammer(url, "-")
    assert statuses.count(429) > 0.2 * len(statuses)
    assert sum(one["got"].get("status 429", 0) for one in said) == statuses.count(429)


@dataclass
class Desk:
    """Two processes' views of one exchange and one budget, and the exchange's controls."""

    first: AlpacaBroker
    second: AlpacaBroker
    control: ExchangeControl

    def asked(self, path: str) -> int:
        return sum(row["path"].partition("?")[0] == path for row in self.control.journal(1000))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    limits = RequestLimits(trading=100, data=100, reserved=0.2)
    budgets = [SharedRequestBudget(tmp_path / "requests.sqlite", limits) for _ in range(2)]
    hasty = dict.fromkeys(Urgency, 0.05)
    with exchange(tmp_path / "state") as url:
        brokers = [
            AlpacaBroker(replace(connection_to(url), budget=one, longest_turns=hasty))
            for one in budgets
        ]
        yield Desk(brokers[0], brokers[1], ExchangeControl(url))
        for broker, one in zip(brokers, budgets, strict=True):
            broker.close()
            one.close()


def refuse_account(desk: Desk) -> None:
    rule = {"path": "/v2/account", "times": 1, "fault": {"kind": "rate_limit"}}
    desk.control.set_faults(parse_faults(json.dumps({"rules": [rule]}), source="test"))
    with pytest.raises(BrokerUnavailable, match="budget is used up"):
        desk.first.account()
    assert desk.asked("/v2/account") == 1


def test_a_429_of_one_process_holds_back_the_reads_of_all(desk: Desk) -> None:
    assert desk.second.positions() == ()
    refuse_account(desk)
    with pytest.raises(BrokerUnavailable, match=r"GET /positions: .* no turn in 0\.05 s"):
        desk.second.positions()
    assert desk.asked("/v2/positions") == 1


def test_an_order_is_sent_though_its_turn_does_not_come(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_account(desk)
    order = order_of("mine", put(95), put(90), quantity=1, limit=TOO_MUCH)
    assert desk.second.submit(order).client_order_id == "mine"
    assert desk.asked("/v2/orders") == 1
    assert "POST /orders is sent without a turn" in caplog.text


class Noted:
    """A budget that always says yes and notes what it is asked and told."""

    def __init__(self) -> None:
        self.taken: list[tuple[Api, Urgency]] = []
        self.told: list[tuple[Api, int, float]] = []

    def take(self, api: Api, urgency: Urgency) -> Turn:
        self.taken.append((api, urgency))
        return Turn(0.0, 50, 0.0)

    def learn(self, api: Api, turn: Turn, *, remaining: int, reset_seconds: float) -> None:
        assert turn.left == 50
        self.told.append((api, remaining, reset_seconds))


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[tuple[Noted, AlpacaConnection]]:
    budget = Noted()
    with exchange(tmp_path / "state") as url:
        yield budget, replace(connection_to(url), budget=budget)


def test_orders_are_urgent_looks_less_and_scans_least(
    noted: tuple[Noted, AlpacaConnection],
) -> None:
    budget, connection = noted
    broker, market = AlpacaBroker(connection), AlpacaMarketData(connection)

    def seen(call: Any) -> set[tuple[Api, Urgency]]:
        budget.taken.clear()
        call()
        return set(budget.taken)

    first, last = date(2026, 11, 3), date(2026, 12, 31)
    order = order_of("mine", put(95), put(90), quantity=1, limit=TOO_MUCH)
    for look in (broker.account, broker.clock, broker.positions, broker.open_orders):
        assert seen(look) == {(TRADING, LOOK)}
    assert seen(lambda: broker.order_by_client_id("mine")) == {(TRADING, LOOK)}
    assert seen(lambda: broker.submit(order)) == {(TRADING, ORDER)}
    (taken,) = broker.open_orders()
    assert seen(lambda: broker.cancel(taken.id)) == {(TRADING, ORDER)}
    assert seen(lambda: market.stock_quotes(["XYZ"])) == {(DATA, LOOK)}
    assert seen(lambda: market.option_quotes([put(95)])) == {(DATA, LOOK), (TRADING, LOOK)}
    chain = seen(lambda: market.chain("XYZ", expires_from=first, expires_to=last))
    assert chain == {(DATA, SCAN), (TRADING, SCAN)}
    listing = seen(
        lambda: market.listed_contracts("XYZ", expires_from=first, expires_to=last, active=True)
    )
    assert listing == {(TRADING, SCAN)}
    assert (DATA, SCAN) in seen(lambda: market.daily_bars(["XYZ"], start=first, end=last))
    bars = seen(lambda: market.option_daily_bars([put(95)], start=first, end=last))
    assert bars <= {(DATA, SCAN), (TRADING, LOOK)}
    assert (DATA, SCAN) in bars
    # Every answer carried the exchange's own count.
    assert {remaining > 90_000 for _, remaining, _ in budget.told} == {True}
    assert all(0 < seconds <= 61 for *_, seconds in budget.told)
    broker.close()
    market.close()


DATED = {"Date": "Sat, 21 Nov 2026 12:00:40 GMT"}
NOON = 1795262400
COUNTED = {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str(NOON + 60)}


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (200, DATED | COUNTED, (7, 20.0)),
        (429, DATED | COUNTED, (0, 20.0)),
        (429, DATED | {"X-RateLimit-Reset": str(NOON)}, (0, 1.0)),
        (429, {"Retry-After": "12"}, (0, 12.0)),
        (429, {"Retry-After": "soon"}, (0, SILENT_PAUSE_SECONDS)),
        (429, {}, (0, SILENT_PAUSE_SECONDS)),
        (200, {}, None),
        (200, {"X-RateLimit-Remaining": "7"}, None),
        (200, {"X-RateLimit-Remaining": "nan", "X-RateLimit-Reset": "inf"}, None),
    ],
)
def test_what_an_answer_says_of_the_count(
    status: int, headers: dict[str, str], told: tuple[int, float] | None
) -> None:
    budget = Noted()
    turns = Turns(budget)
    turns.learn(TRADING, turns.wait(TRADING, LOOK, what="GET /x"), status, headers)
    assert budget.told == ([] if told is None else [(TRADING, *told)])


def test_an_answer_without_a_date_is_dated_by_this_machine() -> None:
    budget = Noted()
    turns = Turns(budget)
    headers = {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1"}
    turns.learn(TRADING, turns.wait(TRADING, LOOK, what="GET /x"), 200, headers)
    assert budget.told[0][2] < -1e9


class NeverMine(Noted):
    """A budget in which no turn comes."""

    def take(self, api: Api, urgency: Urgency) -> Turn:
        self.taken.append((api, urgency))
        return Turn(0.01, 0, 0.0)


def test_a_wait_ends_and_an_order_waits_least() -> None:
    assert LONGEST_WAITS[ORDER] < LONGEST_WAITS[LOOK] < LONGEST_WAITS[SCAN]
    naps: list[float] = []
    turns = Turns(NeverMine(), dict.fromkeys(Urgency, 0.05), sleep=naps.append)
    with pytest.raises(BrokerUnavailable, match="GET /x: the request budget is used up"):
        turns.wait(TRADING, SCAN, what="GET /x")
    assert naps
    assert max(naps) <= 0.05
    turn = turns.wait(TRADING, ORDER, what="POST /x")
    assert turn is not None
    assert not turn.is_mine


def test_without_a_budget_nothing_waits_and_nothing_is_told() -> None:
    turns = Turns(None)
    assert turns.wait(TRADING, SCAN, what="GET /x") is None
    turns.learn(TRADING, None, 429, {})


def test_the_exchange_counts_trading_and_data_apart(tmp_path: Path) -> None:
    with exchange(tmp_path, RateLimit(2, seconds=lambda: 600.0)) as url:
        connection = replace(connection_to(url), read_attempts=1)
        broker, market = AlpacaBroker(connection), AlpacaMarketData(connection)
        statuses: Counter[int | None] = Counter()
        for call in (broker.clock, lambda: market.stock_quotes(["XYZ"])) * 3:
            try:
                call()
                statuses[200] += 1
            except BrokerUnavailable as error:
                statuses[error.status] += 1
        assert statuses == {200: 4, 429: 2}
        broker.close()
        market.close()
