"""A message of a kind that has no card of its own: its facts, as a table of two columns."""

from collections.abc import Mapping
from typing import Any

from mahler_pipelines.cards.message import Colour, Embed, Field, Message
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import DASH, spelled

VALUE_LENGTH = 200


def note(kind: str, facts: Mapping[str, Any], *, footer: str, colour: Colour) -> Message:
    """Show facts under their names; nested ones are spelled out."""
    fields = tuple(
        Field(spelled(name), cut(plain(_text(value)), VALUE_LENGTH) or DASH)
        for name, value in facts.items()
    )
    title = spelled(kind).capitalize()
    return Message(embeds=(Embed(title=title, fields=fields, footer=footer, colour=colour),))


def _text(value: Any) -> str:
    if value is None:
        return DASH
    if isinstance(value, Mapping):
        return ", ".join(f"{spelled(str(name))} {_text(of)}" for name, of in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value) or DASH
    return str(value)
