"""Text on a card: what models and markets wrote can neither ping nor break the markup, and fits."""

import re
import unicodedata

ELLIPSIS = "…"
ZERO_WIDTH_SPACE = "\u200b"

_MARKUP = re.compile(r"([\\*_~`|>\[\]()])")
_LINE_MARKUP = re.compile(r"^(\s*)(#{1,3}|-#|[-+]|\d+\.)(?=\s)", re.MULTILINE)
_PINGS = re.compile(r"[@<]")
_ADDRESS = re.compile(r"(?i)\b(https?|discord|ftp)(:)")
_SENTENCE_END = re.compile(r"[.!?…](?=\s)")


def plain(text: str) -> str:
    """Make text of a model or a market mean itself in Discord's markdown, and nothing more.

    Markup is escaped, mentions and addresses are broken by a zero-width space, control characters
    (also those that turn the direction of writing) are dropped; newlines and tabs stay.
    """
    kept = "".join(
        sign
        for sign in text.replace("\r\n", "\n").replace("\r", "\n")
        if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Co", "Cs")
    )
    marked = _MARKUP.sub(r"\\\1", kept)
    marked = _LINE_MARKUP.sub(r"\1\\\2", marked)
    marked = _ADDRESS.sub(rf"\1{ZERO_WIDTH_SPACE}\2", marked)
    return _PINGS.sub(lambda found: found[0] + ZERO_WIDTH_SPACE, marked)


def cut(text: str, limit: int) -> str:
    """Shorten text to `limit` characters where a person would: after a sentence, else a word.

    Nothing is cut inside an escape, and a code fence that was open is closed. Raises `ValueError`
    for a limit below one.
    """
    if limit < 1:
        raise ValueError(f"limit {limit} leaves no room")
    if len(text) <= limit:
        return text
    fence = "\n```"
    room = limit - len(ELLIPSIS)
    head = _whole_words(text[: max(room, 0)], following=text[room : room + 1])
    if head.count("```") % 2:
        head = _whole_words(text[: max(room - len(fence), 0)], following="x")
        return head + ELLIPSIS + fence if head.count("```") % 2 else head + ELLIPSIS
    return head + ELLIPSIS


def _whole_words(head: str, *, following: str) -> str:
    """The end of the last sentence in the second half of the room, else of the last word."""
    sentences = [found.end() for found in _SENTENCE_END.finditer(head)]
    if sentences and sentences[-1] >= len(head) // 2:
        return head[: sentences[-1]] + " "
    if following and not following.isspace():
        space = max(head.rfind(" "), head.rfind("\n"))
        if space >= len(head) // 2:
            head = head[:space]
    head = head.rstrip()
    escapes = len(head) - len(head.rstrip("\\"))
    return head[:-1] if escapes % 2 else head
