"""The gateway door against the local Discord: presses, forms, what takes long, and restarts."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.backoff import ExponentialBackoff
from discord.gateway import DiscordWebSocket
from discord.http import Route

from mahler_pipelines.adapters.discord.gateway import (
    GATEWAY_DOOR,
    GatewayConnection,
    GatewayDoor,
    GatewayRefused,
)
from mahler_pipelines.adapters.discord.rest import DiscordConnection, DiscordRest
from mahler_pipelines.cards.message import Message, Modal, TextInput
from mahler_pipelines.errors import LedgerBusy
from mahler_pipelines.local_discord.people import (
    APPLICATION_ID,
    CHANNEL_ID,
    GUILD_ID,
    LOCAL_TOKEN,
    TRADER_ROLE_ID,
    YOU_ID,
)
from mahler_pipelines.messaging.answer import Answer, opened, put_off, told, updated
from mahler_pipelines.messaging.authority import Authority
from mahler_pipelines.messaging.courier import Courier
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.interaction import Interaction, InteractionKind
from mahler_pipelines.messaging.prompt_answers import BUSY, PromptAnswers
from tests.local_discord.serving import Local, local_discord
from tests.messaging.office_scene import SHOWN, OfficeScene

pytestmark = pytest.mark.filterwarnings("error")

APPROVE, REJECT, DETAILS, SLOW, BROKEN = "a:approve", "a:reject", "a:details", "a:slow", "a:broken"


@dataclass
class Desk:
    """Answers by what was pressed, and keeps what it was asked."""

    rest: DiscordRest
    asked: list[tuple[Interaction, str]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def respond(self, interaction: Interaction, *, door: str) -> Answer:
        self.asked.append((interaction, door))
        if interaction.kind is InteractionKind.MODAL:
            return updated(Message(content=f"rejected: {interaction.value('why')}"))
        if interaction.kind is InteractionKind.COMMAND:
            return told(f"you asked for {interaction.command}")
        return self._pressed(interaction)

    def finish(self, interaction: Interaction, answer: Answer) -> None:
        assert answer.later is not None
        self.rest.follow_up(interaction.token, answer.later())

    def _pressed(self, interaction: Interaction) -> Answer:
        if interaction.custom_id == REJECT:
            return opened(Modal("a:reason", "Reject", (TextInput("why", "Why?"),)))
        if interaction.custom_id == DETAILS:
            return put_off(lambda: Message(content="the gates"))
        if interaction.custom_id == BROKEN:
            raise LedgerBusy("locked by another")
        if interaction.custom_id == SLOW:
            assert self.hold.wait(10)
        return updated(Message(content=f"approved by {interaction.user_name}"))


async def _at_once(*_: object, **__: object) -> None:
    pass


@pytest.fixture(autouse=True)
def discord_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py's addresses belong to the process: each test gives them back."""
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    # It waits seconds before it connects again, and five before it identifies again.
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 0.01)
    monkeypatch.setattr(discord.Client, "before_identify_hook", _at_once)


@pytest.fixture
def desk(local: Local) -> Iterator[Desk]:
    connection = DiscordConnection(
        LOCAL_TOKEN, APPLICATION_ID, CHANNEL_ID, GUILD_ID, base_url=f"{local.url}/api/v10"
    )
    rest = DiscordRest(connection)
    yield Desk(rest)
    rest.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    with local_discord(tmp_path / "state") as made:
        yield made


@contextmanager
def bot(
    local: Local, desk: "Desk | RealDesk", *, patience_seconds: float = 2.0
) -> Iterator[GatewayDoor]:
    """Let the door's bot in for the block; afterwards it has left in order."""
    answers = PromptAnswers(desk, patience_seconds=patience_seconds)
    door = GatewayDoor(
        GatewayConnection(LOCAL_TOKEN, f"{local.url}/api/v10"),
        answers=answers,
        notifier=desk.rest,
        first_wait_seconds=0.05,
    )
    ended: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: ended.append(_ended(door.run)))
    thread.start()
    try:
        yield door
    finally:
        door.stop()
        desk.hold.set()
        thread.join(20)
        answers.close()
    assert ended == [None]


