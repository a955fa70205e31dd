"""Interactions: what a person did, the token that answers it, and the answers Discord takes."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from mahler_pipelines.local_discord.channels import Channels, ephemeral
from mahler_pipelines.local_discord.drafts import EPHEMERAL, LOADING, Draft, Upload, read_draft
from mahler_pipelines.local_discord.messages import Message
from mahler_pipelines.local_discord.modals import read_modal
from mahler_pipelines.local_discord.people import Person, Place
from mahler_pipelines.local_discord.refusals import (
    Form,
    Refused,
    already_acknowledged,
    invalid_webhook_token,
    unknown_interaction,
    unknown_message,
    unknown_webhook,
)
from mahler_pipelines.local_discord.snowflakes import Snowflakes

MOST_KEPT = 10_000
ATTACHMENT_LIMIT_BYTES = 10 * 1024 * 1024


class InteractionKind(IntEnum):
    """What a person did."""

    PING = 1
    COMMAND = 2
    COMPONENT = 3
    MODAL_SUBMIT = 5


class Callback(IntEnum):
    """How an interaction is answered."""

    PONG = 1
    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    MODAL = 9


class Outcome(StrEnum):
    """What became of an interaction."""

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(slots=True)
class Interaction:
    """One interaction; times are seconds of the epoch.

    `response_id` is the message that `@original` means.
    """

    id: str
    token: str
    kind: InteractionKind
    person: Person
    channel_id: str
    data: dict[str, Any]
    created: float
    message_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.PENDING
    through: str | None = None
    endpoint_status: int | None = None
    callback: Callback | None = None
    answered: float | None = None
    failure: str | None = None
    response_id: str | None = None
    followups: list[str] = field(default_factory=list)
    modal: dict[str, Any] | None = None
    is_modal_filled: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, Any]:
        """Return what the control routes say of it; the token stays inside."""
        return {
            "id": self.id,
            "kind": self.kind.name.lower(),
            "user": self.person.id,
            "message": self.message_id,
            "data": self.data,
            "created": self.created,
            "through": self.through,
            "endpoint_status": self.endpoint_status,
            "outcome": self.outcome.value,
            "callback": self.callback,
            "seconds": None if self.answered is None else self.answered - self.created,
            "failure": self.failure,
            "response": self.response_id,
            "modal": None if self.is_modal_filled else self.modal,
        }


class Interactions:
    """Every interaction of late, by id and by token.

    Raises `Refused` as Discord does: late, answered twice, a token that is wrong or over.
    """

    def __init__(
        self,
        channels: Channels,
        place: Place,
        ids: Snowflakes,
        *,
        seconds: Callable[[], float],
        first_answer_seconds: float,
        token_seconds: float,
    ) -> None:
        self._channels = channels
        self._place = place
        self._ids = ids
        self._seconds = seconds
        self._first_answer_seconds = first_answer_seconds
        self._token_seconds = token_seconds
        self._known: dict[str, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}
        self.failures: dict[tuple[str | None, str], str] = {}

    def begin(
        self,
        kind: InteractionKind,
        person: Person,
        channel_id: str,
        data: dict[str, Any],
        *,
        message: Message | None = None,
        after: Interaction | None = None,
    ) -> Interaction:
        """Note what a person did; `after` is the interaction whose modal is submitted."""
        one = Interaction(
            self._ids.next(),
            secrets.token_urlsafe(48),
            kind,
            person,
            channel_id,
            data,
            self._seconds(),
            message_id=None if message is None else message.id,
        )
        one.metadata = {
            "id": one.id,
            "type": int(kind),
            "user": person.id,
            "authorizing_integration_owners": {"0": self._place.guild_id},
        }
        if after is not None:
            trigger = after.metadata | {"user": self._place.user(after.person.id)}
            one.metadata["triggering_interaction_metadata"] = trigger
        elif message is not None:
            one.metadata["interacted_message_id"] = message.id
        self._known[one.id] = self._by_token[one.token] = one
        self.failures.pop((one.message_id, person.id), None)
        while len(self._known) > MOST_KEPT:
            oldest = self._known.pop(next(iter(self._known)))
            del self._by_token[oldest.token]
        return one

    def recent(self, limit: int) -> list[Interaction]:
        """Return the last ones, oldest first."""
        return list(self._known.values())[-limit:]

    def get(self, interaction_id: str) -> Interaction | None:
        """Return an interaction by id."""
        return self._known.get(interaction_id)

    def payload(self, one: Interaction, base: str) -> dict[str, Any]:
        """Return the interaction as it is sent to an endpoint or told on the gateway."""
        message = None if one.message_id is None else self._channels.find(one.message_id)
        channel = self._place.channel(one.channel_id)
        carried = {
            "id": one.id,
            "application_id": self._place.application_id,
            "type": int(one.kind),
            "token": one.token,
            "version": 1,
            "guild_id": self._place.guild_id,
            "guild": {"id": self._place.guild_id, "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "locale": "en-US",
            "channel_id": one.channel_id,
            "channel": channel,
            "member": one.person.as_member(),
            "app_permissions": one.person.as_member()["permissions"],
            "data": one.data,
            "entitlements": [],
            "authorizing_integration_owners": {"0": self._place.guild_id},
            "context": 0,
            "attachment_size_limit": ATTACHMENT_LIMIT_BYTES,
        }
        return carried | ({} if message is None else {"message": message.view(self._place, base)})

    def fail(self, one: Interaction, reason: str) -> None:
        """Let a person see that an interaction failed, unless it was answered."""
        if one.outcome is not Outcome.PENDING:
            return
        one.outcome, one.failure = Outcome.FAILED, reason
        self.failures[(one.message_id, one.person.id)] = "This interaction failed"
        one.done.set()

    def expire(self, one: Interaction) -> None:
        """Let an interaction fail that nobody answered in time."""
        if one.outcome is Outcome.PENDING:
            told = "nobody is connected" if one.through is None else f"no answer by {one.through}"
            self.fail(one, f"{told} within {self._first_answer_seconds:g} s")

    def find(self, interaction_id: str, token: str) -> Interaction:
        """Return a pending interaction that may still be answered; raise 10062 or 40060."""
        one = self._known.get(interaction_id)
        if one is None or one.token != token:
            raise unknown_interaction()
        if one.outcome is Outcome.ANSWERED:
            raise already_acknowledged()
        self._expire_by_clock(one)
        if one.outcome is Outcome.FAILED:
            raise unknown_interaction()
        return one

    def answer(self, one: Interaction, body: dict[str, Any], uploads: dict[int, Upload]) -> None:
        """Take the first answer to a pending interaction."""
        callback = self._callback(one, body.get("type"))
        data = body.get("data")
        if data is not None and not isinstance(data, dict):
            form = Form()
            form.table(data, ("data",))
            form.require()
        self._apply(one, callback, data or {}, uploads)
        one.callback, one.answered = callback, self._seconds()
        one.outcome = Outcome.ANSWERED
        one.done.set()

    def by_token(self, application_id: str, token: str) -> Interaction:
        """Return an answered interaction by its webhook; raise 50027 or 10015."""
        one = self._by_token.get(token)
        if one is None or application_id != self._place.application_id:
            raise invalid_webhook_token()
        if self._seconds() - one.created > self._token_seconds:
            raise invalid_webhook_token()
        if one.outcome is not Outcome.ANSWERED:
            raise unknown_webhook()
        return one

    def response(self, one: Interaction, message_id: str) -> Message:
        """Return `@original` or a follow-up of an interaction; raise 10008."""
        wanted = one.response_id if message_id == "@original" else message_id
        message = None if wanted is None else self._channels.find(wanted)
        if message is None or wanted not in (one.response_id, *one.followups):
            raise unknown_message()
        return message

    def edit(self, message: Message, body: dict[str, Any], uploads: dict[int, Upload]) -> Message:
        """Edit a response, or put it in the place of "is thinking"."""
        draft = read_draft(body, uploads, second_version=message.second_version)
        return self._channels.edit(message, draft, uploads)

    def follow_up(
        self, one: Interaction, body: dict[str, Any], uploads: dict[int, Upload]
    ) -> Message:
        """Send a further answer; the first one after a deferral takes the deferral's place."""
        draft = read_draft(body, uploads)
        original = None if one.response_id is None else self._channels.find(one.response_id)
        if original is not None and original.flags & LOADING:
            return self._channels.edit(original, draft, uploads)
        message = self._send(one, draft, uploads)
        one.followups.append(message.id)
        return message

    def _expire_by_clock(self, one: Interaction) -> None:
        if self._seconds() - one.created > self._first_answer_seconds:
            self.expire(one)

    def _callback(self, one: Interaction, value: object) -> Callback:
        allowed = [Callback.MESSAGE, Callback.DEFERRED_MESSAGE]
        if one.kind is InteractionKind.PING:
            allowed = [Callback.PONG]
        elif one.message_id is not None:
            allowed += [Callback.DEFERRED_UPDATE, Callback.UPDATE]
        if one.kind in (InteractionKind.COMMAND, InteractionKind.COMPONENT):
            allowed.append(Callback.MODAL)
        if value not in [int(kind) for kind in allowed] or isinstance(value, bool):
            form = Form()
            said = f"Value must be one of {{{', '.join(str(int(kind)) for kind in allowed)}}}."
            form.wrong(("type",), "BASE_TYPE_CHOICES", said)
            form.require()
        return Callback(int(str(value)))

    def _apply(
        self,
        one: Interaction,
        callback: Callback,
        data: dict[str, Any],
        uploads: dict[int, Upload],
    ) -> None:
        if callback is Callback.MODAL:
            form = Form()
            modal = read_modal(form, data)
            form.require()
            one.modal = modal
        elif callback is Callback.DEFERRED_MESSAGE:
            flags = LOADING | (int(data.get("flags") or 0) & EPHEMERAL)
            message = Message(self._ids.next(), one.channel_id, self._channels.stamp(), flags=flags)
            one.response_id = self._keep(one, message).id
        elif callback is Callback.MESSAGE:
            draft = read_draft(data, uploads, path=("data",))
            one.response_id = self._send(one, draft, uploads).id
        elif callback is Callback.UPDATE:
            message = self._message_of(one)
            known = message.second_version
            draft = read_draft(data, uploads, second_version=known, path=("data",))
            one.response_id = self._channels.edit(message, draft, uploads).id
        elif callback is Callback.DEFERRED_UPDATE:
            one.response_id = one.message_id

    def _message_of(self, one: Interaction) -> Message:
        message = None if one.message_id is None else self._channels.find(one.message_id)
        if message is None:
            raise unknown_message()
        return message

    def _send(self, one: Interaction, draft: Draft, uploads: dict[int, Upload]) -> Message:
        flags = (draft.flags or 0) & EPHEMERAL
        message = self._channels.compose(one.channel_id, draft, uploads, flags=flags)
        return self._keep(one, message)

    def _keep(self, one: Interaction, message: Message) -> Message:
        message.interaction = one.metadata
        if message.flags & EPHEMERAL:
            ephemeral(message, one.person.id)
        return self._channels.keep(message, "MESSAGE_CREATE")


def told(one: Interaction, message: Message | None, view: dict[str, Any] | None) -> dict[str, Any]:
    """Return the answer to a callback that asked for one."""
    said: dict[str, Any] = {"id": one.id, "type": int(one.kind)}
    if message is not None:
        said |= {
            "response_message_id": message.id,
            "response_message_loading": bool(message.flags & LOADING),
            "response_message_ephemeral": bool(message.flags & EPHEMERAL),
        }
    answer: dict[str, Any] = {"interaction": said}
    # The published specification knows a resource of these two kinds only.
    if one.callback in (Callback.MESSAGE, Callback.UPDATE) and view is not None:
        answer["resource"] = {"type": int(one.callback), "message": view}
    return answer


def refusal_of(error: Refused) -> str:
    """Say in a line why an answer was refused."""
    return f"the answer was refused: {error.body}"
