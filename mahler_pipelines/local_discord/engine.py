"""The local Discord behind its wire: one guild, its messages, interactions, sessions and limits."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.bodies import read_answer
from mahler_pipelines.local_discord.channels import Channels
from mahler_pipelines.local_discord.commands import Commands
from mahler_pipelines.local_discord.components import BUTTON, LINK_STYLE, STRING_SELECT, walk
from mahler_pipelines.local_discord.endpoint import Endpoint, EndpointSilent
from mahler_pipelines.local_discord.faults import FaultBook
from mahler_pipelines.local_discord.interactions import (
    Interaction,
    InteractionKind,
    Interactions,
    refusal_of,
)
from mahler_pipelines.local_discord.keys import ApplicationKey
from mahler_pipelines.local_discord.limits import Allowance, Limits
from mahler_pipelines.local_discord.messages import Message
from mahler_pipelines.local_discord.modals import fill
from mahler_pipelines.local_discord.people import CHANNEL_ID, LOCAL_TOKEN, Person, Place
from mahler_pipelines.local_discord.refusals import Refused
from mahler_pipelines.local_discord.sessions import GUILD_MESSAGES, GUILD_REACTIONS, Gateway
from mahler_pipelines.local_discord.snowflakes import Snowflakes
from mahler_pipelines.local_discord.store import Store

LONGEST_JOURNAL = 10_000
_PERSON, _ENDPOINT = "person", "endpoint"


@dataclass(frozen=True, slots=True)
class DiscordTerms:
    """What Discord fixes and a test may want otherwise. Times are in seconds."""

    token: str = LOCAL_TOKEN
    messages: Allowance = field(default_factory=lambda: Allowance(5, 5.0))
    requests_per_second: int = 50
    first_answer_seconds: float = 3.0
    token_seconds: float = 900.0
    nonce_seconds: float = 300.0
    heartbeat_seconds: float = 41.25


class Discord:
    """Holds everything; runs on one event loop, which is what serialises it.

    Raises `BadInput` for what a person cannot do, and where another local Discord has the folder.
    """

    def __init__(
        self,
        state_dir: Path,
        terms: DiscordTerms | None = None,
        *,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self.terms = terms or DiscordTerms()
        self._seconds = seconds
        self._store = Store(state_dir)
        self.key = ApplicationKey.open(state_dir)
        self.place = Place()
        for kept in self._store.all(_PERSON):
            self._admit(Person(kept["id"], kept["name"], tuple(kept["roles"])))
        self.ids = Snowflakes(seconds)
        self.gateway = Gateway(seconds)
        self.channels = Channels(
            self._store,
            self.place,
            self.ids,
            files=state_dir / "attachments",
            seconds=seconds,
            nonce_seconds=self.terms.nonce_seconds,
            tell=self._tell,
        )
        self.interactions = Interactions(
            self.channels,
            self.place,
            self.ids,
            seconds=seconds,
            first_answer_seconds=self.terms.first_answer_seconds,
            token_seconds=self.terms.token_seconds,
        )
        self.commands = Commands(self._store, self.place, self.ids)
        self.limits = Limits(self.terms.messages, self.terms.requests_per_second, seconds=seconds)
        urls = [kept["url"] for kept in self._store.all(_ENDPOINT)]
        self.endpoint = Endpoint(
            self.key, urls[0] if urls else None, seconds=self.terms.first_answer_seconds
        )
        self.faults = FaultBook()
        self.journal: deque[dict[str, Any]] = deque(maxlen=LONGEST_JOURNAL)
        self.url = ""
        self.is_out = False
        self.version = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Give the state folder free."""
        for task in self._tasks:
            task.cancel()
        self.endpoint.close()
        self._store.close()

    def status(self) -> dict[str, Any]:
        """Return where to find what, who is there, and how it goes."""
        return {
            "api_base": f"{self.url}/api/v10",
            "gateway": self.gateway_url,
            "public_key": self.key.public_hex,
            "application_id": self.place.application_id,
            "guild_id": self.place.guild_id,
            "channels": self.place.channels,
            "roles": self.place.roles,
            "people": [
                {"id": one.id, "name": one.name, "roles": list(one.roles)}
                for one in self.place.people.values()
            ],
            "endpoint": self.endpoint.url,
            "listening": self.gateway.listening,
            "outage": self.is_out,
            "messages": len(self.channels.seen(CHANNEL_ID)),
            "invalid_requests": self.limits.invalid_requests,
            "version": self.version,
        }

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return f"{self.url.replace('http', 'ws', 1)}/gateway"

    def person(self, who: str) -> Person:
        """Return somebody by id or name; raise `BadInput`."""
        found = self.place.find(who)
        if found is None:
            raise BadInput("user", who, "is nobody here")
        return found

    def add_person(self, name: str, roles: list[str]) -> Person:
        """Let somebody else in, with roles by id or name; one of that name gets these roles."""
        if not name or len(name) > 32:
            raise BadInput("name", name, "has 1 to 32 characters")
        by_name = {known: role_id for role_id, known in self.place.roles.items()}
        held = [by_name.get(role, role) for role in roles]
        for role in held:
            if role not in self.place.roles:
                raise BadInput("roles", role, "is no role here")
        known = self.place.find(name)
        person = Person(known.id if known else self.ids.next(), name, tuple(held))
        self._admit(person)
        kept = {"id": person.id, "name": person.name, "roles": list(person.roles)}
        self._store.put(_PERSON, person.id, kept)
        self.version += 1
        return person

    async def set_endpoint(self, url: str | None) -> None:
        """Shake hands with an endpoint and take it, or give it up; raise `BadInput`."""
        await self.endpoint.set(url, self._ping())
        self._keep_endpoint()

    async def probe(self) -> bool:
        """Send the endpoint a bad signature; return whether it is still in force."""
        held = await self.endpoint.probe(self._ping())
        self._keep_endpoint()
        return held

    def set_outage(self, is_out: bool) -> None:
        """Let nobody reach Discord, or everybody again."""
        self.is_out = is_out
        self.gateway.is_open = not is_out
        if is_out:
            self.gateway.hang_up(1001)

    def click(
        self, message_id: str, custom_id: str, who: str, values: list[str] | None = None
    ) -> Interaction:
        """Let a person click a button, or choose from a select, of a message they see."""
        person = self.person(who)
        message = self.channels.find(message_id)
        if message is None or message.seen_by not in (None, person.id):
            raise BadInput("message", message_id, "is not there for this person")
        found = [one for one in walk(message.components) if one.get("custom_id") == custom_id]
        if not found or found[0].get("disabled") or found[0].get("style") == LINK_STYLE:
            raise BadInput("custom_id", custom_id, "is nothing that can be clicked")
        data: dict[str, Any] = {
            "custom_id": custom_id,
            "component_type": found[0]["type"],
            "id": found[0]["id"],
        }
        if found[0]["type"] == STRING_SELECT:
            data["values"] = _chosen(found[0], values or [])
        elif found[0]["type"] == BUTTON and values:
            raise BadInput("values", values, "a button has none")
        one = self.interactions.begin(
            InteractionKind.COMPONENT, person, message.channel_id, data, message=message
        )
        return self._deliver(one)

    def submit(self, interaction_id: str, values: dict[str, Any], who: str) -> Interaction:
        """Let the person who got a modal send it, once."""
        person = self.person(who)
        before = self.interactions.get(interaction_id)
        if before is None or before.person.id != person.id or before.modal is None:
            raise BadInput("interaction", interaction_id, "opened no modal for this person")
        if before.is_modal_filled:
            raise BadInput("interaction", interaction_id, "has its modal sent already")
        data = {
            "custom_id": before.modal["custom_id"],
            "components": fill(before.modal, values),
        }
        before.is_modal_filled = True
        message = None if before.message_id is None else self.channels.find(before.message_id)
        one = self.interactions.begin(
            InteractionKind.MODAL_SUBMIT,
            person,
            before.channel_id,
            data,
            message=message,
            after=before,
        )
        return self._deliver(one)

    def command(self, name: str, options: dict[str, Any], who: str) -> Interaction:
        """Let a person call a slash command in the channel of the desk."""
        person = self.person(who)
        data = self.commands.called(name, options)
        one = self.interactions.begin(InteractionKind.COMMAND, person, CHANNEL_ID, data)
        return self._deliver(one)

    def react(self, message: Message, emoji: str, user_id: str) -> None:
        """Add a reaction and tell it."""
        if self.channels.react(message, emoji, user_id):
            self._tell_reaction("MESSAGE_REACTION_ADD", message, emoji, user_id)

    def unreact(self, message: Message, emoji: str, user_id: str) -> None:
        """Take a reaction back and tell it."""
        if self.channels.unreact(message, emoji, user_id):
            self._tell_reaction("MESSAGE_REACTION_REMOVE", message, emoji, user_id)

    def _admit(self, person: Person) -> None:
        self.place.people[person.id] = person

    def _keep_endpoint(self) -> None:
        if self.endpoint.url is None:
            self._store.drop(_ENDPOINT, _ENDPOINT)
        else:
            self._store.put(_ENDPOINT, _ENDPOINT, {"url": self.endpoint.url})

    def _ping(self) -> dict[str, Any]:
        return {
            "id": self.ids.next(),
            "application_id": self.place.application_id,
            "type": int(InteractionKind.PING),
            "token": "ping",
            "version": 1,
        }

    def _deliver(self, one: Interaction) -> Interaction:
        """Send an interaction to the endpoint if there is one, else tell it on the gateway."""
        asyncio.get_running_loop().call_later(
            self.terms.first_answer_seconds, self.interactions.expire, one
        )
        payload = self.interactions.payload(one, self.url)
        if self.endpoint.url is not None:
            one.through = "endpoint"
            self._start(self._post(one, self.endpoint.url, payload))
        elif not self.is_out and self.gateway.tell("INTERACTION_CREATE", payload):
            one.through = "gateway"
        self.version += 1
        return one

    async def _post(self, one: Interaction, url: str, payload: dict[str, Any]) -> None:
        try:
            answer = await self.endpoint.send(url, payload)
        except EndpointSilent as silent:
            self.interactions.fail(one, str(silent))
            return
        finally:
            self.version += 1
        one.endpoint_status = answer.status
        if answer.status == 202:
            return  # It answers by the callback route, within the same deadline.
        if answer.status != 200:
            self.interactions.fail(one, f"the endpoint answered {answer.status}")
            return
        try:
            body, uploads = read_answer(answer.content_type, answer.body)
            pending = self.interactions.find(one.id, one.token)
            self.interactions.answer(pending, body, uploads)
        except Refused as refused:
            self.interactions.fail(one, refusal_of(refused))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, event: str, message: Message) -> None:
        """Tell what became of a message; ephemeral ones are told to nobody."""
        self.version += 1
        if not event or message.seen_by is not None:
            return
        data: dict[str, Any] = {"guild_id": self.place.guild_id}
        if event == "MESSAGE_DELETE":
            data |= {"id": message.id, "channel_id": message.channel_id}
        else:
            data |= message.view(self.place, self.url)
        self.gateway.tell(event, data, intent=GUILD_MESSAGES)

    def _tell_reaction(self, event: str, message: Message, emoji: str, user_id: str) -> None:
        name, _, identifier = emoji.partition(":")
        data: dict[str, Any] = {
            "user_id": user_id,
            "channel_id": message.channel_id,
            "message_id": message.id,
            "guild_id": self.place.guild_id,
            "emoji": {"id": identifier or None, "name": name},
            "type": 0,
            "burst": False,
        }
        person = self.place.people.get(user_id)
        if event == "MESSAGE_REACTION_ADD" and person is not None:
            data["member"] = person.as_member()
        self.gateway.tell(event, data, intent=GUILD_REACTIONS)

    def now(self) -> str:
        """Return the present, for the journal."""
        return datetime.fromtimestamp(self._seconds(), UTC).isoformat()


def _chosen(select: dict[str, Any], values: list[str]) -> list[str]:
    offered = {option["value"] for option in select["options"]}
    for value in values:
        if value not in offered:
            raise BadInput("values", value, "is not offered")
    if not select["min_values"] <= len(values) <= select["max_values"]:
        bounds = f"{select['min_values']} to {select['max_values']}"
        raise BadInput("values", values, f"takes {bounds}")
    return values
