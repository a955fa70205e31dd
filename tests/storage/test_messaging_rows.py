"""Messages, cards and presses come back from SQLite and PostgreSQL as messaging put them in."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.errors import LedgerError, MissingData
from mahler_pipelines.messaging.ledger import Approval, CardRecord
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.storage import samples
from tests.storage.samples import NOW, later

CARD = CardRecord(
    key="recommendation_card:r-1",
    kind="recommendation_card",
    subject="r-1",
    channel_id="20",
    message_id="9007199254740993",
    shown="ab" * 32,
    settled=False,
    updated_at=NOW,
    confirmed=False,
)


def enqueue(book: SqlLedgerBook, key: str, *, subject: str = "s", account: str = "main") -> None:
    with book.transaction(account) as ledger:
        ledger.enqueue(kind="note", subject=subject, payload={"n": 1}, key=key, at=NOW)


def due(book: SqlLedgerBook, at: datetime, *, limit: int = 100) -> list[str]:
    with book.reading("main") as ledger:
        return [row.key for row in ledger.due_messages(at=at, limit=limit)]


class TestOutbox:
    """What waits, in which order, and since when it has been on its way."""

    def test_the_oldest_of_each_subject_is_due(self, book: SqlLedgerBook) -> None:
        for number in range(6):
            enqueue(book, f"k{number}", subject=f"s{number % 2}")
        enqueue(book, "other", account="second")
        assert due(book, NOW) == ["k0", "k1"]
        assert due(book, NOW, limit=1) == ["k0"]
        with book.transaction("main") as ledger:
            ledger.mark_delivered("k0", at=NOW, receipt={"message_id": "1"})
        assert due(book, NOW) == ["k1", "k2"]

    def test_a_message_that_rests_holds_its_subject(self, book: SqlLedgerBook) -> None:
        for key, subject in (("a1", "a"), ("a2", "a"), ("b1", "b")):
            enqueue(book, key, subject=subject)
        with book.transaction("main") as ledger:
            assert ledger.postpone("a1", at=NOW, until=later(5), problem="503")
        assert due(book, later(4.99)) == ["b1"]
        assert due(book, later(5)) == ["a1", "b1"]
        with book.reading("main") as ledger:
            row = ledger.message("a1")
            assert row is not None
            assert (row.attempts, row.next_attempt_at, row.payload) == (1, later(5), {"n": 1})
            assert [one.key for one in ledger.outgoing()] == ["a1", "a2", "b1"]

    def test_the_first_unknown_send_is_remembered(self, book: SqlLedgerBook) -> None:
        enqueue(book, "k")
        with book.transaction("main") as ledger:
            assert ledger.begin_sending("k", at=later(1))
            assert ledger.begin_sending("k", at=later(2))
            row = ledger.message("k")
            assert row is not None
            assert row.sending_since == later(1)
            assert ledger.begin_sending("k", at=later(3), anew=True)
            row = ledger.message("k")
            assert row is not None
            assert row.sending_since == later(3)

    def test_what_is_out_is_out(self, book: SqlLedgerBook) -> None:
        enqueue(book, "k")
        with book.transaction("main") as ledger:
            assert ledger.mark_delivered("k", at=later(1), receipt={"message_id": "1"})
            assert not ledger.mark_delivered("k", at=later(2), receipt={"message_id": "2"})
            assert not ledger.begin_sending("k", at=later(2))
            assert not ledger.postpone("k", at=later(2), until=later(3), problem="late")
            row = ledger.message("k")
        assert row is not None
        assert row.delivered_at == later(1)
        assert due(book, later(10)) == []

    def test_unknown_keys_are_missing(self, book: SqlLedgerBook) -> None:
        with book.transaction("main") as ledger:
            assert ledger.message("none") is None
            with pytest.raises(MissingData):
                ledger.begin_sending("none", at=NOW)
            with pytest.raises(MissingData):
                ledger.postpone("none", at=NOW, until=NOW, problem="x")


class TestCards:
    """A card's record changes only from the look it was seen to have."""

    def test_a_card_comes_back(self, book: SqlLedgerBook) -> None:
        with book.transaction("main") as ledger:
            assert ledger.put_card(CARD)
        with book.reading("main") as ledger:
            assert ledger.cards() == (CARD,)
            assert ledger.card_of_message(CARD.message_id) == CARD
            assert ledger.card_of_message("1") is None
            assert ledger.cards(subject="r-2") == ()

    def test_a_card_changes_from_the_look_it_has(self, book: SqlLedgerBook) -> None:
        with book.transaction("main") as ledger:
            ledger.put_card(CARD)
            new = replace(CARD, shown="cd" * 32, confirmed=True, updated_at=later(1))
            assert not ledger.put_card(new, instead_of="ef" * 32)
            assert ledger.cards() == (CARD,)
            assert ledger.put_card(new, instead_of=CARD.shown)
            assert ledger.cards() == (new,)
            settled = replace(new, settled=True)
            assert ledger.put_card(settled)
            assert ledger.cards(unsettled_only=True) == ()
            assert ledger.cards() == (settled,)

    def test_a_card_that_is_not_there_is_not_changed(self, book: SqlLedgerBook) -> None:
        with book.transaction("main") as ledger:
            assert not ledger.put_card(CARD, instead_of=CARD.shown)
            assert ledger.cards() == ()

    def test_two_cards_are_never_one_message(self, book: SqlLedgerBook) -> None:
        with book.transaction("main") as ledger:
            ledger.put_card(CARD)
        with pytest.raises(LedgerError), book.transaction("main") as ledger:
            ledger.put_card(replace(CARD, key="another"))
        with book.transaction("second") as ledger:
            assert ledger.put_card(CARD)


