"""An interactions endpoint: the handshake, real signatures, and every way to answer."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mahler_pipelines.errors import BadInput
from tests.local_discord.serving import MESSAGES, Local, local_discord, served


class Bot:
    """An endpoint that verifies as the documentation says, and answers what it is told to."""

    def __init__(self) -> None:
        self.public_key = ""
        self.answer: Any = {"type": 6}
        self.status = 200
        self.pause = 0.0
        self.verifies = True
        self.pong: Response = JSONResponse({"type": 1})
        self.seen: list[dict[str, Any]] = []
        self.refused = 0
        self.app = Starlette(routes=[Route("/discord/interactions", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if self.verifies and not self._is_signed(request, body):
            self.refused += 1
            return PlainTextResponse("bad signature", 401)
        told = json.loads(body)
        if told["type"] == 1:
            return self.pong
        self.seen.append(told)
        if self.pause:
            threading.Event().wait(self.pause)
        if self.status == 202:
            return Response(status_code=202)
        return JSONResponse(self.answer, self.status)

    def _is_signed(self, request: Request, body: bytes) -> bool:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
        stamp = request.headers["X-Signature-Timestamp"]
        assert abs(int(stamp) - time.time()) < 5
        try:
            signature = bytes.fromhex(request.headers["X-Signature-Ed25519"])
            key.verify(signature, stamp.encode() + body)
        except InvalidSignature:
            return False
        return True


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Local]:
    with local_discord(tmp_path, first_answer_seconds=0.5) as made:
        yield made


@pytest.fixture
def bot(quick: Local) -> Iterator[tuple[Bot, str]]:
    made = Bot()
    made.public_key = quick.control.status()["public_key"]
    with served(made.app) as url:
        yield made, f"{url}/discord/interactions"


def test_the_handshake_begins_with_a_bad_signature(quick: Local, bot: tuple[Bot, str]) -> None:
    made, url = bot
    quick.control.set_endpoint(url)
    assert made.refused == 1
    assert quick.control.status()["endpoint"] == url
    assert quick.rest.get("/oauth2/applications/@me").json()["interactions_endpoint_url"] == url
    quick.control.clear_endpoint()
    assert quick.control.status()["endpoint"] is None


def test_an_endpoint_that_takes_anything_is_not_taken(quick: Local, bot: tuple[Bot, str]) -> None:
    made, url = bot
    made.verifies = False
    with pytest.raises(BadInput, match="answered with 200, not 401"):
        quick.control.set_endpoint(url)
    made.verifies = True
    for pong, said in (
        (JSONResponse({"type": 4}), "answered with"),
        (PlainTextResponse('{"type": 1}'), "text/plain"),
        (JSONResponse({"type": 1}, 202), "202"),
    ):
        made.pong = pong
        with pytest.raises(BadInput, match=said):
            quick.control.set_endpoint(url)
    for wrong in ("http://192.0.2.7/x", "https://127.0.0.1/x", "nonsense", "http://127.0.0.1:1/x"):
        with pytest.raises(BadInput):
            quick.control.set_endpoint(wrong)
    assert quick.control.status()["endpoint"] is None


def test_who_stops_verifying_loses_the_endpoint(quick: Local, bot: tuple[Bot, str]) -> None:
    made, url = bot
    quick.control.set_endpoint(url)
    assert quick.control.probe() is True
    made.verifies = False
    assert quick.control.probe() is False
    assert quick.control.status()["endpoint"] is None


def test_the_answer_of_the_endpoint_is_applied(quick: Local, bot: tuple[Bot, str]) -> None:
    made, url = bot
    quick.control.set_endpoint(url)
    message = quick.send_buttons("a")
    made.answer = {"type": 7, "data": {"content": "approved", "components": []}}
    done = quick.control.click(message, "a")
    assert (done["through"], done["endpoint_status"], done["outcome"]) == (
        "endpoint",
        200,
        "answered",
    )
    assert quick.rest.get(f"{MESSAGES}/{message}").json()["content"] == "approved"
    assert made.seen[0]["member"]["user"]["username"] == "you"
    assert made.seen[0]["message"]["id"] == message


def test_an_endpoint_may_answer_by_the_callback_route(quick: Local, bot: tuple[Bot, str]) -> None:
    made, url = bot
    quick.control.set_endpoint(url)
    made.status = 202
    one = quick.control.click(quick.send_buttons("a"), "a", wait=False)
    deadline = time.monotonic() + 5
    while not made.seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert quick.callback(one, {"type": 6}).status_code == 204
    assert quick.control.interactions()[-1]["outcome"] == "answered"


@pytest.mark.parametrize(
    ("status", "answer", "pause", "said"),
    [
        (500, {}, 0.0, "answered 500"),
        (401, {}, 0.0, "answered 401"),
        (202, {}, 0.0, "no answer by endpoint"),
        (200, {"type": 4, "data": {"content": "x" * 2001}}, 0.0, "BASE_TYPE_MAX_LENGTH"),
        (200, [], 0.0, "refused"),
        (200, {"type": 6}, 0.9, "within 0.5 s"),
    ],
    ids=["500", "401", "silent 202", "too long", "no object", "late"],
)
def test_an_endpoint_that_fails_shows_it(
    quick: Local, bot: tuple[Bot, str], status: int, answer: Any, pause: float, said: str
) -> None:
    made, url = bot
    quick.control.set_endpoint(url)
    made.status, made.answer, made.pause = status, answer, pause
    message = quick.send_buttons("a")
    failed = quick.control.click(message, "a")
    assert failed["outcome"] == "failed"
    assert said in failed["failure"]
    page = quick.rest.get(f"{quick.url}/page/messages", params={"user": "you"}).text
    assert "This interaction failed" in page
    other = quick.rest.get(f"{quick.url}/page/messages", params={"user": "stranger"}).text
    assert "This interaction failed" not in other
