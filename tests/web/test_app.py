"""The HTTP door: what it refuses, what it answers at once, and what it fills in later."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.cards.message import Message
from mahler_pipelines.errors import LedgerBusy
from mahler_pipelines.messaging.answer import Answer, put_off, told, updated
from mahler_pipelines.messaging.interaction import Interaction
from mahler_pipelines.messaging.prompt_answers import BUSY, PromptAnswers
from mahler_pipelines.web.app import BODY_LIMIT, HTTP_DOOR, interactions_app
from tests.web.signing import ROLE, TRADER, Signer, encoded, interaction

PATH = "/discord/interactions"


@dataclass
class Desk:
    """Answers by what was pressed, and keeps what it was asked."""

    asked: list[tuple[Interaction, str]] = field(default_factory=list)
    filled: list[Message] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def respond(self, asked: Interaction, *, door: str) -> Answer:
        self.asked.append((asked, door))
        match asked.custom_id:
            case "details":
                return put_off(lambda: Message(content="the gates"))
            case "slow":
                assert self.hold.wait(10)
                return updated(Message(content="approved"))
            case "busy":
                raise LedgerBusy("locked")
            case "broken":
                raise ZeroDivisionError
        return told("hello")

    def finish(self, asked: Interaction, answer: Answer) -> None:
        assert asked.token
        assert answer.later is not None
        self.filled.append(answer.later())


@dataclass(frozen=True)
class Door:
    """The application with who presses and who answers."""

    desk: Desk
    signer: Signer
    http: TestClient

    def send(self, raw: Any, **changed: str) -> Any:
        body = raw if isinstance(raw, bytes) else encoded(raw)
        return self.http.post(PATH, content=body, headers=self.signer.headers(body) | changed)

    def press(self, custom_id: str) -> Any:
        return self.send(interaction(7, data={"component_type": 2, "custom_id": custom_id}))


@pytest.fixture
def door() -> Iterator[Door]:
    desk, signer = Desk(), Signer()
    answers = PromptAnswers(desk, patience_seconds=0.2)
    health = {"status": "ok", "parts": {}}
    app = interactions_app(answers=answers, verifier=signer.verifier, health=lambda: health)
    with TestClient(app) as http:
        yield Door(desk, signer, http)
    desk.hold.set()
    answers.close()


def test_a_ping_is_answered_with_a_pong_in_json(door: Door) -> None:
    answer = door.send({"id": "1", "type": 1, "application_id": "2", "token": "t", "version": 1})
    assert (answer.status_code, answer.json()) == (200, {"type": 1})
    assert answer.headers["content-type"] == "application/json"
    assert door.desk.asked == []


def test_a_press_reaches_the_handler(door: Door) -> None:
    answer = door.press("hello")
    assert answer.json()["type"] == 4
    assert answer.json()["data"]["flags"] == 64
    ((asked, by),) = door.desk.asked
    assert (by, asked.user_id, asked.role_ids) == (HTTP_DOOR, TRADER, (ROLE,))


def test_a_person_in_a_direct_message_has_no_roles(door: Door) -> None:
    raw = interaction(7, user={"id": TRADER, "username": "you"})
    del raw["member"], raw["guild_id"]
    assert door.send(raw).status_code == 200
    ((asked, _),) = door.desk.asked
    assert (asked.user_id, asked.user_name, asked.role_ids) == (TRADER, "you", ())
    assert asked.guild_id == ""


def test_what_is_put_off_is_filled_in_after_the_answer(door: Door) -> None:
    assert door.press("details").json() == {"type": 5, "data": {"flags": 64}}
    assert door.desk.filled == [Message(content="the gates")]


def test_an_answer_that_takes_long_is_put_off_and_still_given(door: Door) -> None:
    timer = threading.Timer(0.4, door.desk.hold.set)
    timer.start()
    assert door.press("slow").json() == {"type": 5, "data": {"flags": 64}}
    timer.join()
    assert door.desk.filled == [Message(content="approved")]


@pytest.mark.parametrize("custom_id", ["busy", "broken"])
def test_a_handler_that_fails_is_no_server_error(
    door: Door, custom_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = door.press(custom_id)
    assert answer.status_code == 200
    assert answer.json()["data"]["content"] == BUSY
    assert "interaction 7 was not answered" in caplog.text
    assert "token-7" not in caplog.text


def test_nothing_of_a_body_is_read_before_its_signature_is_right(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is a mine: whoever steps on it without a signature would be a 500."""
    read: list[object] = []

    def mine(body: object) -> object:
        read.append(body)
        raise ZeroDivisionError

    monkeypatch.setattr("mahler_pipelines.web.app.json.loads", mine)
    body = encoded(interaction(7))
    true = door.signer.headers(body)
    unsigned = [{}, true | {"x-signature-ed25519": "ab" * 64}, Signer().headers(body)]
    answers = [door.http.post(PATH, content=body, headers=one) for one in unsigned]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert read == []
    with pytest.raises(ZeroDivisionError):
        door.http.post(PATH, content=body, headers=true)
    assert read == [body]


