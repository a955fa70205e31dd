"""Discord's markup as HTML. Text is escaped first and always: models and markets write it."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape

from mahler_pipelines.local_discord.people import Place

_TEXT = r"((?:\\.|[^\\])+?)"
_RULES: tuple[tuple[str, str], ...] = (
    ("escaped", r"\\([^\w\s])"),
    ("code", r"`{1,2}([^`]+)`{1,2}"),
    ("strong_em", rf"\*\*\*{_TEXT}\*\*\*"),
    ("strong", rf"\*\*{_TEXT}\*\*"),
    ("u", rf"__{_TEXT}__"),
    ("s", rf"~~{_TEXT}~~"),
    ("spoiler", rf"\|\|{_TEXT}\|\|"),
    ("em", rf"\*(?!\s){_TEXT}(?<!\s)\*"),
    ("em_too", rf"(?<!\w)_{_TEXT}_(?!\w)"),
    ("moment", r"<t:(\d{1,12})(?::[tTdDfFR])?>"),
    ("user", r"<@!?(\d+)>"),
    ("role", r"<@&(\d+)>"),
    ("channel", r"<#(\d+)>"),
    ("all", r"(@everyone|@here)\b"),
    ("link", r"\[([^\]\n]+)\]\(<?(https?://[^\s)>]+)>?\)"),
    ("address", r"(https?://[^\s<>]+)"),
)
_INLINE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _RULES), re.DOTALL)
_BLOCK = re.compile(r"```(?:[a-z]+\n)?\n?(.+?)\n?```", re.DOTALL)
_LINES = (
    ("### ", "h5"),
    ("## ", "h4"),
    ("# ", "h3"),
    ("-# ", "small"),
    (">>> ", "blockquote"),
    ("> ", "blockquote"),
    ("- ", "li"),
    ("* ", "li"),
)


class Html(str):
    """Text that is HTML already; templates take it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def render(text: str, place: Place) -> Html:
    """Return a text as HTML that holds nothing but what the markup makes."""
    parts: list[str] = []
    last = 0
    for found in _BLOCK.finditer(text):
        parts += [_lines(text[last : found.start()], place), f"<pre>{escape(found[1])}</pre>"]
        last = found.end()
    parts.append(_lines(text[last:], place))
    return Html("".join(parts))


def _lines(text: str, place: Place) -> str:
    lines = []
    for line in text.strip("\n").split("\n") if text.strip("\n") else []:
        for start, tag in _LINES:
            if line.startswith(start):
                lines.append(f"<{tag}>{_inline(line[len(start) :], place)}</{tag}>")
                break
        else:
            lines.append(f"{_inline(line, place)}<br>")
    return "".join(lines).removesuffix("<br>")


def _inline(text: str, place: Place) -> str:
    made: list[str] = []
    last = 0
    for found in _INLINE.finditer(text):
        made.append(escape(text[last : found.start()]))
        made.append(_element(found, place))
        last = found.end()
    return "".join([*made, escape(text[last:])])


def _element(found: re.Match[str], place: Place) -> str:
    name = str(found.lastgroup)
    groups = found.groups()
    at = list(_INLINE.groupindex.values())[list(_INLINE.groupindex).index(name)]
    inner, rest = groups[at] or "", groups[at + 1 : at + 2]
    if name in _PLAIN:
        return _PLAIN[name](inner, place)
    if name == "link":
        return _link(rest[0] or "", _inline(inner, place))
    tag = name.removesuffix("_too")
    if tag == "strong_em":
        return f"<strong><em>{_inline(inner, place)}</em></strong>"
    if tag == "spoiler":
        return f'<span class="spoiler" tabindex="0">{_inline(inner, place)}</span>'
    return f"<{tag}>{_inline(inner, place)}</{tag}>"


def _link(url: str, shown: str) -> str:
    return f'<a href="{escape(url)}" rel="noopener noreferrer" target="_blank">{shown}</a>'


def _mention(kind: str, names: Callable[[Place], dict[str, str]]) -> Callable[[str, Place], str]:
    def mention(identifier: str, place: Place) -> str:
        shown = names(place).get(identifier, f"unknown-{identifier}")
        return f'<span class="mention">{kind}{escape(shown)}</span>'

    return mention


def _moment(text: str, _: Place) -> str:
    seconds = int(text)
    try:
        stamp = datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return escape(f"<t:{text}>")
    return f'<time datetime="{stamp}">{relative(seconds - time.time())}</time>'


def relative(seconds: float) -> str:
    """Say how far away a moment is, as Discord's `R` does."""
    sizes = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    away = abs(seconds)
    size, unit = next((one for one in sizes if away >= one[0]), sizes[-1])
    count = round(away / size)
    said = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {said}" if seconds > 0 else f"{said} ago"


def _people(place: Place) -> dict[str, str]:
    return {one: place.user(one)["username"] for one in (*place.people, place.application_id)}


_PLAIN: dict[str, Callable[[str, Place], str]] = {
    "escaped": lambda text, _: escape(text),
    "code": lambda text, _: f"<code>{escape(text)}</code>",
    "moment": _moment,
    "user": _mention("@", _people),
    "role": _mention("@", lambda place: place.roles),
    "channel": _mention("#", lambda place: place.channels),
    "all": lambda text, _: f'<span class="mention">{escape(text)}</span>',
    "address": lambda text, _: _link(text, escape(text)),
}
