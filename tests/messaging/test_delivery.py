"""From the outbox to the channel: once, in order, whatever breaks on the way."""

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mahler_pipelines.cards.message import Embed, Message
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable, LedgerBusy, MahlerError
from mahler_pipelines.execution.messages import announce_exit_reached
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.local_discord.limits import Allowance
from mahler_pipelines.messaging.courier import (
    Courier,
    DeliveryReport,
    DeliveryTerms,
    Rendered,
)
from mahler_pipelines.messaging.delivery import LEASE, deliver, keep_delivering
from mahler_pipelines.messaging.ledger import MessagingLedger, OutgoingMessage
from mahler_pipelines.messaging.marks import mark, marked, nonce
from mahler_pipelines.messaging.notifier import NotifierOutcomeUnknown
from mahler_pipelines.messaging.rendering import DeskRenderer
from mahler_pipelines.storage.migrate import upgrade
from mahler_pipelines.storage.tables import leases
from tests.messaging.posts import ACCOUNT, PNG, Post, posted, problems
from tests.storage import samples

APPROVE, REJECT = DecisionVerdict.APPROVE, DecisionVerdict.REJECT


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def post(tmp_path: Path, template: Path) -> Iterator[Post]:
    with posted(tmp_path, template) as made:
        yield made


class TestSending:
    """New messages go out once, oldest first."""

    def test_what_waits_goes_out_in_order(self, post: Post) -> None:
        for number in range(7):
            post.note(str(number), subject=f"s{number % 2}")
        report = deliver(post.courier())
        assert post.names() == [str(number) for number in range(7)]
        assert len(report.sent) == 7
        assert report.problems == {}
        assert post.waiting() == []

    def test_a_round_without_work_asks_nobody(self, post: Post) -> None:
        post.propose()
        courier = post.courier()
        deliver(courier)
        asked = len(post.local.discord.journal)
        assert deliver(courier) == DeliveryReport()
        assert len(post.local.discord.journal) == asked

    def test_a_round_without_work_writes_nothing_and_reads_little(self, post: Post) -> None:
        """It comes every second, beside an execution that wants the write lock."""
        for number in range(10):
            post.propose(f"r-{number}")
        courier = post.courier()
        deliver(courier)
        post.later(10)
        statements: list[str] = []
        engine = post.book._opened()
        sa.event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
        deliver(courier)
        assert {text.split()[0] for text in statements} == {"BEGIN", "SELECT"}
        assert len(statements) <= 5

    def test_an_unknown_kind_becomes_a_note_of_its_facts(self, post: Post) -> None:
        post.note("early_close", session="2026-11-27", closes_at="13:00")
        deliver(post.courier())
        (embed,) = post.channel()[0]["embeds"]
        assert embed["title"] == "Test note"
        assert ("closes at", "13:00") in [(one["name"], one["value"]) for one in embed["fields"]]

    def test_a_card_goes_out_with_its_picture_and_buttons(self, post: Post) -> None:
        post.propose()
        deliver(post.courier())
        (card,) = post.cards()
        (shown,) = post.channel()
        assert (card.message_id, card.settled, card.confirmed) == (shown["id"], False, True)
        assert shown["embeds"][0]["image"]["url"].endswith(".png")
        assert post.untrue() == []
        assert len(shown["components"][0]["components"]) == 4

    def test_a_card_whose_picture_cannot_be_drawn_goes_without(self, post: Post) -> None:
        def broken(_: Any) -> bytes:
            raise ZeroDivisionError

        post.propose()
        renderer = replace(post.renderer, payoff=broken)
        deliver(replace(post.courier(), renderer=renderer))
        assert len(post.channel()[0]["components"][0]["components"]) == 4
        assert "image" not in post.channel()[0]["embeds"][0]

    def test_poisoned_text_arrives_cut_and_harmless(self, post: Post) -> None:
        poison = "@everyone <@1100000000000000100> **bold** `x` [a](https://evil.test) " * 200
        post.note("poison", words=poison, **{f"word{n}": poison for n in range(30)})
        post.propose(thesis=poison, risks=(poison, poison), analyst=poison)
        deliver(post.courier())
        assert post.waiting() == []
        for shown in post.channel():
            assert shown["mention_everyone"] is False
            assert shown["mentions"] == []
            said = str(shown["embeds"])
            assert "@everyone" not in said
            assert "<@1100" not in said
            assert "https://evil" not in said
            assert shown["embeds"][-1]["footer"]["text"].endswith(
                tuple(mark(ACCOUNT, key) for key in ("test_note:poison", "recommendation_card:r-1"))
            )

    def test_a_long_message_without_embeds_keeps_its_mark(self) -> None:
        long = marked(Message("word " * 1000), "#0123456789")
        assert len(long.content) <= 2000
        assert long.content.endswith("#0123456789")
        last = marked(Message(embeds=(Embed("t", footer="f" * 3000),)), "#0123456789")
        assert last.embeds[0].footer.endswith(" · #0123456789")

    def test_more_than_a_page_of_held_messages_hold_nobody(self, post: Post) -> None:
        """Each subject's oldest is what counts, not the oldest fifty."""
        until = post.present() + timedelta(hours=1)
        for number in range(60):
            key = post.note(f"held{number}", subject=f"s{number}")
            with post.book.transaction(ACCOUNT) as ledger:
                ledger.postpone(key, at=post.present(), until=until, problem="x")
        post.note("free", subject="free")
        deliver(post.courier())
        assert post.names() == ["free"]


