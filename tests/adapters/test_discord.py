"""The REST adapter against the local Discord, and against servers that Discord would never be."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mahler_pipelines.adapters.discord.rate_limits import RateLimits, Route
from mahler_pipelines.adapters.discord.rest import DiscordConnection, DiscordRest
from mahler_pipelines.cards.message import (
    EMBED_TEXT_LIMIT,
    Button,
    ButtonStyle,
    Embed,
    Field,
    Message,
    Picture,
)
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.cards.text import plain
from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.limits import Allowance
from mahler_pipelines.local_discord.people import (
    APPLICATION_ID,
    CHANNEL_ID,
    GUILD_ID,
    LOCAL_TOKEN,
    STRANGER_ID,
    YOU_ID,
)
from mahler_pipelines.messaging.notifier import (
    UNKNOWN_MESSAGE,
    NotifierError,
    NotifierOutcomeUnknown,
    NotifierRefused,
    NotifierUnavailable,
    Reaction,
)
from tests.discord_gate import BASE, discord_gate
from tests.doubles.alpaca import AlpacaDouble, Answer, Manner
from tests.local_discord.serving import Local, local_discord

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
YES = Button("mahler:1:approve:main:r-1", "Approve", ButtonStyle.SUCCESS, "✅")
SENDING = f"/channels/{CHANNEL_ID}/messages"


def png(colour: str) -> bytes:
    written = BytesIO()
    Image.new("RGB", (8, 6), colour).save(written, "PNG")
    return written.getvalue()


PICTURE = Picture("payoff.png", png("red"), "a payoff")
CARD = Message(
    embeds=(Embed("SPY", "sell the 580 put", fields=(Field("Credit", "1.20"),), footer="r-1"),),
    rows=((YES,),),
)


class Desk:
    """The adapter with sleeps that pass at once, by the local Discord's clock."""

    def __init__(self, local: Local, **changes: Any) -> None:
        self.local = local
        self.slept: list[float] = []
        values: dict[str, Any] = {
            "bot_token": LOCAL_TOKEN,
            "application_id": APPLICATION_ID,
            "channel_id": CHANNEL_ID,
            "guild_id": GUILD_ID,
            "base_url": f"{local.url}{BASE}",
        }
        self.rest = DiscordRest(
            DiscordConnection(**(values | changes)), sleep=self.sleep, seconds=local.clock
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.local.clock.ahead += seconds

    def play(self, fault: dict[str, Any], **rule: Any) -> None:
        where = {"path": f"{BASE}/*"} | ({} if rule else {"nth": 1})
        self.local.control.set_faults({"rules": [where | rule | {"fault": fault}]})

    def statuses(self) -> list[int | None]:
        return [one["status"] for one in self.local.discord.journal]

    def shown(self) -> list[dict[str, Any]]:
        return self.local.control.messages()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Whatever a test sends and is answered is judged by the published file when it is over."""
    discord_gate()
    with local_discord(tmp_path / "discord") as local:
        made = Desk(local)
        yield made
        made.rest.close()


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Desk]:
    """With Discord's own limits: five messages in five seconds."""
    terms = {"messages": Allowance(5, 5.0), "requests_per_second": 50}
    with local_discord(tmp_path / "discord", **terms) as local:
        made = Desk(local)
        yield made
        made.rest.close()


def clicked(desk: Desk) -> dict[str, Any]:
    """An interaction that waits for its answer; nobody listens on the gateway."""
    message = desk.rest.send(CARD, nonce="clicked")
    return desk.local.control.click(message.id, YES.custom_id, wait=False)


class TestRequests:
    """Each call does what it says, by requests that the published file knows."""

    def test_a_message_arrives_as_it_is(self, desk: Desk) -> None:
        sent = desk.rest.send(CARD, nonce="n1")
        (shown,) = desk.shown()
        assert (sent.id, sent.channel_id) == (shown["id"], CHANNEL_ID)
        assert sent.author_id == APPLICATION_ID
        assert sent.created_at == datetime.fromisoformat(shown["timestamp"])
        (embed,) = shown["embeds"]
        assert (embed["title"], embed["footer"]["text"]) == ("SPY", "r-1")
        assert shown["components"][0]["components"][0]["custom_id"] == YES.custom_id
        asked = desk.local.discord.journal[-1]
        assert asked["body"]["allowed_mentions"] == {"parse": []}
        assert asked["user_agent"].startswith("DiscordBot (")

    def test_the_same_nonce_sends_once(self, desk: Desk) -> None:
        first = desk.rest.send(CARD, nonce="n" * 25)
        assert desk.rest.send(Message("other words"), nonce="n" * 25).id == first.id
        assert desk.rest.send(Message("other"), nonce="m" * 25).id != first.id
        assert len(desk.shown()) == 2

    def test_an_edit_replaces_everything_but_the_pictures(self, desk: Desk) -> None:
        embed = Embed("SPY", picture=PICTURE.name)
        sent = desk.rest.send(Message("look", (embed,), ((YES,),), pictures=(PICTURE,)), nonce="n1")
        desk.rest.edit(sent.id, Message(embeds=(embed,)))
        (shown,) = desk.shown()
        assert (shown["content"], shown["components"]) == ("", [])
        assert shown["embeds"][0]["image"]["width"] == 8
        asked = desk.local.discord.journal[-1]
        assert "attachments" not in asked["body"]
        other = Picture("payoff.png", png("blue"), "another")
        desk.rest.edit(sent.id, Message(embeds=(embed,), pictures=(other,)))
        (shown,) = desk.shown()
        found = desk.local.rest.get(shown["embeds"][0]["image"]["url"])
        assert found.content == other.png

    def test_pictures_arrive_with_their_words(self, desk: Desk) -> None:
        second = Picture("curve.png", png("blue"), "x" * 3000)
        sent = desk.rest.send(Message("two", pictures=(PICTURE, second)), nonce="n1")
        raw = desk.rest.recent(since=LONG_AGO)[0].raw
        assert sent.raw["attachments"] == raw["attachments"]
        first, last = raw["attachments"]
        assert (first["filename"], first["description"]) == ("payoff.png", "a payoff")
        assert len(last["description"]) == 1024
        assert desk.local.rest.get(last["url"]).content == second.png

    def test_reactions_of_people_over_all_pages(self, desk: Desk) -> None:
        message = desk.rest.send(Message("yes?"), nonce="n1")
        desk.rest.react(message.id, "✅")
        assert desk.rest.reactions(message.id, "✅") == ()
        for user in ("you", "stranger"):
            desk.local.control.react(message.id, "✅", user)
        pressed = desk.rest.reactions(message.id, "✅")
        assert set(pressed) == {Reaction(YOU_ID, "✅"), Reaction(STRANGER_ID, "✅")}
        assert desk.rest.reactions(message.id, "❌") == ()
        names = [f"somebody{number}" for number in range(100)]
        for name in names:
            person = desk.local.control.add_person(name)
            desk.local.control.react(message.id, "✅", person["id"])
        assert len(set(desk.rest.reactions(message.id, "✅"))) == 102

    def test_recent_messages_go_back_to_a_moment(self, desk: Desk) -> None:
        for number in range(120):
            desk.local.send(content=str(number))
        moment = desk.rest.recent(since=LONG_AGO)[-1].created_at
        desk.local.clock.ahead += 60
        last = desk.rest.send(Message("last"), nonce="n1")
        found = desk.rest.recent(since=LONG_AGO)
        assert [one.raw["content"] for one in found[:2]] == ["last", "119"]
        assert (len(found), found[-1].created_at) == (121, moment)
        assert desk.rest.recent(since=last.created_at) == (found[0],)
        assert desk.rest.recent(since=last.created_at + timedelta(seconds=1)) == ()

    def test_commands_replace_those_before(self, desk: Desk) -> None:
        for names in (("status", "pnl"), ("halt",)):
            desk.rest.register_commands(
                [{"name": name, "description": "says it", "type": 1} for name in names]
            )
        kept = desk.local.rest.get(f"/applications/{APPLICATION_ID}/guilds/{GUILD_ID}/commands")
        assert [one["name"] for one in kept.json()] == ["halt"]

    def test_an_interaction_is_answered_and_filled_in(self, desk: Desk) -> None:
        one = clicked(desk)
        token = desk.local.token(one)
        desk.rest.answer(one["id"], token, {"type": 5, "data": {"flags": 64}})
        picture = Picture("curve.png", png("green"), "equity")
        desk.rest.follow_up(token, Message("here it is", pictures=(picture,)))
        mine = desk.local.control.messages("you")[-1]
        assert (mine["content"], mine["flags"] & 64) == ("here it is", 64)
        assert len(mine["attachments"]) == 1
        with pytest.raises(NotifierRefused) as refused:
            desk.rest.answer(one["id"], token, {"type": 6})
        assert refused.value.code == 40060


class TestRefusals:
    """What Discord refuses is said with its code, and never holds a token."""

    def test_a_message_that_is_gone(self, desk: Desk) -> None:
        sent = desk.rest.send(CARD, nonce="n1")
        desk.local.rest.delete(f"{SENDING}/{sent.id}")
        with pytest.raises(NotifierRefused) as refused:
            desk.rest.edit(sent.id, CARD)
        assert (refused.value.status, refused.value.code) == (404, UNKNOWN_MESSAGE)

    def test_a_wrong_token(self, desk: Desk) -> None:
        other = Desk(desk.local, bot_token="not.the.token")
        with pytest.raises(NotifierRefused) as refused:
            other.rest.send(CARD, nonce="n1")
        other.rest.close()
        assert refused.value.status == 401
        assert "not.the.token" not in str(refused.value)
        assert "not.the.token" not in repr(other.rest._connection)

    def test_the_wrong_place_of_a_form_is_named(self, desk: Desk) -> None:
        row = {"name": "UPPER CASE", "description": "", "type": 1}
        with pytest.raises(NotifierRefused, match=r"Invalid Form Body.*0") as refused:
            desk.rest.register_commands([row])
        assert (refused.value.status, refused.value.code) == (400, 50035)

    def test_a_place_that_is_no_address(self) -> None:
        with pytest.raises(BadInput):
            DiscordRest(DiscordConnection("t", "1", "2", base_url="discord.com/api/v10"))


LOST = [
    *({"kind": "fail", "status": s, "executed": True} for s in (500, 502, 503, 504)),
    {"kind": "fail", "status": 502, "executed": True, "body": "html"},
    {"kind": "drop", "executed": True},
    {"kind": "truncate"},
    {"kind": "empty"},
    {"kind": "hang", "seconds": 1.0},
]
NOT_TAKEN = [{"kind": "fail", "status": 500}, {"kind": "drop"}]


class TestTrouble:
    """Which error says what: nothing was done, or nobody knows."""

    @pytest.mark.parametrize("fault", [*LOST, *NOT_TAKEN])
    def test_an_answer_that_is_lost_is_an_unknown_outcome(
        self, desk: Desk, fault: dict[str, Any]
    ) -> None:
        """Sent once: to send again is for who has the nonce, and then it is there once."""
        quick = Desk(desk.local, answer_seconds=0.2)
        quick.play(fault)
        with pytest.raises(NotifierOutcomeUnknown) as raised:
            quick.rest.send(CARD, nonce="n1")
        assert LOCAL_TOKEN not in str(raised.value)
        assert raised.value.__context__ is None
        assert len(desk.statuses()) == 1
        if fault in LOST and fault["kind"] != "hang":
            assert len(desk.shown()) == 1
        desk.local.control.clear_faults()
        desk.rest.send(CARD, nonce="n1")
        quick.rest.close()
        assert len(desk.shown()) == 1

    def test_an_edit_is_tried_three_times(self, desk: Desk) -> None:
        sent = desk.rest.send(CARD, nonce="n1")
        desk.play({"kind": "fail", "status": 503}, method="PATCH", times=2)
        desk.rest.edit(sent.id, Message("new"))
        assert desk.slept == [0.5, 1.0]
        desk.play({"kind": "truncate"}, method="PATCH", times=3)
        with pytest.raises(NotifierOutcomeUnknown):
            desk.rest.edit(sent.id, Message("newer"))
        assert desk.shown()[0]["content"] == "newer"

    def test_reads_are_tried_again_when_their_answer_is_no_answer(self, desk: Desk) -> None:
        sent = desk.rest.send(CARD, nonce="n1")
        desk.play({"kind": "empty"}, method="GET", times=2)
        assert len(desk.rest.recent(since=LONG_AGO)) == 1
        desk.play({"kind": "empty"}, method="GET", times=3)
        with pytest.raises(NotifierOutcomeUnknown, match="unusable"):
            desk.rest.reactions(sent.id, "✅")

    def test_nobody_there_is_unavailable(self, desk: Desk) -> None:
        gone = Desk(desk.local, base_url=f"http://127.0.0.1:9{BASE}")
        with pytest.raises(NotifierUnavailable) as raised:
            gone.rest.send(CARD, nonce="n1")
        assert raised.value.retry_after is None
        assert raised.value.__context__ is None
        gone.rest.close()

    def test_an_outage_leaves_nothing_behind(self, desk: Desk) -> None:
        desk.local.control.begin_outage()
        with pytest.raises(NotifierOutcomeUnknown, match="503"):
            desk.rest.send(CARD, nonce="n1")
        desk.local.control.end_outage()
        desk.rest.send(CARD, nonce="n1")
        assert len(desk.shown()) == 1


BODIES = [
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'"fine"',
    b"{}",
    b'{"id": "1"}',
    b'{"id": 1, "channel_id": "2", "author": {"id": "3"}, "timestamp": "2026-01-01T00:00:00Z"}',
    b'{"id": "1", "channel_id": "2", "author": {"id": "x"}, "timestamp": "2026-01-01T00:00:00Z"}',
    b'{"id": "1", "channel_id": "2", "author": {"id": "3"}, "timestamp": "yesterday"}',
    b'{"id": "1", "channel_id": "2", "author": {"id": "3"}, "timestamp": "2026-01-01T00:00:00"}',
]


class TestOtherServers:
    """What answers is not always Discord."""

    @pytest.fixture
    def strange(self) -> Iterator[tuple[AlpacaDouble, DiscordRest, list[float]]]:
        slept: list[float] = []
        with AlpacaDouble() as double:
            connection = DiscordConnection("t0ken", "1", "2", base_url=double.url)
            rest = DiscordRest(connection, sleep=slept.append, seconds=lambda: sum(slept))
            yield double, rest, slept
            rest.close()

    @pytest.mark.parametrize("body", BODIES)
    def test_an_unusable_answer_is_an_unknown_outcome(
        self, strange: tuple[AlpacaDouble, DiscordRest, list[float]], body: bytes
    ) -> None:
        double, rest, _ = strange
        double.on("POST", "/channels/2/messages", Answer(body))
        with pytest.raises(NotifierOutcomeUnknown) as raised:
            rest.send(Message("x"), nonce="n")
        assert "t0ken" not in str(raised.value)

    @pytest.mark.parametrize(
        ("answer", "waits"),
        [
            (Answer(b"", 429), 1.0),
            (Answer(b"<html>1015</html>", 429), 1.0),
            (Answer({"retry_after": "soon"}, 429), 1.0),
            (Answer({"retry_after": -5}, 429), 1.0),
            (Answer(b'{"retry_after": NaN}', 429), 1.0),
            (Answer({"retry_after": 0}, 429), 0.0),
            (Answer({"retry_after": 3600, "global": True}, 429), 3600.0),
        ],
    )
    def test_a_strange_429_ends_the_patience(
        self,
        strange: tuple[AlpacaDouble, DiscordRest, list[float]],
        answer: Answer,
        waits: float,
    ) -> None:
        double, rest, _ = strange
        double.on("POST", "/channels/2/messages", answer)
        with pytest.raises(NotifierUnavailable) as raised:
            rest.send(Message("x"), nonce="n")
        assert raised.value.retry_after == waits
        assert double.count("POST", "/channels/2/messages") <= 5

    def test_a_hung_up_or_redirected_request(
        self, strange: tuple[AlpacaDouble, DiscordRest, list[float]]
    ) -> None:
        double, rest, _ = strange
        double.on("POST", "/channels/2/messages", Answer(manner=Manner.HANG_UP))
        with pytest.raises(NotifierOutcomeUnknown):
            rest.send(Message("x"), nonce="n")
        double.on("POST", "/channels/2/messages", Answer(b"", 302))
        with pytest.raises(NotifierRefused) as raised:
            rest.send(Message("x"), nonce="n")
        assert raised.value.status == 302

    def test_reactions_that_are_no_users(
        self, strange: tuple[AlpacaDouble, DiscordRest, list[float]]
    ) -> None:
        double, rest, slept = strange
        double.on("GET", "/channels/2/messages/5/reactions/✅", Answer([{"id": "a"}]))
        with pytest.raises(NotifierOutcomeUnknown, match="unusable"):
            rest.reactions("5", "✅")
        assert slept == [0.5, 1.0]


class TestRateLimits:
    """What the headers say is kept, so that 429 is the exception."""

    def test_a_burst_of_twenty_meets_no_429(self, narrow: Desk) -> None:
        for number in range(20):
            narrow.rest.send(Message(str(number)), nonce=f"n{number}")
        assert narrow.statuses() == [200] * 20
        assert sum(narrow.slept) == pytest.approx(15, abs=0.5)

    def test_edits_of_several_messages_share_a_bucket_and_sends_have_another(
        self, narrow: Desk
    ) -> None:
        sent = [narrow.rest.send(Message(str(n)), nonce=f"n{n}") for n in range(3)]
        for round_ in range(4):
            for one in sent:
                narrow.rest.edit(one.id, Message(f"{round_}"))
        assert sum(narrow.slept) == pytest.approx(10, abs=0.5)
        narrow.rest.send(Message("not held by edits"), nonce="m")
        assert sum(narrow.slept) == pytest.approx(10, abs=0.5)
        assert set(narrow.statuses()) == {200}

    def test_reactions_wait_their_quarter_of_a_second(self, narrow: Desk) -> None:
        sent = narrow.rest.send(CARD, nonce="n1")
        for emoji in ("✅", "❌", "⏸"):
            narrow.rest.react(sent.id, emoji)
        assert set(narrow.statuses()) == {200, 204}
        assert 0.4 < sum(narrow.slept) < 0.6

    def test_threads_share_what_is_known(self, tmp_path: Path) -> None:
        terms = {"messages": Allowance(5, 0.5), "requests_per_second": 1000}
        with local_discord(tmp_path / "discord", **terms) as local:
            connection = DiscordConnection(
                LOCAL_TOKEN, APPLICATION_ID, CHANNEL_ID, base_url=f"{local.url}{BASE}"
            )
            rest = DiscordRest(connection)
            failed: list[NotifierError] = []

            def send(worker: int) -> None:
                try:
                    for number in range(5):
                        rest.send(Message("x"), nonce=f"{worker}-{number}")
                except NotifierError as error:
                    failed.append(error)

            threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rest.close()
            assert failed == []
            assert len(local.control.messages()) == 20
            assert [one["status"] for one in local.discord.journal] == [200] * 20

    def test_a_429_within_patience_is_sent_again(self, desk: Desk) -> None:
        desk.play({"kind": "rate_limit", "retry_after": 2.5})
        desk.rest.send(CARD, nonce="n1")
        assert desk.statuses() == [429, 200]
        assert desk.slept == [pytest.approx(2.5, abs=0.1)]

    @pytest.mark.parametrize("via", [True, False])
    def test_a_429_beyond_patience_says_how_long(self, desk: Desk, via: bool) -> None:
        desk.play({"kind": "rate_limit", "retry_after": 90.0, "via": via})
        with pytest.raises(NotifierUnavailable) as raised:
            desk.rest.send(CARD, nonce="n1")
        assert raised.value.retry_after == 90.0
        with pytest.raises(NotifierUnavailable) as raised:
            desk.rest.send(CARD, nonce="n1")
        assert raised.value.retry_after == pytest.approx(90.0, abs=1)
        assert desk.statuses() == [429]
        desk.local.clock.ahead += 91
        desk.rest.send(CARD, nonce="n1")

    def test_the_limit_over_everything_holds_all_but_interactions(self, desk: Desk) -> None:
        one = clicked(desk)
        desk.play({"kind": "rate_limit", "retry_after": 60.0, "global": True})
        with pytest.raises(NotifierUnavailable):
            desk.rest.recent(since=LONG_AGO)
        with pytest.raises(NotifierUnavailable):
            desk.rest.send(CARD, nonce="n2")
        desk.rest.answer(one["id"], desk.local.token(one), {"type": 5, "data": {"flags": 64}})
        desk.rest.follow_up(desk.local.token(one), Message("at once"))
        assert desk.slept == []

    def test_more_than_fifty_a_second_wait_for_the_next(self, narrow: Desk) -> None:
        sent = narrow.rest.send(CARD, nonce="n1")
        for _ in range(60):
            narrow.rest.reactions(sent.id, "✅")
        assert len(narrow.statuses()) >= 61


def told(limit: int, remaining: int, after: float, name: str = "abc") -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset-After": str(after),
        "X-RateLimit-Bucket": name,
    }


