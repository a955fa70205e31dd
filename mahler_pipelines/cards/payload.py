"""Messages and modals in Discord's JSON."""

from typing import Any

from mahler_pipelines.cards.message import (
    INPUT_LIMIT,
    LABEL_LIMIT,
    MODAL_TITLE_LIMIT,
    Button,
    Embed,
    Message,
    Modal,
    TextInput,
    fitted,
)
from mahler_pipelines.cards.text import cut

_ACTION_ROW, _BUTTON, _TEXT_INPUT, _LABEL = 1, 2, 4, 18
_SHORT, _PARAGRAPH = 1, 2
_INPUT_LABEL_LIMIT = 45
NO_MENTIONS: dict[str, Any] = {"parse": []}


def message_payload(message: Message) -> dict[str, Any]:
    """A message's body for creating or editing it: cut to the limits, and nobody is pinged.

    Every part is named, so that an edit leaves nothing of what stood there before; attachments are
    the sender's to add, and an edit without them keeps those of the message.
    """
    shown = fitted(message)
    return {
        "content": shown.content,
        "embeds": [_embed(embed) for embed in shown.embeds],
        "components": [
            {"type": _ACTION_ROW, "components": [_button(button) for button in row]}
            for row in shown.rows
        ],
        "allowed_mentions": NO_MENTIONS,
    }


def modal_payload(modal: Modal) -> dict[str, Any]:
    """A modal's body: each input under a label."""
    return {
        "custom_id": modal.custom_id,
        "title": cut(modal.title, MODAL_TITLE_LIMIT),
        "components": [
            {
                "type": _LABEL,
                "label": cut(box.label, _INPUT_LABEL_LIMIT),
                "component": _text_input(box),
            }
            for box in modal.inputs
        ],
    }


def _embed(embed: Embed) -> dict[str, Any]:
    body: dict[str, Any] = {"title": embed.title, "color": int(embed.colour)}
    if embed.description:
        body["description"] = embed.description
    if embed.fields:
        body["fields"] = [
            {"name": field.name, "value": field.value, "inline": field.inline}
            for field in embed.fields
        ]
    if embed.footer:
        body["footer"] = {"text": embed.footer}
    if embed.picture:
        body["image"] = {"url": f"attachment://{embed.picture}"}
    if embed.at is not None:
        body["timestamp"] = embed.at.isoformat()
    return body


def _button(button: Button) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": _BUTTON,
        "style": int(button.style),
        "label": cut(button.label, LABEL_LIMIT),
        "custom_id": button.custom_id,
    }
    if button.emoji:
        body["emoji"] = {"name": button.emoji}
    return body


def _text_input(box: TextInput) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": _TEXT_INPUT,
        "custom_id": box.custom_id,
        "style": _PARAGRAPH if box.paragraph else _SHORT,
        "required": box.required,
        "max_length": min(box.max_length, INPUT_LIMIT),
    }
    if box.value:
        body["value"] = cut(box.value, min(box.max_length, INPUT_LIMIT))
    if box.placeholder:
        body["placeholder"] = cut(box.placeholder, 100)
    return body
