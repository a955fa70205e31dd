"""How a message of ours is known again: its nonce for minutes, its mark for ever."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

from mahler_pipelines.cards.message import CONTENT_LIMIT, Message
from mahler_pipelines.cards.payload import message_payload
from mahler_pipelines.cards.text import cut
from mahler_pipelines.messaging.notifier import SentMessage

NONCE_LENGTH = 25
MARK_LENGTH = 10
FOOTER_LENGTH = 200
"""Of a footer before its mark: short, so that it is never what a message is shortened by."""


def nonce(account_id: str, key: str) -> str:
    """What makes a second sending of the same message find the first, for a few minutes."""
    return _digest(f"{account_id}|{key}")[:NONCE_LENGTH]


def mark(account_id: str, key: str) -> str:
    """What stands in the footer of a message, so that it is found in the channel later."""
    return "#" + _digest(f"mark|{account_id}|{key}")[:MARK_LENGTH]


def marked(message: Message, sign: str) -> Message:
    """Put the mark into the footer of the last embed; a message without embeds gets it as text.

    What stands before it is cut, so that no limit takes the mark off.
    """
    if not message.embeds:
        end = f"\n-# {sign}"
        content = cut(message.content, CONTENT_LIMIT - len(end)) if message.content else ""
        return replace(message, content=f"{content}{end}".strip())
    last = message.embeds[-1]
    footer = f"{cut(last.footer, FOOTER_LENGTH)} · {sign}" if last.footer else sign
    return replace(message, embeds=(*message.embeds[:-1], replace(last, footer=footer)))


def with_mark(messages: Iterable[SentMessage], sign: str) -> SentMessage | None:
    """The message of a bot that carries the mark, of those that were read from the channel.

    What people write can carry any text.
    """
    for message in messages:
        if not (message.raw.get("author") or {}).get("bot"):
            continue
        embeds = message.raw.get("embeds") or []
        footers = [(embed.get("footer") or {}).get("text", "") for embed in embeds]
        if any(text.endswith(sign) for text in [*footers, message.raw.get("content") or ""]):
            return message
    return None


def shown_hash(message: Message) -> str:
    """SHA-256 of what a message shows; pictures, which an edit leaves alone, do not count."""
    body = json.dumps(message_payload(message), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(body.encode()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