class TestChanges:
    """What tells delivery that there is something to look at."""

    def test_every_change_is_a_new_number(self, book: SqlLedgerBook) -> None:
        seen = []

        def look() -> None:
            with book.reading("main") as ledger:
                seen.append(ledger.last_change())

        look()
        enqueue(book, "k")
        look()
        with book.transaction("main") as ledger:
            ledger.add_recommendation(samples.recommendation(), at=NOW)
        look()
        pending, approved = RecommendationStatus.PENDING, RecommendationStatus.APPROVED
        with book.transaction("main") as ledger:
            ledger.move_recommendation("r-1", expected=pending, to=approved, at=NOW)
        look()
        approval = Approval("r-1", "discord:7", "discord-http", NOW, "hash")
        with book.transaction("main") as ledger:
            assert ledger.add_approval(approval)
        look()
        with book.transaction("main") as ledger:
            ledger.add_order(samples.order())
        look()
        enqueue(book, "other", account="second")
        before = seen[-1]
        look()
        assert seen[0] == 0
        assert sorted(set(seen[:-1])) == seen[:-1]
        assert seen[-1] == before

    def test_the_next_expiry_is_that_of_what_waits(self, book: SqlLedgerBook) -> None:
        moments = [datetime(2024, 1, 3, 17, minute, tzinfo=UTC) for minute in (30, 10, 20)]
        with book.transaction("main") as ledger:
            assert ledger.next_expiry() is None
            for number, moment in enumerate(moments):
                shown = samples.recommendation(f"r-{number}", expires_at=moment)
                ledger.add_recommendation(shown, at=NOW)
            assert ledger.next_expiry() == moments[1]
            ledger.move_recommendation(
                "r-1",
                expected=RecommendationStatus.PENDING,
                to=RecommendationStatus.REJECTED,
                at=NOW,
            )
            assert ledger.next_expiry() == moments[2]


class TestPresses:
    """Interactions count once, and so does each person's yes."""

    def test_an_interaction_is_seen_once_and_forgotten_after_a_day(
        self, book: SqlLedgerBook
    ) -> None:
        with book.transaction("main") as ledger:
            assert ledger.see_interaction("1", at=NOW)
            assert not ledger.see_interaction("1", at=later(60))
            assert ledger.see_interaction("2", at=later(24 * 60 + 1))
            assert ledger.see_interaction("1", at=later(24 * 60 + 1))

    def test_each_person_says_yes_once(self, book: SqlLedgerBook) -> None:
        yes = Approval("r-1", "discord:7", "discord-http", NOW, "hash")
        with book.transaction("main") as ledger:
            ledger.add_recommendation(samples.recommendation(), at=NOW)
            assert ledger.add_approval(yes)
            assert not ledger.add_approval(replace(yes, door="cli"))
            assert ledger.add_approval(replace(yes, decided_by="ada", door="cli"))
            assert [one.decided_by for one in ledger.approvals("r-1")] == ["discord:7", "ada"]
            assert ledger.approvals("r-1")[0] == yes
