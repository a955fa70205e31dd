"""The gateway: who may enter, numbered events, and coming back to what was missed."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from mahler_pipelines.local_discord.people import LOCAL_TOKEN
from mahler_pipelines.local_discord.sessions import GUILD_MESSAGES, GUILD_REACTIONS, GUILDS
from tests.local_discord.serving import Local


class Bot:
    """A connection that says HELLO first, as every one does."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.hello = self.hear()

    def say(self, op: int, data: Any = None) -> None:
        self.socket.send(json.dumps({"op": op, "d": data}))

    def hear(self) -> dict[str, Any]:
        return dict(json.loads(self.socket.recv(10)))

    def identify(self, intents: int = 0, token: str = LOCAL_TOKEN) -> dict[str, Any]:
        self.say(2, {"token": token, "intents": intents, "properties": {}})
        return self.hear()

    def closes_with(self) -> int:
        with pytest.raises(ConnectionClosed) as closed:
            self.socket.recv(10)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@contextmanager
def connected(local: Local, query: str = "?v=10&encoding=json") -> Iterator[Bot]:
    with connect(local.discord.gateway_url + query, proxy=None) as socket:
        yield Bot(socket)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_hello_heartbeat_identify_ready(local: Local) -> None:
    with connected(local) as bot:
        assert bot.hello["op"] == 10
        assert bot.hello["d"]["heartbeat_interval"] == 41_250
        bot.say(1, None)
        assert bot.hear()["op"] == 11
        ready = bot.identify()
        assert (ready["op"], ready["t"], ready["s"]) == (0, "READY", 1)
        assert ready["d"]["resume_gateway_url"] == local.discord.gateway_url
        assert local.control.status()["listening"] == 1


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        (2, {"token": "wrong", "intents": 0}, 4004),
        (6, {"token": "wrong", "session_id": "x", "seq": 0}, 4004),
        (3, {}, 4003),
    ],
    ids=["wrong token", "wrong token of a resume", "before identifying"],
)
def test_who_may_not_enter_is_told_by_a_code(local: Local, op: int, data: Any, code: int) -> None:
    with connected(local) as bot:
        bot.say(op, data)
        assert bot.closes_with() == code


def test_frames_without_sense_end_the_connection(local: Local) -> None:
    with connected(local) as bot:
        bot.socket.send("no json")
        assert bot.closes_with() == 4002
    with connected(local) as bot:
        bot.identify()
        bot.say(99)
        assert bot.closes_with() == 4001
    with connected(local) as bot:
        bot.identify()
        bot.say(2, {"token": LOCAL_TOKEN})
        assert bot.closes_with() == 4005


def test_events_come_to_who_asked_for_them(local: Local) -> None:
    with connected(local) as all_ears, connected(local) as deaf:
        assert all_ears.identify(GUILDS | GUILD_MESSAGES | GUILD_REACTIONS)["t"] == "READY"
        assert all_ears.hear()["t"] == "GUILD_CREATE"
        deaf.identify()
        message = local.send_buttons("a")
        local.rest.patch(f"/channels/1100000000000000020/messages/{message}", json={"content": "b"})
        local.control.react(message, "✅")
        local.control.unreact(message, "✅")
        local.rest.delete(f"/channels/1100000000000000020/messages/{message}")
        heard = [all_ears.hear() for _ in range(5)]
        assert [one["t"] for one in heard] == [
            "MESSAGE_CREATE",
            "MESSAGE_UPDATE",
            "MESSAGE_REACTION_ADD",
            "MESSAGE_REACTION_REMOVE",
            "MESSAGE_DELETE",
        ]
        assert [one["s"] for one in heard] == [3, 4, 5, 6, 7]
        assert heard[2]["d"]["member"]["user"]["username"] == "you"
        local.control.click(local.send_buttons("c"), "c", wait=False)
        assert deaf.hear()["t"] == "INTERACTION_CREATE"


def test_who_comes_back_hears_what_was_missed(local: Local) -> None:
    message = local.send_buttons("a")
    with connected(local) as bot:
        session = bot.identify()["d"]["session_id"]
        local.control.gateway("drop")
        assert bot.closes_with() == 4000
    missed = local.control.click(message, "a", wait=False)
    with connected(local) as bot:
        bot.say(6, {"token": LOCAL_TOKEN, "session_id": session, "seq": 1})
        told = bot.hear()
        assert (told["t"], told["s"], told["d"]["id"]) == ("INTERACTION_CREATE", 2, missed["id"])
        assert bot.hear()["t"] == "RESUMED"
    assert local.callback(missed, {"type": 6}).status_code == 204


def test_a_session_that_is_lost_is_said_to_be(local: Local) -> None:
    with connected(local) as bot:
        session = bot.identify()["d"]["session_id"]
    with connected(local) as bot:  # The one before was closed with 1000, which finishes it.
        bot.say(6, {"token": LOCAL_TOKEN, "session_id": session, "seq": 1})
        assert (bot.hear()["op"], bot.identify()["t"]) == (9, "READY")
    with connected(local) as bot:
        session = bot.identify()["d"]["session_id"]
        local.control.gateway("drop")
        bot.closes_with()
    # The end of a session is dated when the server's side of the connection has ended too.
    wait_for(lambda: local.control.status()["listening"] == 0)
    local.clock.ahead = 301
    with connected(local) as bot:
        bot.say(6, {"token": LOCAL_TOKEN, "session_id": session, "seq": 1})
        assert bot.hear()["op"] == 9


def test_discord_disturbs_connections(local: Local) -> None:
    with connected(local) as bot:
        bot.identify()
        assert local.control.gateway("reconnect") == 1
        assert bot.hear()["op"] == 7
        local.control.gateway("invalidate_resumable")
        told = bot.hear()
        assert (told["op"], told["d"]) == (9, True)
        local.control.gateway("invalidate")
        told = bot.hear()
        assert (told["op"], told["d"]) == (9, False)


def test_frames_are_packed_for_who_asks(local: Local) -> None:
    with connect(local.discord.gateway_url + "?compress=zlib-stream", proxy=None) as socket:
        packed = socket.recv(10)
        assert isinstance(packed, bytes)
        assert packed.endswith(b"\x00\x00\xff\xff")
        assert json.loads(zlib.decompressobj().decompress(packed))["op"] == 10


def test_nobody_enters_during_an_outage(local: Local) -> None:
    with connected(local) as bot:
        bot.identify()
        local.control.begin_outage()
        assert bot.closes_with() == 1001
    with pytest.raises(InvalidHandshake), connected(local):
        pass
    assert local.rest.get("/users/@me").status_code == 503
    local.control.end_outage()
    with connected(local) as bot:
        assert bot.identify()["t"] == "READY"