class TestBuckets:
    """What is learnt from headers, on a clock that stands."""

    def test_routes_differ_by_their_major_id_alone(self) -> None:
        one = Route.of("PATCH", "/channels/1/messages/7")
        assert one == Route.of("PATCH", "/channels/1/messages/8?x=1")
        assert one != Route.of("PATCH", "/channels/2/messages/7")
        assert one != Route.of("GET", "/channels/1/messages/7")
        emoji = "/channels/1/messages/7/reactions/%E2%9C%85/@me"
        assert Route.of("PUT", emoji).template == "PUT /channels/_/messages/_/reactions/_/@me"
        webhook = Route.of("PATCH", "/webhooks/5/to.ken/messages/@original")
        assert (webhook.template, webhook.major) == (
            "PATCH /webhooks/_/_/messages/@original",
            "5/to.ken",
        )
        assert not webhook.is_bound_to_all

    def test_two_routes_of_one_bucket_share_it(self) -> None:
        limits = RateLimits(lambda: 0.0)
        put, delete = (Route.of(verb, "/channels/1/messages/7") for verb in ("PUT", "DELETE"))
        for route in (put, delete):
            assert limits.wait_before(route) == 0
            limits.learn(route, told(3, 2 if route is put else 1, 4.0))
        assert limits.wait_before(put) == 0
        assert limits.wait_before(delete) == 4.0
        other = Route.of("PUT", "/channels/2/messages/7")
        assert limits.wait_before(other) == 0

    def test_who_comes_before_the_first_answer_looks_again_soon(self) -> None:
        limits = RateLimits(lambda: 0.0)
        route = Route.of("POST", "/channels/1/messages")
        assert limits.wait_before(route) == 0
        assert 0 < limits.wait_before(route) < 0.1
        limits.learn(route, {})
        assert limits.wait_before(route) == 0

    def test_an_answer_that_was_overtaken_gives_no_place_back(self) -> None:
        limits = RateLimits(lambda: 0.0)
        route = Route.of("POST", "/channels/1/messages")
        limits.wait_before(route)
        limits.learn(route, told(3, 2, 5.0))
        assert [limits.wait_before(route) for _ in range(2)] == [0, 0]
        limits.learn(route, told(3, 1, 5.0))
        assert limits.wait_before(route) == 5.0

    def test_a_new_window_begins_with_its_limit(self) -> None:
        now = [0.0]
        limits = RateLimits(lambda: now[0])
        route = Route.of("POST", "/channels/1/messages")
        limits.wait_before(route)
        limits.learn(route, told(2, 0, 5.0))
        assert limits.wait_before(route) == 5.0
        now[0] = 5.0
        assert [limits.wait_before(route) for _ in range(3)] == [0, 0, 5.0]

    @pytest.mark.parametrize("broken", ["", "x", "nan", "inf", "-1"])
    def test_headers_that_are_no_numbers_teach_nothing(self, broken: str) -> None:
        limits = RateLimits(lambda: 0.0)
        route = Route.of("POST", "/channels/1/messages")
        limits.wait_before(route)
        limits.learn(route, told(5, 0, 5.0) | {"X-RateLimit-Reset-After": broken})
        assert limits.wait_before(route) == 0

    def test_interactions_do_not_pile_up(self) -> None:
        now = [0.0]
        limits = RateLimits(lambda: now[0])
        for number in range(5000):
            now[0] += 1
            route = Route.of("PATCH", f"/webhooks/5/t{number}/messages/@original")
            limits.wait_before(route)
            limits.learn(route, told(5, 4, 2.0))
        assert len(limits._buckets) <= 1000