class TestTrouble:
    """What breaks is tried again, once in the channel, and in order per subject."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "fail", "status": 502, "executed": True},
            {"kind": "fail", "status": 502},
            {"kind": "drop", "executed": True},
            {"kind": "drop"},
            {"kind": "truncate"},
            {"kind": "empty"},
            {"kind": "rate_limit", "retry_after": 40.0},
            {"kind": "rate_limit", "retry_after": 40.0, "via": False},
        ],
    )
    def test_one_lost_request_is_one_message(self, post: Post, fault: dict[str, Any]) -> None:
        post.note("first")
        post.note("second")
        post.play(fault)
        courier = post.courier()
        report = deliver(courier)
        assert list(report.problems) == ["test_note:first"]
        assert "second" not in post.names()
        assert deliver(courier).problems == {}
        post.settle(courier)
        assert post.names() == ["first", "second"]

    def test_a_lost_answer_is_settled_by_the_nonce(self, post: Post) -> None:
        post.note("once")
        post.play({"kind": "drop", "executed": True})
        courier = post.courier()
        deliver(courier)
        post.later(5)
        deliver(courier)
        first, second = post.requests("POST")
        assert first["body"]["nonce"] == second["body"]["nonce"] == nonce(ACCOUNT, "test_note:once")
        assert post.requests("GET") == []
        assert post.names() == ["once"]

    def test_later_a_lost_answer_is_settled_by_the_mark(self, post: Post) -> None:
        """A quarter of an hour later the nonce finds nothing, and 150 messages lie between."""
        post.note("once")
        post.play({"kind": "drop", "executed": True})
        deliver(post.courier())
        sent = post.channel()[0]["id"]
        for number in range(150):
            post.local.send(content=f"chatter {number}")
        post.later(900)
        deliver(post.courier())
        assert [one["id"] for one in post.channel() if one["embeds"]] == [sent]
        assert post.waiting() == []
        assert len(post.requests("GET")) == 2

    def test_later_what_is_not_in_the_channel_is_sent(self, post: Post) -> None:
        post.note("once")
        post.play({"kind": "drop"})
        deliver(post.courier())
        post.later(900)
        deliver(post.courier())
        assert post.names() == ["once"]

    def test_repeats_do_not_renew_the_nonce(self, post: Post) -> None:
        """Discord counts its minutes from the first; a repeat beyond them would be a second one."""
        post.note("once")
        courier = post.courier()
        post.play({"kind": "drop", "executed": True}, times=100)
        for _ in range(30):
            deliver(courier)
            post.later(20)
        post.local.control.clear_faults()
        post.settle(courier)
        assert post.names() == ["once"]

    def test_a_person_who_writes_the_mark_hides_no_message(self, post: Post) -> None:
        key = post.note("once")
        post.play({"kind": "drop"})
        deliver(post.courier())
        courier = post.courier()
        written = post.local.send(content=mark(ACCOUNT, key))
        recent = courier.notifier.recent
        person = {"author": {"id": "7", "username": "somebody"}}

        class Overheard:
            def recent(self, **since: Any) -> Any:
                return tuple(replace(one, raw=one.raw | person) for one in recent(**since))

            def __getattr__(self, name: str) -> Any:
                return getattr(courier.notifier, name)

        post.later(900)
        deliver(replace(courier, notifier=Overheard()))
        first, second = post.channel()
        assert (first["id"], second["embeds"][0]["title"]) == (written["id"], "Test note")

    def test_the_wait_doubles_and_has_an_end(self, post: Post) -> None:
        post.note("once")
        post.play({"kind": "fail", "status": 500}, times=1000)
        courier = post.courier()
        tries: list[float] = []
        began = post.present()
        while len(tries) < 8:
            before = len(post.requests("POST"))
            deliver(courier)
            if len(post.requests("POST")) > before:
                tries.append((post.present() - began).total_seconds())
            post.later(1)
        gaps = [later - sooner for sooner, later in itertools.pairwise(tries)]
        assert gaps == pytest.approx([2, 4, 8, 16, 32, 60, 60], abs=2)

    def test_a_message_that_discord_refuses_holds_its_subject_alone(self, post: Post) -> None:
        post.note("bad", subject="bad")
        post.note("after bad", subject="bad")
        post.note("good", subject="good")
        refusal = {"kind": "refuse", "status": 400, "code": 50035, "message": "Invalid Form Body"}
        post.play(refusal)
        courier = post.courier()
        report = deliver(courier)
        asked = post.requests("POST")[0]["path"].removeprefix("/api/v10")
        assert problems(report) == [f"POST {asked}: 400 Invalid Form Body"]
        assert post.names() == ["good"]
        post.settle(courier)
        assert post.names() == ["good", "bad", "after bad"]

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_where_nobody_is_allowed_the_channel_is_left_alone(
        self, post: Post, status: int
    ) -> None:
        """Ten thousand such answers in ten minutes are a ban."""
        for number in range(20):
            post.note(str(number), subject=str(number))
        fault = {"kind": "refuse", "status": status, "code": 50001, "message": "Missing Access"}
        post.play(fault, times=1000)
        courier = post.courier()
        for _ in range(150):
            deliver(courier)
            post.later(4)
        assert 8 < len(post.requests("POST")) < 25
        post.local.control.clear_faults()
        post.settle(courier)
        assert post.names() == sorted(post.names(), key=int)
        assert len(post.names()) == 20


class TestOutage:
    """Discord down for an hour loses nothing and delays nobody."""

    def test_an_hour_without_discord_loses_nothing(self, post: Post) -> None:
        post.propose("r-before")
        courier = post.courier()
        deliver(courier)
        post.local.control.begin_outage()
        post.answer("r-before", REJECT, reason="no")
        for minute in range(60):
            post.note(f"{minute}", subject=f"s{minute % 3}")
            for _ in range(6):
                deliver(courier)
                post.later(10)
        asked = len(post.local.discord.journal)
        assert asked < 400
        post.local.control.end_outage()
        post.later(60)
        deliver(courier)
        assert [one["content"] for one in post.channel()] == [""] * 61
        sent = [
            one["embeds"][0]["fields"][0]["value"]
            for one in post.channel()
            if one["embeds"][0]["title"] == "Test note"
        ]
        for subject in range(3):
            mine = [int(name) for name in sent if int(name) % 3 == subject]
            assert mine == sorted(mine)
            assert len(mine) == 20
        post.settle(courier)
        assert post.untrue() == []
        assert post.waiting() == []

    def test_who_hangs_holds_no_ledger(self, post: Post) -> None:
        """An exit writes while a request to Discord is on its way, and does not wait for it."""
        post.note("slow")
        post.play({"kind": "hang", "seconds": 1.5})
        courier = post.courier(answer_seconds=30.0)
        done: list[DeliveryReport] = []
        thread = threading.Thread(target=lambda: done.append(deliver(courier)))
        thread.start()
        deadline = time.monotonic() + 5
        while not post.requests("POST") and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in range(20):
            post.note(f"exit {number}", subject=f"exit {number}")
        assert done == []
        thread.join()
        assert len(post.waiting()) == 0

    def test_a_ledger_that_is_locked_is_said_and_raises_nothing(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post.note("later")
        courier = post.courier()

        def busy(*_: Any, **__: Any) -> Any:
            raise LedgerBusy("the ledger stayed locked for 5 s")

        with monkeypatch.context() as patch:
            patch.setattr(post.book, "lease", busy)
            assert problems(deliver(courier)) == ["the ledger stayed locked for 5 s"]
        deliver(courier)
        assert post.names() == ["later"]


class TestRenderings:
    """What can't be rendered holds its own subject, and is told as bare facts in the end."""

    def test_a_rendering_that_fails_holds_only_its_own_subject(self, post: Post) -> None:
        with post.book.transaction(ACCOUNT) as ledger:
            ledger.enqueue(
                kind="exit_reached", subject="t-9", payload={"reason": "stop_loss"},
                key="exit_reached:t-9", at=post.present(),
            )  # fmt: skip
        post.note("other")
        courier = post.courier()
        report = deliver(courier)
        assert post.names() == ["other"]
        assert problems(report) == ["exit_reached:t-9: MissingData: no trade t-9"]
        post.settle(courier)
        last = post.channel()[-1]["embeds"][0]
        assert last["title"] == "Exit reached"
        assert last["fields"][0]["value"] == "stop\\_loss"
        assert post.waiting() == []

    def test_an_outage_is_no_fault_of_a_card(self, post: Post) -> None:
        """After an hour of tries it still is a card, with its buttons."""
        post.propose()
        post.local.control.begin_outage()
        courier = post.courier()
        for _ in range(30):
            deliver(courier)
            post.later(60)
        post.local.control.end_outage()
        post.settle(courier)
        assert len(post.cards()) == 1
        assert post.untrue() == []

    def test_a_programming_error_is_a_problem_of_one_message(self, post: Post) -> None:
        class Broken:
            def new(self, ledger: MessagingLedger, row: OutgoingMessage) -> Rendered:
                if row.subject == "bad":
                    raise KeyError("surprise")
                return post.renderer.new(ledger, row)

            def __getattr__(self, name: str) -> Any:
                return getattr(post.renderer, name)

        post.note("bad", subject="bad")
        post.note("good", subject="good")
        report = deliver(replace(post.courier(), renderer=Broken()))
        assert problems(report) == ["test_note:bad: KeyError: 'surprise'"]
        assert post.names() == ["good"]


