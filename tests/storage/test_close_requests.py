"""Wishes to close in the ledger: the last word counts, a double click does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish, wanted_closes
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.scenes import NOW, recommendation, trade

CLOSE = CloseRequest(trade().id, CloseWish.CLOSE, "discord:1", "discord-http", NOW)
KEEP = replace(CLOSE, wish=CloseWish.KEEP)


@pytest.fixture(autouse=True)
def _open_trade(book: SqlLedgerBook) -> None:
    with book.transaction("main") as ledger:
        ledger.add_recommendation(recommendation(), at=NOW)
        ledger.open_trade(trade())


def asked(book: SqlLedgerBook, request: CloseRequest, *, minutes: float = 0) -> bool:
    with book.transaction("main") as ledger:
        at = request.requested_at + timedelta(minutes=minutes)
        return ledger.request_close(replace(request, requested_at=at))


def wanted(book: SqlLedgerBook) -> frozenset[str]:
    with book.reading("main") as ledger:
        return wanted_closes(ledger)


def test_wish_waits_until_it_is_taken_once(book: SqlLedgerBook) -> None:
    assert asked(book, CLOSE)
    assert not asked(book, CLOSE, minutes=1), "a second click adds nothing"
    assert wanted(book) == {CLOSE.trade_id}
    with book.transaction("main") as ledger:
        assert ledger.take_close_request(CLOSE.trade_id, at=NOW)
        assert not ledger.take_close_request(CLOSE.trade_id, at=NOW)
        assert ledger.close_requests() == (replace(CLOSE, taken_at=NOW),)
    assert wanted(book) == frozenset()
    assert asked(book, CLOSE, minutes=2), "its order lapsed, and the person asks again"


def test_keep_withdraws_a_close_that_waits(book: SqlLedgerBook) -> None:
    asked(book, CLOSE)
    assert asked(book, KEEP, minutes=1)
    assert wanted(book) == frozenset()
    assert asked(book, CLOSE, minutes=2)
    assert wanted(book) == {CLOSE.trade_id}


def test_keep_waits_for_nobody_and_holds_for_its_session(book: SqlLedgerBook) -> None:
    assert asked(book, KEEP)
    assert not asked(book, KEEP, minutes=5)
    with book.reading("main") as ledger:
        assert ledger.close_requests(waiting_only=True) == ()
    assert asked(book, KEEP, minutes=24 * 60), "the next session's alert is another question"


def test_every_answer_is_in_the_history(book: SqlLedgerBook) -> None:
    asked(book, CLOSE)
    asked(book, KEEP, minutes=1)
    with book.reading("main") as ledger:
        events = ledger.audit_events(subject=CLOSE.trade_id)
    said = [event.detail for event in events if event.kind == "close_requested"]
    assert [one["wish"] for one in said] == ["close", "keep"]
    assert {one["by"] for one in said} == {"discord:1"}


def test_accounts_do_not_see_each_others_wishes(book: SqlLedgerBook) -> None:
    asked(book, CLOSE)
    with book.transaction("second") as ledger:
        assert ledger.close_requests() == ()
        assert not ledger.take_close_request(CLOSE.trade_id, at=NOW)
    assert wanted(book) == {CLOSE.trade_id}
