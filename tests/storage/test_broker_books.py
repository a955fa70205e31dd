"""What the broker did by itself comes back from SQLite and PostgreSQL as it went in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from mahler_pipelines.errors import BadInput, IllegalTransition, LedgerError, MissingData
from mahler_pipelines.execution.broker_books import (
    CashBeginning,
    FindingKind,
    FindingRecord,
    FindingStatus,
    Holding,
    HoldingSource,
    KnownActivity,
    LegSettlement,
    RepairKind,
)
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.storage import samples
from tests.storage.samples import NOW, later

ACTIVITY = KnownActivity(
    id="20260112::a",
    kind="OPASN",
    day=date(2026, 1, 12),
    symbol="SPY260220P00580000",
    quantity=Decimal(3),
    price=None,
    net_amount=Decimal("-0.10"),
    order_id=None,
    group_id="g",
    ours=False,
    booked_quantity=Decimal(0),
    seen_at=NOW,
)
HOLDING = Holding(
    id="h-SPY-1",
    account_id="main",
    symbol="SPY",
    opened_quantity=300,
    quantity=300,
    average_price=Decimal("575.903333333333"),
    carried_price=Decimal(580),
    source=HoldingSource.ASSIGNED,
    origin="t-1",
    opened_at=NOW,
)
FINDING = FindingRecord(
    id="d-260112-aaaaaaaa",
    account_id="main",
    kind=FindingKind.MISSING_LEG,
    subject="SPY260220P00580000",
    expected=Decimal(-3),
    found=Decimal(0),
    first_seen=NOW,
    last_seen=NOW,
    status=FindingStatus.OPEN,
    repair=RepairKind.WAIT,
    detail={"why": ""},
)


def test_an_activity_is_kept_once_and_booked_no_further_than_it_goes(
    book: SqlLedgerBook,
) -> None:
    with book.transaction("main") as ledger:
        assert ledger.add_activities([ACTIVITY, ACTIVITY]) == 1
        ledger.book_activity(ACTIVITY.id, 2)
    with book.transaction("main") as ledger:
        assert ledger.activities() == (replace(ACTIVITY, booked_quantity=Decimal(2)),)
        for beyond in (2, -1):
            with pytest.raises(IllegalTransition):
                ledger.book_activity(ACTIVITY.id, beyond)
        with pytest.raises(MissingData):
            ledger.book_activity("none", 1)


def test_settlements_belong_to_their_trade(book: SqlLedgerBook) -> None:
    row = LegSettlement(
        id="t-1:1",
        trade_id="t-1",
        symbol="SPY260220P00580000",
        side="buy",
        quantity=3,
        price=Decimal("4.10"),
        cause="assigned",
        activity_id=ACTIVITY.id,
        settled_at=NOW,
    )
    with book.transaction("main") as ledger:
        ledger.open_trade(samples.trade("t-1"))
        ledger.add_settlements([row])
        assert ledger.settlements(trade_id="t-1") == (row,)
        assert ledger.settlements(trade_id="t-2") == ()
        assert [event.kind for event in ledger.audit_events(subject="t-1")][-1] == "leg_settled"
    with pytest.raises(LedgerError), book.transaction("main") as ledger:
        ledger.add_settlements([replace(row, id="t-9:1", trade_id="t-9")])


def test_a_holding_is_replaced_and_leaves_the_open_ones_when_nothing_is_left(
    book: SqlLedgerBook,
) -> None:
    closed = replace(HOLDING, quantity=0, closed_at=later(1), realised_usd=Decimal("12.345"))
    with book.transaction("main") as ledger:
        ledger.put_holding(HOLDING, at=NOW)
        assert ledger.holdings() == (HOLDING,)
        ledger.put_holding(closed, at=later(1))
    with book.reading("main") as ledger:
        assert ledger.holdings() == ()
        assert ledger.holdings(open_only=False) == (closed,)


def test_a_finding_writes_history_where_its_state_is_new(book: SqlLedgerBook) -> None:
    seen_again = replace(FINDING, last_seen=later(5))
    ended = replace(
        seen_again,
        kind=FindingKind.ASSIGNED,
        status=FindingStatus.REPAIRED,
        repair=RepairKind.BOOK,
        resolved_at=later(6),
        resolved_by="mahler",
        detail={"why": "", "activities": [ACTIVITY.id]},
    )
    with book.transaction("main") as ledger:
        for row in (FINDING, seen_again, ended):
            ledger.put_finding(row)
    with book.reading("main") as ledger:
        assert ledger.finding(FINDING.id) == ended
        assert ledger.findings(statuses=[FindingStatus.OPEN]) == ()
        assert ledger.findings() == (ended,)
        kinds = [event.kind for event in ledger.audit_events(subject=FINDING.subject)]
    assert kinds == ["reconciliation.missing_leg", "reconciliation.assigned"]


def test_the_first_cash_stays_the_first(book: SqlLedgerBook) -> None:
    first = CashBeginning(NOW, Decimal("100000.00"))
    with book.transaction("main") as ledger:
        assert ledger.cash_beginning() is None
        assert ledger.begin_cash(first)
        assert not ledger.begin_cash(CashBeginning(later(1), Decimal(1)))
        assert ledger.cash_beginning() == first


@pytest.mark.parametrize("put", ["holding", "finding"])
def test_another_account_s_row_is_refused(book: SqlLedgerBook, put: str) -> None:
    writes: dict[str, Callable[[], None]] = {}
    with book.transaction("other") as ledger:
        writes["holding"] = lambda: ledger.put_holding(HOLDING, at=NOW)
        writes["finding"] = lambda: ledger.put_finding(FINDING)
        with pytest.raises(BadInput):
            writes[put]()


def test_accounts_do_not_see_each_other(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_activities([ACTIVITY])
        ledger.put_finding(FINDING)
        ledger.put_holding(HOLDING, at=NOW)
    with book.transaction("other") as ledger:
        assert (ledger.activities(), ledger.findings(), ledger.holdings()) == ((), (), ())
