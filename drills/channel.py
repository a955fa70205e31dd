"""What stands in a Discord channel, held against what the ledger says should stand there."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.messaging.courier import Renderer
from mahler_pipelines.messaging.ledger import CardRecord, MessagingLedger
from mahler_pipelines.messaging.marks import mark, marked

Raw = dict[str, Any]


def shows(raw: Raw, wanted: Raw) -> bool:
    """Whether a message in the channel shows a payload: its words, colours, fields and buttons."""
    return _look(raw) == _look(wanted)


def is_true(raw: Raw, renderer: Renderer, ledger: MessagingLedger, card: CardRecord) -> bool:
    """Whether a card shows the ledger's state, whatever its own record says."""
    message = renderer.card(ledger, card).message
    return shows(raw, message_payload(marked(message, mark(ledger.account_id, card.key))))


def marks_in(messages: Iterable[Raw]) -> Counter[str]:
    """How often each mark stands in the channel."""
    return Counter(mark_of(raw) for raw in messages)


def mark_of(raw: Raw) -> str:
    """The mark of a message; empty where it has none."""
    footers = [(embed.get("footer") or {}).get("text", "") for embed in raw["embeds"]]
    last = (footers[-1] if footers else raw["content"]).rpartition("#")
    return f"#{last[2]}" if last[1] else ""


def _look(raw: Raw) -> tuple[Any, ...]:
    embeds = [
        (
            embed.get("title"),
            embed.get("description"),
            embed.get("color"),
            (embed.get("footer") or {}).get("text"),
            [(one["name"], one["value"]) for one in embed.get("fields") or ()],
        )
        for embed in raw["embeds"]
    ]
    buttons = [one["custom_id"] for row in raw["components"] for one in row["components"]]
    return raw["content"], embeds, buttons