class TestCards:
    """A card ends up showing the truth, whatever happens to its edits."""

    def test_a_decision_is_shown_in_place_and_confirmed(self, post: Post) -> None:
        post.propose()
        courier = post.courier()
        deliver(courier)
        post.answer("r-1", REJECT, reason="too close to earnings")
        assert deliver(courier).edited == ["recommendation_card:r-1"]
        assert post.untrue() == []
        assert post.channel()[0]["components"] == []
        assert post.cards()[0].settled is False
        assert deliver(courier).edited == []
        post.later(6)
        assert deliver(courier).edited == ["recommendation_card:r-1"]
        assert post.cards()[0].settled is True
        post.later(60)
        assert deliver(courier) == DeliveryReport()
        assert len(post.requests("PATCH")) == 2

    def test_an_answer_that_came_late_does_not_stay(self, post: Post) -> None:
        """What a press is answered with may reach Discord after the edit that followed it."""
        post.propose()
        courier = post.courier()
        deliver(courier)
        stale = courier.notifier
        with post.book.reading(ACCOUNT) as ledger:
            (card,) = ledger.cards()
            before = marked(post.renderer.card(ledger, card).message, mark(ACCOUNT, card.key))
        post.answer("r-1", REJECT)
        deliver(courier)
        stale.edit(card.message_id, before)
        assert post.untrue() == [card.key]
        post.settle(courier)
        assert post.untrue() == []
        assert post.cards()[0].settled

    def test_a_press_between_send_and_record_is_shown(self, post: Post) -> None:
        """The send was taken and never recorded; meanwhile somebody decided by another door."""
        post.propose()
        post.play({"kind": "drop", "executed": True})
        courier = post.courier()
        deliver(courier)
        post.answer("r-1", APPROVE, door="cli", decided_by="ada")
        post.settle(courier)
        assert len(post.channel()) == 1
        assert post.untrue() == []

    def test_many_changes_in_a_second_are_one_edit(self, post: Post) -> None:
        post.propose()
        courier = post.courier()
        deliver(courier)
        post.answer("r-1", APPROVE)
        post.move("r-1", RecommendationStatus.EXECUTING)
        post.move("r-1", RecommendationStatus.LAPSED, reason="price moved")
        deliver(courier)
        assert len(post.requests("PATCH")) == 1
        assert post.untrue() == []

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "drop"},
            {"kind": "drop", "executed": True},
            {"kind": "fail", "status": 500},
            {"kind": "rate_limit", "retry_after": 50.0},
            {"kind": "refuse", "status": 400, "code": 50035, "message": "Invalid Form Body"},
            {"kind": "refuse", "status": 403, "code": 50013, "message": "Missing Permissions"},
        ],
    )
    def test_an_edit_that_fails_is_made_later(self, post: Post, fault: dict[str, Any]) -> None:
        post.propose("r-1")
        post.propose("r-2")
        courier = post.courier()
        deliver(courier)
        post.answer("r-1", REJECT)
        post.play(fault, method="PATCH", times=3)
        report = deliver(courier)
        assert list(report.problems) == ["recommendation_card:r-1"]
        asked = len(post.requests("PATCH"))
        deliver(courier)
        assert len(post.requests("PATCH")) == asked
        post.local.control.clear_faults()
        post.settle(courier)
        assert post.untrue() == []
        assert [card.settled for card in post.cards()] == [True, False]

    def test_a_deleted_card_is_let_go(self, post: Post) -> None:
        post.propose()
        courier = post.courier()
        deliver(courier)
        (card,) = post.cards()
        post.local.rest.delete(f"/channels/{card.channel_id}/messages/{card.message_id}")
        post.answer("r-1", REJECT)
        report = deliver(courier)
        assert (report.edited, report.problems) == ([], {})
        post.settle(courier)
        assert post.cards()[0].settled is True
        assert len(post.requests("PATCH")) == 1
        with post.book.reading(ACCOUNT) as ledger:
            (event,) = [one for one in ledger.audit_events() if one.kind == "card_deleted"]
        assert event.subject == "r-1"

    def test_what_nobody_answered_expires_and_says_so(self, post: Post) -> None:
        """Scans expire what is due, and there may be none any more today."""
        shown = post.propose()
        courier = post.courier()
        deliver(courier)
        post.market_now = shown.expires_at - timedelta(seconds=1)
        post.later(10)
        assert deliver(courier).expired == []
        post.market_now = shown.expires_at
        post.later(10)
        report = deliver(courier)
        assert (report.expired, report.edited) == (["r-1"], ["recommendation_card:r-1"])
        post.settle(courier)
        assert post.cards()[0].settled
        assert post.channel()[0]["components"] == []
        assert post.untrue() == []

    def test_a_market_that_says_no_time_delays_no_message(self, post: Post) -> None:
        post.propose()

        def unknown() -> Any:
            raise BrokerUnavailable("the exchange is down")

        report = deliver(replace(post.courier(), market_now=unknown))
        assert report.sent == ["recommendation_card:r-1"]
        assert problems(report) == ["the exchange is down"]

    def test_an_exit_alert_follows_its_trade(self, post: Post) -> None:
        post.propose()
        trade = samples.trade()
        exit_mark = samples.mark()
        with post.book.transaction(ACCOUNT) as ledger:
            ledger.open_trade(trade)
            announce_exit_reached(ledger, trade, exit_mark, ExitReason.STOP_LOSS)
        courier = post.courier()
        deliver(courier)
        alert = post.channel()[-1]
        assert len(alert["components"][0]["components"]) == 2
        closed = replace(
            trade,
            status=TradeStatus.CLOSED,
            exit_debit=Decimal("2.50"),
            exit_time=samples.later(30),
            exit_reason=ExitReason.STOP_LOSS,
            pnl_usd=Decimal(-250),
        )
        with post.book.transaction(ACCOUNT) as ledger:
            ledger.update_trade(closed, expected=trade.status, at=samples.later(30))
        post.settle(courier)
        assert post.untrue() == []
        assert [card.settled for card in post.cards() if card.kind == "exit_reached"] == [True]

    def test_edits_do_not_keep_news_waiting(self, tmp_path: Path, template: Path) -> None:
        """Five edits in five seconds are what Discord lets pass; news comes between them."""
        with posted(tmp_path, template, messages=Allowance(1000, 1.0)) as post:
            for number in range(40):
                post.propose(f"r-{number}")
            courier = post.courier()
            deliver(courier)
            for number in range(40):
                post.answer(f"r-{number}", REJECT)
            began = post.present()
            deliver(courier)
            assert (post.present() - began).total_seconds() < 16
            assert post.untrue() != []
            post.note("exit")
            deliver(courier)
            order = [one["method"] for one in list(post.local.discord.journal)[40:]]
            assert 5 <= order.index("POST") <= 15
            for _ in range(30):
                deliver(courier)
                post.later(5)
            assert post.untrue() == []
            assert all(one["status"] != 429 for one in post.local.discord.journal)


