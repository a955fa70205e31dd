"""A message as the desk thinks of it: embeds, buttons and pictures, within Discord's limits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from mahler_pipelines.cards.text import cut

CONTENT_LIMIT = 2000
TITLE_LIMIT = 256
DESCRIPTION_LIMIT = 4096
FIELD_COUNT_LIMIT = 25
FIELD_NAME_LIMIT = 256
FIELD_VALUE_LIMIT = 1024
FOOTER_LIMIT = 2048
EMBEDS_LIMIT = 10
EMBED_TEXT_LIMIT = 6000
"""Sum of all text over all embeds of a message; Discord's schema cannot say it."""
LABEL_LIMIT = 80
CUSTOM_ID_LIMIT = 100
BUTTONS_PER_ROW = 5
ROWS_LIMIT = 5
MODAL_TITLE_LIMIT = 45
INPUT_LIMIT = 4000

_SHORTEST_FIELD = 80


class Colour(IntEnum):
    """The bar beside an embed: what kind of news it is."""

    WAITING = 0x3B6FB6
    GOOD = 0x2F9E66
    BAD = 0xC2452D
    WARNING = 0xE0A126
    QUIET = 0x8A8F98


class ButtonStyle(IntEnum):
    """How a button looks, in Discord's numbers."""

    PRIMARY = 1
    SECONDARY = 2
    SUCCESS = 3
    DANGER = 4


@dataclass(frozen=True, slots=True)
class Field:
    """A name and a value; several inline ones share a row."""

    name: str
    value: str
    inline: bool = True


@dataclass(frozen=True, slots=True)
class Embed:
    """One block. `picture` names a picture of the same message, shown below the fields."""

    title: str
    description: str = ""
    colour: Colour = Colour.QUIET
    fields: tuple[Field, ...] = ()
    footer: str = ""
    picture: str = ""
    at: datetime | None = None

    @property
    def length(self) -> int:
        """Characters that count towards the limit of a message."""
        texts = [self.title, self.description, self.footer]
        texts += [part for field in self.fields for part in (field.name, field.value)]
        return sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press; `custom_id` says what and about which subject."""

    custom_id: str
    label: str
    style: ButtonStyle = ButtonStyle.SECONDARY
    emoji: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG that goes with a message; `description` is read to who cannot see it."""

    name: str
    png: bytes
    description: str


@dataclass(frozen=True, slots=True)
class Message:
    """Everything that is shown at once. An empty `content` is fine where there is an embed."""

    content: str = ""
    embeds: tuple[Embed, ...] = ()
    rows: tuple[tuple[Button, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class TextInput:
    """One box of a modal."""

    custom_id: str
    label: str
    value: str = ""
    placeholder: str = ""
    required: bool = False
    paragraph: bool = False
    max_length: int = 200


@dataclass(frozen=True, slots=True)
class Modal:
    """A form that opens on a click; its answer is an interaction of its own."""

    custom_id: str
    title: str
    inputs: tuple[TextInput, ...]


def fitted(message: Message) -> Message:
    """Cut a message to Discord's limits where a person would; what fits stays as it is.

    Each part is cut to its own limit first. While the embeds are too long together, the longest
    field or description of the last embed that can spare something gives way. Raises `ValueError`
    for what cutting can't help: too many rows or buttons, an unknown picture, a custom id that is
    too long, empty or there twice.
    """
    _check_buttons(message.rows)
    _check_pictures(message)
    embeds = tuple(_fitted_embed(embed) for embed in message.embeds[:EMBEDS_LIMIT])
    while (excess := sum(embed.length for embed in embeds) - EMBED_TEXT_LIMIT) > 0:
        embeds = _shortened(embeds, excess)
    return replace(
        message,
        content=cut(message.content, CONTENT_LIMIT),
        embeds=embeds,
        rows=tuple(tuple(_fitted_button(b) for b in row) for row in message.rows if row),
    )


def _fitted_embed(embed: Embed) -> Embed:
    fields = list(embed.fields)
    if len(fields) > FIELD_COUNT_LIMIT:
        left_out = len(fields) - FIELD_COUNT_LIMIT + 1
        fields = [
            *fields[: FIELD_COUNT_LIMIT - 1],
            Field("…", f"and {left_out} more", inline=False),
        ]
    return replace(
        embed,
        title=cut(embed.title, TITLE_LIMIT),
        description=cut(embed.description, DESCRIPTION_LIMIT),
        footer=cut(embed.footer, FOOTER_LIMIT),
        fields=tuple(
            Field(
                cut(field.name, FIELD_NAME_LIMIT) or "\u200b",
                cut(field.value, FIELD_VALUE_LIMIT) or "\u200b",
                field.inline,
            )
            for field in fields
        ),
    )


def _fitted_button(button: Button) -> Button:
    return replace(button, label=cut(button.label, LABEL_LIMIT))


def _shortened(embeds: tuple[Embed, ...], excess: int) -> tuple[Embed, ...]:
    """Take up to `excess` characters from the longest text of the longest embed."""
    place = max(range(len(embeds)), key=lambda index: embeds[index].length)
    embed = embeds[place]
    longest = max(embed.fields, key=lambda field: len(field.value), default=None)
    if longest is not None and len(longest.value) > max(len(embed.description), _SHORTEST_FIELD):
        value = cut(longest.value, max(len(longest.value) - excess, _SHORTEST_FIELD))
        fields = tuple(replace(f, value=value) if f is longest else f for f in embed.fields)
        shorter = replace(embed, fields=fields)
    elif embed.description:
        room = len(embed.description) - excess
        shorter = replace(embed, description=cut(embed.description, room) if room > 0 else "")
    elif embed.fields:
        shorter = replace(embed, fields=embed.fields[:-1])
    else:
        shorter = replace(embed, footer="")
    return (*embeds[:place], shorter, *embeds[place + 1 :])


def _check_buttons(rows: Sequence[Sequence[Button]]) -> None:
    if len(rows) > ROWS_LIMIT or any(len(row) > BUTTONS_PER_ROW for row in rows):
        raise ValueError(f"more than {ROWS_LIMIT} rows of {BUTTONS_PER_ROW} buttons")
    names = [button.custom_id for row in rows for button in row]
    if len(set(names)) != len(names):
        raise ValueError(f"a custom id is there twice: {sorted(names)}")
    wrong = [name for name in names if not 1 <= len(name) <= CUSTOM_ID_LIMIT]
    if wrong:
        raise ValueError(f"custom ids must have 1 to {CUSTOM_ID_LIMIT} characters: {wrong}")


def _check_pictures(message: Message) -> None:
    known = {picture.name for picture in message.pictures}
    wanted = {embed.picture for embed in message.embeds if embed.picture}
    if not message.pictures or wanted <= known:
        return
    raise ValueError(f"no such picture: {', '.join(sorted(wanted - known))}")
