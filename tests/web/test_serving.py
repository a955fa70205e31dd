"""`mahler serve` as a program: its doors with the local Discord, its errors, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import SettingsError
from mahler_pipelines.local_discord.people import CHANNEL_ID, GUILD_ID, YOU_ID
from mahler_pipelines.local_discord.process import LocalDiscord
from mahler_pipelines.settings import DiscordSettings, Settings
from mahler_pipelines.web.serving import Door, door_in_use
from tests.cli.processes import descendants, left_over
from tests.cli.programs import environment, mahler
from tests.messaging.office_scene import SHOWN

KEYS: dict[str, Any] = {
    "bot_token": "t",
    "public_key": "ab" * 32,
    "application_id": "1",
    "channel_id": "2",
}


@pytest.mark.parametrize(
    ("given", "door"),
    [
        ({}, Door.OFF),
        (KEYS, Door.HTTP),
        (KEYS | {"public_key": None}, Door.GATEWAY),
        (KEYS | {"door": "gateway"}, Door.GATEWAY),
        (KEYS | {"door": "reactions"}, Door.REACTIONS),
        (KEYS | {"door": "off"}, Door.OFF),
    ],
)
def test_the_door_follows_from_what_is_set(given: Mapping[str, Any], door: Door) -> None:
    assert door_in_use(DiscordSettings(**given)) is door


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"public_key": "ab" * 32}, ["BOT_TOKEN", "APPLICATION_ID", "CHANNEL_ID"]),
        ({"bot_token": "t"}, ["APPLICATION_ID", "CHANNEL_ID"]),
        (KEYS | {"public_key": None, "door": "http"}, ["PUBLIC_KEY"]),
        ({"door": "gateway"}, ["BOT_TOKEN", "APPLICATION_ID", "CHANNEL_ID"]),
    ],
)
def test_what_is_missing_is_named_with_where_it_is_found(
    given: Mapping[str, Any], missing: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        door_in_use(DiscordSettings(**given))
    assert re.findall(r"DISCORD_(\w+) \(", str(refused.value)) == missing


class Serve:
    """A running `mahler serve`: its book, its address, and its process."""

    def __init__(self, home: Path, more: Mapping[str, str]) -> None:
        self.output = home / "serve.log"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mahler_pipelines", "--home", ".", "serve", "--port", "0"],
                cwd=home,
                env=environment(**more),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while "health" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        found = re.search(r"health\s+(http://\S+)/health", self.said())
        assert found is not None, self.said()
        self.url = found[1]

    def said(self) -> str:
        return self.output.read_text()

    def end(self) -> None:
        """Stop it by SIGTERM; it ends in order, and nothing is left of it."""
        started = descendants(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.said()
        assert left_over(started, seconds=5) == set()
        assert "Traceback" not in self.said(), self.said()


@contextmanager
def serving(home: Path, more: Mapping[str, str]) -> Iterator[Serve]:
    running = Serve(home, more)
    try:
        yield running
        running.end()
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


@pytest.fixture
def desk(tmp_path: Path) -> ComposedDesk:
    """A book in which one recommendation waits for an answer."""
    made = compose(Settings.load({"home": str(tmp_path)}, directory=tmp_path, environ={}))
    with made.ledger.transaction("main") as book:
        book.add_recommendation(replace(SHOWN, id="r-1"), at=SHOWN.created_at)
    return made


def told(local: LocalDiscord) -> dict[str, str]:
    return {
        **local.environment,
        "DISCORD_GUILD_ID": GUILD_ID,
        "DISCORD_CHANNEL_ID": CHANNEL_ID,
        "DISCORD_APPROVERS": YOU_ID,
    }


def eventually(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def card(local: LocalDiscord) -> dict[str, Any]:
    eventually(local.control.messages)
    return local.control.messages()[0]


def registered(local: LocalDiscord) -> list[int]:
    """How Discord answered what made the slash commands known."""
    journal = local.control.journal()
    return [one["status"] for one in journal if one["path"].endswith("commands")]


@pytest.mark.parametrize("door", ["http", "gateway"])
def test_a_card_goes_out_and_its_buttons_answer(
    desk: ComposedDesk, tmp_path: Path, door: str
) -> None:
    """Details ask the ledger alone: an approval would need the exchange's clock."""
    with LocalDiscord(tmp_path / "discord") as local:
        more = {**told(local), "MAHLER_DISCORD__DOOR": door}
        with serving(tmp_path, more) as served:
            if door == "http":
                local.control.set_endpoint(f"{served.url}/discord/interactions")
                assert local.control.probe(), "a bad signature was taken"
            shown = card(local)
            pressed = answered(local, shown, "Reject", "you")
            assert (pressed["modal"]["title"], pressed["callback"]) == ("Reject", 9)
            refused = answered(local, shown, "Reject", "stranger")
            assert (refused["through"], refused["callback"]) == (
                {"http": "endpoint", "gateway": "gateway"}[door],
                4,
            )
            eventually(lambda: registered(local) == [200])
        assert local.environment["DISCORD_BOT_TOKEN"] not in served.said()
    with desk.ledger.reading("main") as book:
        assert book.outbox(undelivered_only=True) == ()


def answered(local: LocalDiscord, shown: dict[str, Any], label: str, by: str) -> dict[str, Any]:
    """A press of a card's button, once the door hears it."""
    buttons = [one for row in shown["components"] for one in row["components"]]
    (custom_id,) = [one["custom_id"] for one in buttons if one["label"].startswith(label)]
    deadline = time.monotonic() + 20
    while True:
        pressed = local.control.click(shown["id"], custom_id, by)
        if pressed["outcome"] == "answered" or time.monotonic() > deadline:
            return pressed


def test_without_discord_it_says_how_the_desk_is(desk: ComposedDesk, tmp_path: Path) -> None:
    with serving(tmp_path, {}) as served:
        assert "no Discord is set up" in served.said()
        assert ask(f"{served.url}/health/live") == (200, {"status": "live"})
        status, found = ask(f"{served.url}/health")
        assert (status, found["status"]) == (503, "degraded")
        wrong = {name for name, part in found["parts"].items() if not part["ok"]}
        assert wrong == {"broker", "daemon"}
        assert ask(f"{served.url}/discord/interactions")[0] == 404
    assert desk.paths.ledger.exists()


def ask(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = error.read()
            return error.code, json.loads(said) if said.startswith(b"{") else None


def test_a_refused_bot_ends_the_program_with_what_to_set(tmp_path: Path) -> None:
    with LocalDiscord(tmp_path / "discord", token="another") as local:
        more = {**told(local), "DISCORD_BOT_TOKEN": "wrong", "MAHLER_DISCORD__DOOR": "gateway"}
        ended = mahler(tmp_path, "serve", "--port", "0", more=more)
    assert (ended.code, "set DISCORD_BOT_TOKEN" in ended.err) == (1, True), ended.err


def test_a_taken_port_and_a_wrong_key_are_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = mahler(tmp_path, "serve", "--port", str(other.getsockname()[1]))
    assert (taken.code, "choose another" in taken.err) == (1, True), taken.err
    names = {f"DISCORD_{name.upper()}": value for name, value in KEYS.items()}
    wrong = mahler(tmp_path, "serve", "--port", "0", more=names | {"DISCORD_PUBLIC_KEY": "zz"})
    assert (wrong.code, "no Ed25519 public key" in wrong.err) == (1, True), wrong.err