class TestTwoProcesses:
    """One sends at a time; and where a lease runs out meanwhile, still each message is one."""

    def test_who_comes_second_finds_it_busy(self, post: Post) -> None:
        post.note("once")
        with post.book.lease(LEASE, account_id=ACCOUNT, holder="other", seconds=60):
            assert deliver(post.courier()).busy
        assert post.names() == []

    def test_two_at_once_send_each_message_once(self, post: Post) -> None:
        for number in range(12):
            post.note(str(number), subject=str(number % 3))
            post.propose(f"r-{number}")
        errors: list[MahlerError] = []

        def work(courier: Courier) -> None:
            try:
                for number in range(12):
                    deliver(courier)
                    post.answer(f"r-{number}", REJECT)
            except MahlerError as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(post.courier(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        post.settle(post.courier())
        assert errors == []
        assert len(post.channel()) == 24
        assert post.untrue() == []
        assert all(card.settled for card in post.cards())

    def test_a_lease_that_ran_out_doubles_nothing(self, post: Post) -> None:
        """The first hangs beyond its lease; the second sends; the first's request is taken too."""
        post.note("once")
        first, second = post.courier(), post.courier()
        send = first.notifier.send

        class Slow:
            def send(self, message: Message, *, nonce: str) -> Any:
                with post.book._begin() as connection:
                    connection.execute(sa.update(leases).values(expires_epoch=0.0))
                assert deliver(second).sent == ["test_note:once"]
                return send(message, nonce=nonce)

            def __getattr__(self, name: str) -> Any:
                return getattr(first.notifier, name)

        report = deliver(replace(first, notifier=Slow()))
        assert report.sent == []
        assert len(post.requests("POST")) == 2
        assert post.names() == ["once"]

    def test_two_edits_at_once_end_in_the_truth(self, post: Post) -> None:
        """The first edit is older, and reaches Discord after the second."""
        post.propose()
        first, second = post.courier(), post.courier()
        deliver(first)
        post.answer("r-1", APPROVE)
        edit = first.notifier.edit

        class Slow:
            def edit(self, message_id: str, message: Message) -> Any:
                with post.book._begin() as connection:
                    connection.execute(sa.update(leases).values(expires_epoch=0.0))
                post.move("r-1", RecommendationStatus.EXECUTING)
                post.move("r-1", RecommendationStatus.LAPSED, reason="price moved")
                post.settle(second)
                assert post.cards()[0].settled
                return edit(message_id, message)

            def __getattr__(self, name: str) -> Any:
                return getattr(first.notifier, name)

        deliver(replace(first, notifier=Slow()))
        assert post.untrue() == ["recommendation_card:r-1"]
        post.settle(second)
        assert post.untrue() == []
        assert post.cards()[0].settled


class TestLoop:
    """Round after round until it is stopped, with a line for each new problem."""

    def run(self, courier: Courier, until: Any, *, poll_seconds: float = 0.01) -> None:
        stop = threading.Event()
        thread = threading.Thread(
            target=keep_delivering,
            args=(courier,),
            kwargs={"stop": stop, "poll_seconds": poll_seconds},
        )
        thread.start()
        deadline = time.monotonic() + 10
        while not until() and time.monotonic() < deadline:
            time.sleep(0.01)
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
        assert until()

    def test_a_problem_is_logged_when_it_comes_and_when_it_goes(
        self, post: Post, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger="mahler_pipelines.messaging.delivery")
        for number in range(20):
            post.note(str(number), subject=str(number))
        quick = DeliveryTerms(first_wait_seconds=0.01, longest_wait_seconds=0.02)
        courier = post.courier(terms=quick)
        post.play({"kind": "fail", "status": 502}, times=30)
        self.run(courier, lambda: len(post.names()) == 20)
        said = [one.getMessage() for one in caplog.records if one.name.endswith("delivery")]
        assert len(said) == 2
        assert said[0].endswith(": 502")
        assert said[1] == "everything is delivered again"

    def test_an_error_that_is_none_of_ours_ends_nothing(
        self, post: Post, caplog: pytest.LogCaptureFixture
    ) -> None:
        post.note("once")
        courier = post.courier()
        asked = []

        def market_now() -> Any:
            asked.append(1)
            if len(asked) < 4:
                raise ZeroDivisionError("surprise")
            return post.market_now

        post.propose()
        eager = replace(courier, market_now=market_now, terms=DeliveryTerms(clock_seconds=0.0))
        self.run(eager, lambda: len(post.channel()) == 2)
        told = [one.getMessage() for one in caplog.records if "surprise" in one.getMessage()]
        assert told == ["not delivered: ZeroDivisionError: surprise"]


def test_a_card_is_rendered_from_state_alone(post: Post) -> None:
    """No clock ticks in a card, or it would be edited every second."""
    post.propose()
    courier = post.courier()
    deliver(courier)
    with post.book.transaction(ACCOUNT) as ledger:
        ledger.audit("something", "else", {}, at=samples.NOW)
    post.later(3600)
    assert deliver(courier).edited == []
    assert len(post.requests("PATCH")) == 0


def test_the_same_state_makes_the_same_message(post: Post) -> None:
    post.propose()
    other = DeskRenderer(payoff=lambda _: PNG, approvals_needed=lambda _: 1)
    with post.book.reading(ACCOUNT) as ledger:
        (row,) = ledger.outgoing()
        assert other.new(ledger, row) == post.renderer.new(ledger, row)


def test_lost_searches_send_nothing(post: Post) -> None:
    """Whether it was taken is not known: nothing is sent before the channel could be read."""
    post.note("once")
    post.play({"kind": "drop", "executed": True})
    deliver(post.courier())
    post.later(900)
    courier = post.courier()
    post.play({"kind": "drop"}, method="GET", times=1000)
    with pytest.raises(NotifierOutcomeUnknown):
        courier.notifier.recent(since=samples.NOW)
    deliver(courier)
    assert len(post.requests("POST")) == 1
    post.local.control.clear_faults()
    post.settle(courier)
    assert post.names() == ["once"]