def test_a_stale_signature_is_refused(door: Door) -> None:
    body = encoded(interaction(7))
    old = door.signer.headers(body, at=1_700_000_000)
    answer = door.http.post(PATH, content=body, headers=old)
    assert (answer.status_code, door.desk.asked) == (401, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"type":1}',
        encoded(interaction(7) | {"type": 99}),
        encoded(interaction(7) | {"type": "x"}),
        encoded(interaction(7) | {"id": "7; drop table"}),
        encoded(interaction(7) | {"member": None}),
        encoded(interaction(7) | {"token": ""}),
        encoded(interaction(7) | {"data": {"custom_id": "x" * 201}}),
        encoded(interaction(7) | {"data": {"components": [7]}}),
    ],
    ids=lambda body: body[:30],
)
def test_a_signed_body_that_is_no_interaction_is_400(door: Door, body: bytes) -> None:
    answer = door.send(body)
    assert (answer.status_code, door.desk.asked) == (400, [])


def test_a_body_beyond_the_limit_is_413_whatever_it_says_of_its_length(door: Door) -> None:
    body = b"x" * (BODY_LIMIT + 1)

    def in_parts() -> Iterator[bytes]:
        yield from (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    headers = door.signer.headers(body)
    for content in (body, in_parts()):
        answer = door.http.post(PATH, content=content, headers=headers)
        assert (answer.status_code, door.desk.asked) == (413, [])


def test_half_of_a_surrogate_pair_and_nul_become_text_that_can_be_kept(door: Door) -> None:
    box = {"type": 4, "custom_id": "reason", "value": "a\ud83d\u0000b"}
    raw = interaction(7, type=5, data={"custom_id": "m", "components": [{"component": box}]})
    assert door.send(raw).status_code == 200
    ((asked, _),) = door.desk.asked
    assert asked.value("reason") == "a?b"


def test_other_ways_in_are_closed(door: Door) -> None:
    assert door.http.get(PATH).status_code == 405
    assert door.http.post("/health").status_code == 405
    assert door.http.get("/docs").status_code == 404


def test_a_door_without_a_key_has_no_interactions() -> None:
    app = interactions_app(answers=None, verifier=None, health=lambda: {"status": "degraded"})
    with TestClient(app) as http:
        assert http.post(PATH, content=b"{}").status_code == 404
        assert http.get("/health").status_code == 503
        assert http.get("/health/live").json() == {"status": "live"}


def test_no_interaction_token_is_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    threading.Timer(0.4, door.desk.hold.set).start()
    for custom_id in ("details", "slow", "broken"):
        door.press(custom_id)
    assert "ZeroDivisionError" in caplog.text
    assert "token-7" not in caplog.text
