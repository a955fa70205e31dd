"""Embeds: their limits, and their form in an answer."""

from typing import Any

from mahler_pipelines.local_discord.refusals import Form, Path

MOST_EMBEDS = 10
MOST_FIELDS = 25
MOST_CHARACTERS = 6000
"""Of all embeds of a message together: titles, descriptions, fields, footers and authors."""

_WEB = ("http", "https")
_PICTURE = (*_WEB, "attachment")


def read_embeds(form: Form, value: object, path: Path) -> list[dict[str, Any]]:
    """Read a message's embeds into the form of an answer; note what breaks a limit."""
    found = form.items(value, path, most=MOST_EMBEDS)
    embeds = [_embed(form, one, (*path, place)) for place, one in enumerate(found)]
    if sum(map(_characters, embeds)) > MOST_CHARACTERS:
        said = f"Embed size exceeds maximum size of {MOST_CHARACTERS}"
        form.wrong(path, "MAX_EMBED_SIZE_EXCEEDED", said)
    return embeds


def pictures(embed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the places of an embed that show a picture by `url`."""
    return [embed[name] for name in ("image", "thumbnail") if name in embed]


def _embed(form: Form, value: object, path: Path) -> dict[str, Any]:
    raw = form.table(value, path)
    embed: dict[str, Any] = {
        "title": _trimmed(form.text(raw.get("title"), (*path, "title"), most=256)),
        "description": _trimmed(
            form.text(raw.get("description"), (*path, "description"), most=4096)
        ),
        "url": form.address(raw.get("url"), (*path, "url"), schemes=_WEB),
        "color": form.number(raw.get("color"), (*path, "color"), least=0, most=0xFFFFFF),
        "timestamp": form.text(raw.get("timestamp"), (*path, "timestamp"), most=64),
        "fields": _fields(form, raw.get("fields"), (*path, "fields")),
        "author": _named(form, raw.get("author"), (*path, "author"), name="name", most=256),
        "footer": _named(form, raw.get("footer"), (*path, "footer"), name="text", most=2048),
        "image": _picture(form, raw.get("image"), (*path, "image")),
        "thumbnail": _picture(form, raw.get("thumbnail"), (*path, "thumbnail")),
    }
    shown = {name: part for name, part in embed.items() if part not in (None, "", [])}
    if not shown.keys() - {"color", "timestamp", "url"}:
        form.wrong((*path, "description"), "BASE_TYPE_REQUIRED", "This field is required")
    return {"type": "rich"} | shown


def _fields(form: Form, value: object, path: Path) -> list[dict[str, Any]]:
    fields = []
    for place, one in enumerate(form.items(value, path, most=MOST_FIELDS)):
        here = (*path, place)
        raw = form.table(one, here)
        name = form.text(raw.get("name"), (*here, "name"), most=256, required=True)
        text = form.text(raw.get("value"), (*here, "value"), most=1024, required=True)
        inline = bool(raw.get("inline", False))
        fields.append({"name": _trimmed(name), "value": _trimmed(text), "inline": inline})
    return fields


def _named(form: Form, value: object, path: Path, *, name: str, most: int) -> dict[str, Any] | None:
    """An author or a footer: a text, and perhaps an icon and a link."""
    if value is None:
        return None
    raw = form.table(value, path)
    text = _trimmed(form.text(raw.get(name), (*path, name), most=most, required=True))
    links = {
        key: form.address(raw.get(key), (*path, key), schemes=_PICTURE)
        for key in ("url", "icon_url")
        if raw.get(key) is not None
    }
    return {name: text, **links}


def _picture(form: Form, value: object, path: Path) -> dict[str, Any] | None:
    if value is None:
        return None
    raw = form.table(value, path)
    if not raw.get("url"):
        return None
    return {"url": form.address(raw["url"], (*path, "url"), schemes=_PICTURE)}


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.strip()


def _characters(embed: dict[str, Any]) -> int:
    """What counts towards the limit of all embeds together."""
    texts = [
        embed.get("title"),
        embed.get("description"),
        embed.get("author", {}).get("name"),
        embed.get("footer", {}).get("text"),
        *(part for one in embed.get("fields", []) for part in (one["name"], one["value"])),
    ]
    return sum(len(text) for text in texts if text)
