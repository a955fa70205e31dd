"""discord.py's own client: login, button, modal, edit, restart, button again."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import discord
import pytest
import yarl
from discord.backoff import ExponentialBackoff
from discord.gateway import DiscordWebSocket

from mahler_pipelines.local_discord.people import CHANNEL_ID, GUILD_ID, LOCAL_TOKEN
from tests.local_discord.serving import Local, local_discord
from tests.local_discord.test_rest import png

pytestmark = pytest.mark.filterwarnings("error")


def picture(name: str) -> discord.File:
    return discord.File(io.BytesIO(png()), name)


class Reason(discord.ui.Modal, title="Reject"):
    """Asks why; what was said goes onto the card."""

    why: discord.ui.Label[Any] = discord.ui.Label(
        text="Why?", component=discord.ui.TextInput(custom_id="why", min_length=3)
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.why.component, discord.ui.TextInput)
        said = self.why.component.value
        await interaction.response.edit_message(content=f"rejected: {said}", view=None)


class Decide(
    discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"mahler:v1:(?P<does>\w+):(?P<id>\w+)"
):
    """A button whose state is in its custom id, so that it outlives the process."""

    def __init__(self, does: str, recommendation: str) -> None:
        custom_id = f"mahler:v1:{does}:{recommendation}"
        super().__init__(discord.ui.Button(label=does, custom_id=custom_id))
        self.does = does

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction,  # noqa: ARG003 discord.py hands it over
        item: discord.ui.Item[Any],  # noqa: ARG003 discord.py hands it over
        match: re.Match[str],
        /,
    ) -> Self:
        return cls(match["does"], match["id"])

    async def callback(self, interaction: discord.Interaction) -> None:
        if self.does == "reject":
            await interaction.response.send_modal(Reason())
        elif self.does == "details":
            await interaction.response.defer(ephemeral=True, thinking=True)
            await interaction.followup.send("the gates", file=picture("g.png"))
        else:
            name = interaction.user.name
            await interaction.response.edit_message(content=f"{self.does} by {name}", view=None)


class Desk(discord.Client):
    """A bot as the desk runs one: no intents, buttons known by their pattern."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Not wait seconds before a second identify, as discord.py would."""

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Decide)

    async def send_card(self, identifier: str, **more: Any) -> discord.Message:
        view = discord.ui.View(timeout=None)
        for does in ("approve", "reject", "details"):
            view.add_item(Decide(does, identifier))
        channel = self.get_partial_messageable(int(CHANNEL_ID), guild_id=int(GUILD_ID))
        nonce = f"card:{identifier}"
        return await channel.send(f"card {identifier}", view=view, nonce=nonce, **more)


@pytest.fixture
def pointed(local: Local, monkeypatch: pytest.MonkeyPatch) -> Local:
    monkeypatch.setattr(discord.http.Route, "BASE", f"{local.url}/api/v10")
    gateway = yarl.URL(local.discord.gateway_url)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    return local


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Desk]:
    """Run a bot until the test is done with it."""
    async with Desk(intents=discord.Intents.none(), guild_ready_timeout=0.1) as bot:
        task = asyncio.create_task(bot.start(LOCAL_TOKEN))
        ready = asyncio.create_task(bot.wait_until_ready())
        async with asyncio.timeout(20):
            await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        assert bot.is_ready(), task
        yield bot
        await bot.close()
        await task


async def click(
    local: Local, message: discord.Message, custom_id: str, user: str = "you"
) -> dict[str, Any]:
    return await asyncio.to_thread(local.control.click, str(message.id), custom_id, user)


async def _a_day(local: Local) -> None:
    async with running() as bot:
        assert bot.user is not None
        assert bot.application is not None
        card = await bot.send_card("r1")
        rejected = await bot.send_card("r2")
        late = await bot.send_card("r3")
        assert (await bot.send_card("r1")).id == card.id
        done = await click(local, card, "mahler:v1:approve:r1")
        assert (done["through"], done["outcome"], done["callback"]) == ("gateway", "answered", 7)
        opened = await click(local, rejected, "mahler:v1:reject:r2")
        assert opened["modal"]["title"] == "Reject"
        values = {"why": "earnings tomorrow"}
        sent = await asyncio.to_thread(local.control.submit, opened["id"], values)
        assert sent["outcome"] == "answered"
        await click(local, late, "mahler:v1:details:r3", user="stranger")
        edited = await card.edit(content="filled at 1.25", embed=discord.Embed(title="Fill"))
        assert edited.embeds[0].title == "Fill"
        await card.add_reaction("✅")
    async with running() as again:
        done = await click(local, late, "mahler:v1:approve:r3", user="stranger")
        assert done["outcome"] == "answered"
        await again.send_card("r4", file=picture("p.png"))


def test_login_button_modal_edit_restart_button_again(pointed: Local) -> None:
    asyncio.run(_a_day(pointed))
    said = [one["content"] for one in pointed.control.messages()]
    decided = ["filled at 1.25", "rejected: earnings tomorrow", "approve by stranger"]
    assert said == [*decided, "card r4"]
    (details,) = [one for one in pointed.control.messages("stranger") if one["flags"] & 64]
    assert details["content"] == "the gates"
    assert details["attachments"][0]["filename"] == "g.png"
    assert pointed.control.messages()[-1]["attachments"][0]["width"] == 3


async def _disturbances(local: Local) -> None:
    async with running() as bot:
        card = await bot.send_card("r1")
        for disturbance in ("reconnect", "drop", "invalidate_resumable", "invalidate"):
            resumed = disturbance != "invalidate"
            event = "resumed" if resumed else "ready"
            heard = asyncio.create_task(bot.wait_for(event, timeout=20))
            await asyncio.sleep(0)
            assert await asyncio.to_thread(local.control.gateway, disturbance) == 1
            await heard
            view = discord.ui.View(timeout=None).add_item(Decide("approve", "r1"))
            await card.edit(view=view)
            done = await click(local, card, "mahler:v1:approve:r1")
            assert done["outcome"] == "answered", disturbance


def test_a_disturbed_connection_comes_back(pointed: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    # discord.py waits up to seconds before it connects again; how long is drawn.
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 0.01)
    asyncio.run(_disturbances(pointed))


async def _wait_out_a_limit(local: Local) -> None:
    async with running() as bot:
        plan = {"rules": [{"path": "/api/v10/channels/*", "nth": 1,
                           "fault": {"kind": "rate_limit", "retry_after": 0.1}}]}  # fmt: skip
        await asyncio.to_thread(local.control.set_faults, plan)
        await bot.send_card("r1")


def test_a_429_is_waited_out(pointed: Local) -> None:
    asyncio.run(_wait_out_a_limit(pointed))
    sends = [one["status"] for one in pointed.control.journal() if one["method"] == "POST"]
    assert sends == [429, 200]


def test_a_wrong_token_is_a_failed_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_discord(tmp_path, token="another.bot.token") as local:
        monkeypatch.setattr(discord.http.Route, "BASE", f"{local.url}/api/v10")

        async def login() -> None:
            async with Desk(intents=discord.Intents.none()) as bot:
                await bot.login(LOCAL_TOKEN)

        with pytest.raises(discord.LoginFailure):
            asyncio.run(login())