def _ended(run: Callable[[], None]) -> BaseException | None:
    try:
        run()
    except Exception as error:  # noqa: BLE001 whatever it is, the test wants to see it
        return error
    return None


def eventually(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ephemeral(local: Local) -> list[str]:
    return [one["content"] for one in local.control.messages("you") if one["flags"] & 64]


def test_a_press_reaches_the_handler_as_it_does_by_http(local: Local, desk: Desk) -> None:
    card = local.send_buttons(APPROVE)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        done = local.control.click(card, APPROVE)
    assert (done["through"], done["outcome"], done["callback"]) == ("gateway", "answered", 7)
    ((asked, by),) = desk.asked
    assert by == GATEWAY_DOOR
    assert (asked.user_id, asked.user_name, asked.role_ids) == (YOU_ID, "You", (TRADER_ROLE_ID,))
    assert (asked.custom_id, asked.message_id) == (APPROVE, card)
    assert (asked.guild_id, asked.channel_id) == (GUILD_ID, CHANNEL_ID)
    assert asked.application_id == APPLICATION_ID
    assert [one["content"] for one in local.control.messages()] == ["approved by You"]


def test_a_form_opens_and_comes_back(local: Local, desk: Desk) -> None:
    card = local.send_buttons(REJECT)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        opening = local.control.click(card, REJECT)
        assert opening["modal"]["title"] == "Reject"
        sent = local.control.submit(opening["id"], {"why": "earnings tomorrow"})
    assert sent["outcome"] == "answered"
    assert [one["content"] for one in local.control.messages()] == ["rejected: earnings tomorrow"]


def test_a_command_is_answered(local: Local, desk: Desk) -> None:
    desk.rest.register_commands([{"name": "status", "description": "How it goes", "type": 1}])
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        assert local.control.command("status")["outcome"] == "answered"
    assert ephemeral(local) == ["you asked for status"]


def test_what_was_put_off_is_filled_in(local: Local, desk: Desk) -> None:
    card = local.send_buttons(DETAILS)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        assert local.control.click(card, DETAILS)["callback"] == 5
        eventually(lambda: ephemeral(local) == ["the gates"])


def test_an_answer_that_takes_long_is_put_off_and_still_given(local: Local, desk: Desk) -> None:
    card = local.send_buttons(SLOW)
    with bot(local, desk, patience_seconds=0.1) as door:
        assert door.wait_until_ready(15)
        assert local.control.click(card, SLOW)["callback"] == 5
        desk.hold.set()
        eventually(lambda: ephemeral(local) == ["approved by You"])


def test_a_handler_that_fails_tells_so(local: Local, desk: Desk) -> None:
    card = local.send_buttons(BROKEN)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        assert local.control.click(card, BROKEN)["outcome"] == "answered"
    assert ephemeral(local) == [BUSY]


def test_a_button_works_after_a_restart_of_the_bot(local: Local, desk: Desk) -> None:
    """All state is in the button: the second process never saw the card being sent."""
    card = local.send_buttons(DETAILS, APPROVE)
    for custom_id in (DETAILS, APPROVE):
        with bot(local, desk) as door:
            assert door.wait_until_ready(15)
            assert local.control.click(card, custom_id)["outcome"] == "answered"
    assert [one["content"] for one in local.control.messages()] == ["approved by You"]


@pytest.mark.parametrize("disturbance", ["reconnect", "drop", "invalidate"])
def test_a_broken_connection_comes_back(local: Local, desk: Desk, disturbance: str) -> None:
    card = local.send_buttons(DETAILS)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        assert local.control.gateway(disturbance) == 1
        eventually(lambda: local.control.click(card, DETAILS)["outcome"] == "answered")


def test_a_discord_that_is_down_is_asked_until_it_is_there(local: Local, desk: Desk) -> None:
    card = local.send_buttons(APPROVE)
    local.control.begin_outage()
    with bot(local, desk) as door:
        assert not door.wait_until_ready(0.3)
        local.control.end_outage()
        assert door.wait_until_ready(15)
        assert local.control.click(card, APPROVE)["outcome"] == "answered"


def test_a_wrong_token_is_refused_with_what_to_set(local: Local, desk: Desk) -> None:
    answers = PromptAnswers(desk)
    door = GatewayDoor(
        GatewayConnection("wrong.bot.token", f"{local.url}/api/v10"),
        answers=answers,
        notifier=desk.rest,
    )
    with pytest.raises(GatewayRefused, match="set DISCORD_BOT_TOKEN"):
        door.run()
    answers.close()


def test_no_token_is_logged(local: Local, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything logs what it can."""
    caplog.set_level(logging.DEBUG)
    card = local.send_buttons(DETAILS)
    with bot(local, desk) as door:
        assert door.wait_until_ready(15)
        local.control.click(card, DETAILS)
        eventually(lambda: ephemeral(local) == ["the gates"])
    ((asked, _),) = desk.asked
    assert caplog.records
    assert not [text for text in (asked.token, LOCAL_TOKEN) if text in caplog.text]


@dataclass
class RealDesk:
    """The desk's own handler and delivery on a ledger, with one channel of the local Discord."""

    scene: OfficeScene
    rest: DiscordRest
    hold: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        authority = Authority(APPLICATION_ID, GUILD_ID, CHANNEL_ID, frozenset({YOU_ID}))
        handler = self.scene.another_process()
        self.handler = replace(handler, authority=authority, notifier=self.rest)
        self.courier = Courier(
            account_id="main",
            book=self.scene.book,
            notifier=self.rest,
            renderer=self.handler.office.renderer,
            holder="test",
            present=lambda: datetime.now(UTC),
            market_now=self.scene.market_now,
        )

    def respond(self, interaction: Interaction, *, door: str) -> Answer:
        return self.handler.respond(interaction, door=door)

    def finish(self, interaction: Interaction, answer: Answer) -> None:
        self.handler.finish(interaction, answer)

    def propose(self, identifier: str) -> None:
        with self.scene.book.transaction("main") as ledger:
            ledger.add_recommendation(replace(SHOWN, id=identifier), at=SHOWN.created_at)
        assert deliver(self.courier).problems == {}

    def decision(self, identifier: str) -> tuple[str, str, str, str]:
        found = self.scene.shown(identifier).decision
        assert found is not None
        return found.verdict.value, found.decided_by, found.door, found.reason


def card_with(local: Local, identifier: str) -> dict[str, Any]:
    (card,) = [one for one in local.control.messages() if identifier in str(one)]
    return card


def button(card: dict[str, Any], label: str) -> str:
    buttons = [one for row in card["components"] for one in row["components"]]
    (found,) = [one["custom_id"] for one in buttons if one["label"].startswith(label)]
    return str(found)


def test_the_desk_decides_through_the_gateway_and_its_cards_show_it(
    local: Local, desk: Desk, tmp_path: Path
) -> None:
    """Approve, restart the bot, reject with a reason: a row each, and both cards say who."""
    real = RealDesk(OfficeScene(tmp_path), desk.rest)
    for identifier in ("r-yes", "r-no"):
        real.propose(identifier)
    yes, no = (card_with(local, identifier) for identifier in ("r-yes", "r-no"))
    with bot(local, real) as door:
        assert door.wait_until_ready(15)
        assert local.control.click(yes["id"], button(yes, "Approve"))["callback"] == 7
        refused = local.control.click(no["id"], button(no, "Approve"), "stranger")
        assert (refused["outcome"], refused["callback"]) == ("answered", 4)
    with bot(local, real) as door:
        assert door.wait_until_ready(15)
        form = local.control.click(no["id"], button(no, "Reject"))
        said = {"reason": "earnings tomorrow"}
        assert local.control.submit(form["id"], said)["outcome"] == "answered"
    by = f"discord:{YOU_ID}"
    assert real.decision("r-yes") == ("approve", by, GATEWAY_DOOR, "")
    assert real.decision("r-no") == ("reject", by, GATEWAY_DOOR, "earnings tomorrow")
    assert deliver(real.courier).problems == {}
    for card in (yes, no):
        (now,) = [one for one in local.control.messages() if one["id"] == card["id"]]
        assert now["components"] == []
        assert YOU_ID in str(now["embeds"])
