"""Reactions as the door: listed people, one answer, and the card that shows it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.local_discord.people import STRANGER_ID, YOU_ID
from mahler_pipelines.messaging.approving import ApprovalRule
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.mail_room import MailRoom
from mahler_pipelines.messaging.reactions import DOOR, NO, YES, ReactionDoor, read_reactions
from mahler_pipelines.messaging.rendering import REACT
from tests.messaging.posts import ACCOUNT, Post, posted
from tests.messaging.test_delivery import template  # noqa: F401 a fixture
from tests.storage import samples


@pytest.fixture
def post(tmp_path: Path, template: Path) -> Iterator[Post]:  # noqa: F811 the fixture above
    with posted(tmp_path, template) as made:
        made.renderer = replace(made.renderer, by_reactions=True)
        yield made


def door_of(post: Post, **changes: Any) -> ReactionDoor:
    courier = post.courier()
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "book": post.book,
        "notifier": courier.notifier,
        "rule": ApprovalRule(),
        "users": frozenset({YOU_ID}),
        "market_now": lambda: post.market_now,
    }
    return ReactionDoor(**(values | changes))


def shown(post: Post, identifier: str = "r-1", **changes: Any) -> str:
    """Put a card into the channel and return its message."""
    post.propose(identifier, **changes)
    deliver(post.courier())
    return post.cards()[-1].message_id


def status_of(post: Post, identifier: str = "r-1") -> tuple[RecommendationStatus, Any]:
    with post.book.reading(ACCOUNT) as ledger:
        stored = ledger.recommendation(identifier)
        assert stored is not None
        return stored.status, stored.decision


def test_a_card_asks_for_reactions_and_offers_them_once(post: Post) -> None:
    message = shown(post)
    door = door_of(post)
    assert read_reactions(door) == ()
    (card,) = post.channel()
    assert (card["content"], card["components"]) == (REACT, [])
    assert {one["emoji"]["name"]: one["me"] for one in card["reactions"]} == {YES: True, NO: True}
    read_reactions(door)
    assert len(post.requests("PUT")) == 2
    assert status_of(post)[0] is RecommendationStatus.PENDING
    assert message == card["id"]


@pytest.mark.parametrize(
    ("sign", "status", "verdict"),
    [
        (YES, RecommendationStatus.APPROVED, DecisionVerdict.APPROVE),
        (NO, RecommendationStatus.REJECTED, DecisionVerdict.REJECT),
    ],
)
def test_a_listed_person_decides(
    post: Post, sign: str, status: RecommendationStatus, verdict: DecisionVerdict
) -> None:
    message = shown(post)
    post.local.control.react(message, sign, "you")
    assert read_reactions(door_of(post)) == ("r-1",)
    found, decision = status_of(post)
    assert (found, decision.verdict) == (status, verdict)
    assert (decision.decided_by, decision.door) == (f"discord:{YOU_ID}", DOOR)
    assert read_reactions(door_of(post)) == ()
    post.settle(post.courier())
    assert post.untrue() == []
    assert post.channel()[0]["content"] == ""


def test_a_stranger_decides_nothing_and_is_noted_once(post: Post) -> None:
    message = shown(post)
    post.local.control.react(message, YES, "stranger")
    for _ in range(3):
        assert read_reactions(door_of(post)) == ()
    assert status_of(post)[0] is RecommendationStatus.PENDING
    with post.book.reading(ACCOUNT) as ledger:
        refused = [one for one in ledger.audit_events() if one.kind == "answer_refused"]
    assert [one.detail["by"] for one in refused] == [f"discord:{STRANGER_ID}"]


def test_no_counts_where_both_are_found(post: Post) -> None:
    message = shown(post)
    post.local.control.react(message, YES, "you")
    post.local.control.react(message, NO, "you")
    read_reactions(door_of(post))
    assert status_of(post)[0] is RecommendationStatus.REJECTED


def test_two_people_are_needed_above_the_heat(post: Post) -> None:
    message = shown(post)
    users = frozenset({YOU_ID, STRANGER_ID})
    door = door_of(post, users=users, rule=ApprovalRule(second_above=Decimal("0.1")))
    post.local.control.react(message, YES, "you")
    for _ in range(2):
        assert read_reactions(door) == ()
    assert status_of(post)[0] is RecommendationStatus.PENDING
    post.local.control.react(message, YES, "stranger")
    assert read_reactions(door) == ("r-1",)
    assert status_of(post)[0] is RecommendationStatus.APPROVED


def test_an_answer_after_the_expiry_is_none(post: Post) -> None:
    message = shown(post)
    post.market_now = samples.NOW + timedelta(days=1)
    post.local.control.react(message, YES, "you")
    read_reactions(door_of(post))
    assert status_of(post) == (RecommendationStatus.EXPIRED, None)


def test_a_deleted_card_holds_no_other(post: Post) -> None:
    gone = shown(post)
    message = shown(post, "r-2")
    channel = post.cards()[0].channel_id
    post.local.rest.delete(f"/channels/{channel}/messages/{gone}")
    post.local.control.react(message, YES, "you")
    assert read_reactions(door_of(post)) == ("r-2",)


class TestMailRoom:
    """Rounds for who comes round now and then."""

    def test_a_round_answers_and_delivers(self, post: Post) -> None:
        post.propose()
        room = MailRoom(post.courier(), door_of(post))
        assert room.make_round(wait_seconds=20) == "sent 1"
        post.local.control.react(post.cards()[0].message_id, YES, "you")
        assert room.make_round(wait_seconds=20) == "answered: r-1; edited 1"
        assert room.make_round(wait_seconds=20) == "nothing new"
        assert status_of(post)[0] is RecommendationStatus.APPROVED

    def test_who_asks_does_not_wait_for_a_chat_that_hangs(self, post: Post) -> None:
        post.note("slow")
        post.play({"kind": "hang", "seconds": 1.5})
        room = MailRoom(post.courier())
        assert room.make_round(wait_seconds=0.01) == "a round is on its way"
        assert room.make_round(wait_seconds=0.01) == "a round is on its way"
        deadline = time.monotonic() + 20
        while room.make_round(wait_seconds=1) == "a round is on its way":
            assert time.monotonic() < deadline
        assert post.names() == ["slow"]
        assert not [one for one in threading.enumerate() if one.name == "mail"]

    def test_trouble_is_said(self, post: Post) -> None:
        post.propose()

        def unknown() -> Any:
            raise BrokerUnavailable("no exchange")

        room = MailRoom(post.courier(), door_of(post, market_now=unknown))
        assert room.make_round(wait_seconds=20) == "sent 1"
        assert room.make_round(wait_seconds=20) == "no exchange"
        assert MailRoom().make_round() == "no chat is set"
