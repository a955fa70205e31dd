"""An interaction as it comes from Discord, read by our own tolerant model."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mahler_pipelines.errors import BadInput


class InteractionKind(IntEnum):
    """What a person did."""

    PING = 1
    COMMAND = 2
    COMPONENT = 3
    MODAL = 5


@dataclass(frozen=True, slots=True)
class Interaction:
    """A click, a sent modal or a slash command, with who did it and where.

    `custom_id` is the button's or the modal's, `values` the modal's inputs by custom id, `command`
    and `options` the slash command's. `message_id` is the card's, where there is one.
    """

    id: str
    kind: InteractionKind
    token: str = field(repr=False)
    application_id: str
    guild_id: str
    channel_id: str
    user_id: str
    user_name: str
    role_ids: tuple[str, ...]
    message_id: str = ""
    custom_id: str = ""
    values: tuple[tuple[str, str], ...] = ()
    command: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str:
        """The text of a modal's input or of a command's option; empty where there is none."""
        return dict((*self.values, *self.options)).get(name, "").strip()


_ID = r"^[0-9]{1,20}$"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _User(_Wire):
    id: str = Field(pattern=_ID)
    username: str = Field(default="", max_length=200)
    global_name: str | None = Field(default=None, max_length=200)


class _Member(_Wire):
    user: _User
    roles: list[str] = Field(default_factory=list, max_length=500)
    nick: str | None = Field(default=None, max_length=200)


class _Message(_Wire):
    id: str = Field(pattern=_ID)


class _Data(_Wire):
    custom_id: str = Field(default="", max_length=200)
    name: str = Field(default="", max_length=100)
    components: list[dict[str, Any]] = Field(default_factory=list, max_length=40)
    options: list[dict[str, Any]] = Field(default_factory=list, max_length=40)


class _Interaction(_Wire):
    id: str = Field(pattern=_ID)
    type: int = Field(strict=True)
    application_id: str = Field(pattern=_ID)
    token: str = Field(min_length=1, max_length=2000)
    guild_id: str | None = Field(default=None, pattern=_ID)
    channel_id: str | None = Field(default=None, pattern=_ID)
    member: _Member | None = None
    user: _User | None = None
    message: _Message | None = None
    data: _Data | None = None


def read_interaction(raw: object) -> Interaction:
    """Read an interaction's JSON; unknown members are let pass.

    Raises `BadInput` for what is no interaction, without the text that was sent.
    """
    try:
        wire = _Interaction.model_validate(raw)
        kind = InteractionKind(wire.type)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise BadInput("interaction", place, first["msg"]) from None
    except ValueError:
        raise BadInput("interaction", "type", "is none that we know") from None
    user = wire.member.user if wire.member else wire.user
    if user is None and kind is not InteractionKind.PING:
        raise BadInput("interaction", "user", "nobody is named")
    data = wire.data or _Data()
    named = (wire.member.nick if wire.member else None) or (
        (user.global_name or user.username) if user else ""
    )
    return Interaction(
        id=wire.id,
        kind=kind,
        token=wire.token,
        application_id=wire.application_id,
        guild_id=wire.guild_id or "",
        channel_id=wire.channel_id or "",
        user_id=user.id if user else "",
        user_name=named,
        role_ids=tuple(wire.member.roles) if wire.member else (),
        message_id=wire.message.id if wire.message else "",
        custom_id=data.custom_id,
        values=tuple(_inputs(data.components)),
        command=data.name,
        options=tuple(_options(data.options)),
    )


def _inputs(components: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Text inputs under labels, and under the action rows of older clients."""
    return [
        (box["custom_id"], _storable(box.get("value") or ""))
        for outer in components
        for box in [outer.get("component"), *_listed(outer.get("components"))]
        if isinstance(box, dict) and isinstance(box.get("custom_id"), str)
    ]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _options(options: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (option["name"], _storable(option.get("value", "")))
        for option in options
        if isinstance(option.get("name"), str)
    ]


def _storable(value: object) -> str:
    """As text without what no database takes: half of a surrogate pair, and NUL."""
    return str(value).encode(errors="replace").decode().replace("\0", "")
