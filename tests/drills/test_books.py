"""The drill's verdict finds what it is there to find."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from drills.books import ExchangeBooks, LedgerBooks, Verdict, Violation, compare
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.positions import expected_positions
from mahler_pipelines.execution.trades import TradeStatus
from tests.execution.scenes import LONG, SESSION, SHORT, open_trade_scene

CASH = Decimal(100_000)
Books = tuple[LedgerBooks, ExchangeBooks]


@pytest.fixture
def books() -> Books:
    """Three spreads opened for 1.15 a share, the same in both books."""
    scene = open_trade_scene()
    with scene.book.transaction("main") as ledger:
        own = LedgerBooks(
            ledger.recommendations(),
            ledger.orders(),
            ledger.fills(),
            ledger.trades(),
            expected_positions(ledger, after=SESSION),
        )
    order = {"client_order_id": own.orders[0].client_order_id, "filled_qty": "3"}
    held = {SHORT.symbol: (-3, Decimal("4.10")), LONG.symbol: (3, Decimal("2.95"))}
    return own, ExchangeBooks((order,), held, CASH + 345)


def judge(ledger: LedgerBooks, exchange: ExchangeBooks, **more: tuple[str, ...]) -> Verdict:
    return compare(
        ledger, exchange, starting_cash=CASH, fee_per_contract=Decimal(0), failures=(), **more
    )


def _hanging(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    waits = replace(ledger.recommendations[0], status=RecommendationStatus.APPROVED)
    return replace(ledger, recommendations=(waits,)), exchange


def _without_reason(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    ended = replace(ledger.recommendations[0], status=RecommendationStatus.LAPSED, status_reason="")
    return replace(ledger, recommendations=(ended,), orders=()), replace(exchange, orders=())


def _sent_twice(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    return ledger, replace(exchange, orders=exchange.orders * 2)


def _second_attempt(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    """An order sent while the one before still worked; it fills nothing."""
    return _with_attempts(ledger, exchange, ended="2026-01-12T15:00:31Z", filled="0")


def _opened_beyond(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    """Two orders in turn that together open more than the three that were approved."""
    return _with_attempts(ledger, exchange, ended="2026-01-12T15:00:30Z", filled="1")


def _with_attempts(
    ledger: LedgerBooks, exchange: ExchangeBooks, *, ended: str, filled: str
) -> Books:
    """The order and a second one of 15:00:30; the first ended when it says."""
    again = replace(ledger.orders[0], client_order_id="second")
    first = {**exchange.orders[0], "canceled_at": ended}
    row = {
        "client_order_id": "second",
        "submitted_at": "2026-01-12T15:00:30Z",
        "filled_qty": filled,
    }
    return (
        replace(ledger, orders=(*ledger.orders, again)),
        replace(exchange, orders=(first, row)),
    )


def _no_order(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    return ledger, replace(exchange, orders=())


def _no_trade(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    return replace(ledger, trades=()), exchange


def _stranger(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    row = {"client_order_id": "a stranger's", "filled_qty": "0"}
    return ledger, replace(exchange, orders=(*exchange.orders, row))


def _unsettled(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    open_still = replace(ledger.orders[0], status=OrderStatus.UNKNOWN)
    return replace(ledger, orders=(open_still,)), exchange


def _closed_without_order(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    closed = replace(ledger.trades[0], status=TradeStatus.CLOSED)
    return replace(ledger, trades=(closed,)), exchange


def _one_contract_more(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    held = {**exchange.positions, SHORT.symbol: (-4, Decimal("4.10"))}
    return ledger, replace(exchange, positions=held)


def _another_price(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    held = {**exchange.positions, LONG.symbol: (3, Decimal("2.96"))}
    return ledger, replace(exchange, positions=held)


def _a_cent_less(ledger: LedgerBooks, exchange: ExchangeBooks) -> Books:
    return ledger, replace(exchange, cash=exchange.cash - Decimal("0.01"))


DAMAGES = [
    (_hanging, Violation.LOST_APPROVAL),
    (_without_reason, Violation.LOST_APPROVAL),
    (_sent_twice, Violation.DUPLICATE_ORDER),
    (_second_attempt, Violation.DUPLICATE_ORDER),
    (_opened_beyond, Violation.DUPLICATE_ORDER),
    (_no_order, Violation.GHOST_TRADE),
    (_no_trade, Violation.GHOST_TRADE),
    (_stranger, Violation.ORPHANED_ORDER),
    (_unsettled, Violation.ORPHANED_ORDER),
    (_closed_without_order, Violation.OVERCLOSED),
    (_one_contract_more, Violation.QUANTITY),
    (_another_price, Violation.PRICE),
    (_a_cent_less, Violation.CASH),
]


def test_books_that_agree_pass(books: Books) -> None:
    verdict = judge(*books)
    assert verdict.passed, verdict.violations
    assert (verdict.approvals, verdict.one_order, verdict.trades) == (1, 1, 1)


def test_steps_of_a_walk_one_after_another_are_no_duplicates(books: Books) -> None:
    verdict = judge(*_with_attempts(*books, ended="2026-01-12T15:00:30Z", filled="0"))
    assert not verdict.violations[Violation.DUPLICATE_ORDER]
    assert (verdict.one_order, verdict.walked) == (1, 1)


@pytest.mark.parametrize(
    ("damage", "violation"), DAMAGES, ids=[damage.__name__.strip("_") for damage, _ in DAMAGES]
)
def test_damage_is_found(
    books: Books, damage: Callable[[LedgerBooks, ExchangeBooks], Books], violation: Violation
) -> None:
    verdict = judge(*damage(*books))
    assert verdict.violations[violation]
    assert not verdict.passed


def test_reason_for_no_order_is_counted(books: Books) -> None:
    """An approval that ended without an order is no violation when it says why."""
    ledger, exchange = books
    ended = replace(
        ledger.recommendations[0], status=RecommendationStatus.LAPSED, status_reason="market_closed"
    )
    verdict = judge(
        replace(ledger, recommendations=(ended,), orders=(), fills=(), trades=(), positions={}),
        replace(exchange, orders=(), positions={}, cash=CASH),
    )
    assert verdict.passed, verdict.violations
    assert verdict.no_order == {"lapsed: market_closed": 1}


def test_failed_process_is_a_finding(books: Books) -> None:
    verdict = compare(
        *books, starting_cash=CASH, fee_per_contract=Decimal(0), failures=["CorruptData: x"]
    )
    assert verdict.violations[Violation.PROCESS] == ("CorruptData: x",)
    assert not verdict.passed
