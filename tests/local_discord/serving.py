"""A local Discord behind a real socket on loopback, its wire judged by the published file."""

import copy
import importlib.util
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import uvicorn
from starlette.applications import Starlette

from mahler_pipelines.local_discord.control import DiscordControl
from mahler_pipelines.local_discord.engine import Discord, DiscordTerms
from mahler_pipelines.local_discord.limits import Allowance
from mahler_pipelines.local_discord.people import CHANNEL_ID, LOCAL_TOKEN
from mahler_pipelines.local_discord.wire.app import build_wire
from mahler_pipelines.local_discord.wire.connections import Connection

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"
MESSAGES = f"/channels/{CHANNEL_ID}/messages"
PLENTY = Allowance(1000, 1.0)

ABSENT = (
    ("DELETE", "/reactions"),  # taking reactions back is documented, and not in this selection
    ("GET", "/guilds/1100000000000000010"),
)


class Clock:
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Local:
    """A served local Discord, its clock, and the ways to it."""

    discord: Discord
    clock: Clock
    url: str
    rest: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bot {LOCAL_TOKEN}"}
        self.rest = httpx.Client(base_url=f"{self.url}/api/v10", headers=headers, trust_env=False)

    @property
    def control(self) -> DiscordControl:
        return DiscordControl(self.url)

    def send(self, **body: Any) -> dict[str, Any]:
        """Send a message and return it."""
        answer = self.rest.post(MESSAGES, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def send_buttons(self, *custom_ids: str) -> str:
        """Send a message with buttons and return its id."""
        return str(self.send(content="well?", components=[row(*custom_ids)])["id"])

    def callback(self, one: dict[str, Any], body: dict[str, Any], **query: str) -> httpx.Response:
        """Answer an interaction by its route."""
        path = f"/interactions/{one['id']}/{self.token(one)}/callback"
        return self.rest.post(path, json=body, params=query)

    def webhook(self, one: dict[str, Any], rest: str = "") -> str:
        """Where the token of an interaction leads."""
        return f"/webhooks/{self.discord.place.application_id}/{self.token(one)}{rest}"

    def token(self, one: dict[str, Any]) -> str:
        found = self.discord.interactions.get(one["id"])
        assert found is not None
        return found.token


def row(*custom_ids: str) -> dict[str, Any]:
    buttons = [{"type": 2, "style": 3, "label": one, "custom_id": one} for one in custom_ids]
    return {"type": 1, "components": buttons}


def reading_modal(**changes: Any) -> dict[str, Any]:
    """A callback that opens a modal with one text."""
    text = {"type": 4, "custom_id": "why", "style": 2, "min_length": 3, "max_length": 20} | changes
    label = {"type": 18, "label": "Reason", "component": text}
    data = {"custom_id": "reason:7", "title": "Reject", "components": [label]}
    return {"type": 9, "data": data}


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an application on a free port; yield its address without a trailing slash."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=Connection, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def local_discord(state: Path, **terms: Any) -> Iterator[Local]:
    """Serve a local Discord; at the end everything on its wire is judged."""
    clock = Clock()
    wanted: dict[str, Any] = {"messages": PLENTY, "requests_per_second": 10_000} | terms
    discord = Discord(state, DiscordTerms(**wanted), seconds=clock)
    with served(build_wire(discord)) as url:
        discord.url = url
        local = Local(discord, clock, url)
        with local.rest:
            yield local
    found = violations(list(discord.journal))
    assert not found, found


@cache
def _gate() -> Any:
    spec = importlib.util.spec_from_file_location("specs_gate", SPECS / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return module.Gate(str(SPECS / "discord-used.json"), base="/api/v10")


def violations(journal: list[dict[str, Any]]) -> list[str]:
    """What the published file says against requests and answers; [] where it is absent.

    Left out are answers that are wrong on demand, requests that are meant to be refused, and what
    the file does not have.
    """
    if not (SPECS / "gate.py").exists():
        return []
    gate, found = _gate(), []
    for entry in journal:
        # discord.py answers interactions under its transport's name.
        one = _as_specified(entry) if "aiohttp" in entry["user_agent"] else entry
        asked = one["method"], one["path"]
        is_absent = any(one["method"] == verb and part in one["path"] for verb, part in ABSENT)
        if one["fault"] or one["status"] is None or one["status"] >= 500 or is_absent:
            continue
        if gate.find(*asked) is None:
            assert one["status"] in (401, 404, 405), asked
            continue
        if one["status"] < 400:
            found += [f"{asked}: {e}" for e in gate.request(*asked, one["body"])]
        errors = gate.response(*asked, one["status"], _numbered(one["answer"]))
        found += [f"{asked} answer: {error}" for error in errors]
    return found


def _as_specified(one: dict[str, Any]) -> dict[str, Any]:
    """Write two things as the file does, which discord.py 2.7 writes otherwise and Discord takes.

    Booleans of the query are 0 and 1 there, and the numbers of files are no texts.
    """
    path, _, query = one["path"].partition("?")
    flags = [(name, {"0": "false", "1": "true"}.get(v, v)) for name, v in parse_qsl(query)]
    changed = copy.deepcopy(one) | {"path": path + (f"?{urlencode(flags)}" if flags else "")}
    body = changed["body"] if isinstance(changed["body"], dict) else {}
    for attachment in body.get("attachments") or body.get("data", {}).get("attachments") or []:
        attachment["id"] = str(attachment["id"])
    return changed


def _numbered(answer: Any) -> Any:
    """Errors of a form have words as codes on the wire, as documented; the file says numbers."""
    if not isinstance(answer, dict) or "errors" not in answer:
        return answer
    numbered = copy.deepcopy(answer)
    waiting = [numbered["errors"]]
    for one in waiting:
        for error in one.get("_errors", []):
            assert isinstance(error["code"], str)
            error["code"] = 0
        waiting += [inner for name, inner in one.items() if name != "_errors"]
    return numbered
