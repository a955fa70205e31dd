"""What every view is held to: Discord's schema and limits, no ping, the same for the same state."""

import json
from typing import Any

from mahler_pipelines.cards.custom_ids import parse_custom_id
from mahler_pipelines.cards.message import EMBED_TEXT_LIMIT, Message, fitted
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.cards.reports import TABLE_WIDTH
from mahler_pipelines.messaging.marks import shown_hash
from tests.discord_gate import discord_gate

CREATE = "/api/v10/channels/1/messages"
EDIT = "/api/v10/channels/1/messages/2"
EVIL = "@everyone <@1> <@&2> ```x``` `y` **z** https://evil.example [a](b)\n# heading"
"""Text of a model or a market that would ping, link and break the markup."""
_HARM = ("@everyone", "<@1>", "<@&2>", "```x", "`y`", "**z**", "https://evil", "[a](b)", "\n# h")


def conforming(message: Message) -> dict[str, Any]:
    """The body of a message, after Discord's published schema has found nothing against it."""
    body = message_payload(message)
    assert discord_gate().request("POST", CREATE, body) == []
    assert discord_gate().request("PATCH", EDIT, body) == []
    assert sum(embed.length for embed in fitted(message).embeds) <= EMBED_TEXT_LIMIT
    assert body["allowed_mentions"] == {"parse": []}
    for row in message.rows:
        for button in row:
            parse_custom_id(button.custom_id)
    _fits_a_phone(texts(message))
    assert len(shown_hash(message)) == 64
    return body


def texts(message: Message) -> str:
    """Everything that is read of a message."""
    parts = [message.content]
    for embed in message.embeds:
        parts += [embed.title, embed.description, embed.footer]
        parts += [text for field in embed.fields for text in (field.name, field.value)]
    return "\n".join(parts)


def field(message: Message, name: str) -> str:
    """The value of the field whose name begins so."""
    (found,) = [f.value for e in message.embeds for f in e.fields if f.name.startswith(name)]
    return found


def labels(message: Message) -> list[str]:
    """What can be pressed."""
    return [button.label for row in message.rows for button in row]


def harmless(message: Message) -> None:
    """Nothing of `EVIL` does what it says."""
    shown = json.dumps(message_payload(message), ensure_ascii=False).replace("\\n", "\n")
    assert [harm for harm in _HARM if harm in shown] == []


def _fits_a_phone(text: str) -> None:
    """Tables do not break their lines where a phone shows them; every fence is closed."""
    parts = text.split("```")
    assert len(parts) % 2 == 1
    wide = [line for fence in parts[1::2] for line in fence.splitlines() if len(line) > TABLE_WIDTH]
    assert wide == []