def test_no_token_reaches_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """httpx logs every address, and an interaction's token stands in its address."""
    caplog.set_level(logging.DEBUG)
    one = clicked(desk)
    token = desk.local.token(one)
    desk.rest.answer(one["id"], token, {"type": 5, "data": {"flags": 64}})
    desk.rest.follow_up(token, Message("done"))
    desk.play({"kind": "refuse", "status": 404, "code": 50027, "message": "Invalid Webhook Token"})
    with pytest.raises(NotifierRefused) as refused:
        desk.rest.follow_up(token, Message("again"))
    desk.play({"kind": "drop"}, times=3)
    with pytest.raises(NotifierOutcomeUnknown) as lost:
        desk.rest.follow_up(token, Message("again"))
    assert "/interactions/" in caplog.text
    assert "/webhooks/" in caplog.text
    for said in (caplog.text, str(refused.value), str(lost.value)):
        assert token not in said
        assert LOCAL_TOKEN not in said


texts = st.text(max_size=300) | st.text(min_size=1, max_size=9).map(lambda text: text * 1200)
embeds = st.builds(
    Embed,
    title=st.text(min_size=1, max_size=300),
    description=texts.map(plain),
    footer=texts,
    fields=st.lists(st.builds(Field, name=texts, value=texts.map(plain)), max_size=30).map(tuple),
)


@settings(max_examples=60)
@given(embeds=st.lists(embeds, min_size=1, max_size=11), content=texts)
def test_whatever_is_sent_is_within_the_limits(embeds: list[Embed], content: str) -> None:
    """The published file says most of them; the sum over all embeds it cannot say."""
    body = message_payload(Message(content, tuple(embeds)))
    sent = body | {"nonce": "n", "enforce_nonce": True}
    assert discord_gate().request("POST", f"{BASE}{SENDING}", sent) == []
    assert discord_gate().request("PATCH", f"{BASE}{SENDING}/1", body) == []
    total = 0
    for embed in body["embeds"]:
        said = [embed.get("title", ""), embed.get("description", "")]
        said += [embed.get("footer", {}).get("text", "")]
        said += [
            part for field in embed.get("fields", ()) for part in (field["name"], field["value"])
        ]
        total += sum(map(len, said))
    assert total <= EMBED_TEXT_LIMIT
