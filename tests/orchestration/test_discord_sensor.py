"""The graph's own delivery: a round per tick, beside the tick."""

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mahler_pipelines.adapters.discord.rest import DiscordRest
from mahler_pipelines.composition import compose
from mahler_pipelines.definitions import build_definitions
from mahler_pipelines.messaging.mail_room import MailRoom
from mahler_pipelines.orchestration.sensors import discord_sensor
from mahler_pipelines.settings import Settings

CHAT = {"bot_token": "t", "application_id": "1", "channel_id": "2", "approvers": ["7", "8"]}


def settings(home: Path, **discord: Any) -> Settings:
    return Settings.load({"home": str(home), "discord": discord}, directory=home, environ={})


def tick(instance: dg.DagsterInstance, mail_room: MailRoom) -> str:
    with dg.build_sensor_context(instance, resources={"mail_room": mail_room}) as context:
        found = discord_sensor(context)
    assert isinstance(found, dg.SkipReason)
    return str(found.skip_message)


def test_a_tick_without_a_chat_says_so(instance: dg.DagsterInstance) -> None:
    assert tick(instance, MailRoom()) == "no chat is set"


def test_a_tick_makes_a_round_and_tells_of_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Nothing listens where this desk's Discord should be: said, and raised to nobody."""
    desk = compose(settings(tmp_path, **CHAT, base_url="http://127.0.0.1:9/api/v10"))
    with desk.ledger.transaction("main") as ledger:
        ledger.enqueue(kind="note", subject="s", payload={}, key="k", at=desk.courier.present())
    assert tick(instance, desk.mail_room) == "POST /channels/2/messages: ConnectError"
    with desk.ledger.reading("main") as ledger:
        (row,) = ledger.outbox(undelivered_only=True)
    assert row["attempts"] == 1
    assert tick(instance, desk.mail_room) == "nothing new"


@pytest.mark.parametrize(
    ("discord", "delivers", "reads"),
    [
        ({}, False, False),
        ({**CHAT, "door": "off"}, False, False),
        ({"bot_token": "t", "door": "reactions"}, False, False),
        (CHAT, True, False),
        ({**CHAT, "door": "gateway"}, True, False),
        ({**CHAT, "door": "reactions"}, True, True),
    ],
)
def test_the_room_does_what_the_settings_say(
    tmp_path: Path, discord: dict[str, Any], delivers: bool, reads: bool
) -> None:
    desk = compose(settings(tmp_path, **discord))
    room = desk.mail_room
    assert (room.courier is not None, room.door is not None) == (delivers, reads)
    if room.courier is not None:
        assert isinstance(room.courier.notifier, DiscordRest)
        assert desk.renderer.by_reactions is reads
    if room.door is not None:
        assert room.door.users == {"7", "8"}


def test_a_reload_knows_the_sensor_and_its_room(tmp_path: Path) -> None:
    definitions = build_definitions(settings(tmp_path))
    sensor = definitions.resolve_sensor_def("discord_sensor")
    assert sensor.minimum_interval_seconds == 10
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.required_resource_keys == {"mail_room"}
    assert not [one for one in threading.enumerate() if one.name == "mail"]
