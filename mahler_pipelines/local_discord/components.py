"""Components of a message: buttons, selects and the second version's layout; their limits.

Not offered, and refused as an unknown type: file components, selects of users, roles and channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mahler_pipelines.local_discord.refusals import Form, Path

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SECTION, TEXT, THUMBNAIL, GALLERY, SEPARATOR, CONTAINER, LABEL = 9, 10, 11, 12, 14, 17, 18
LINK_STYLE = 5
MOST_ROWS = 5
MOST_IN_ROW = 5
MOST_IN_ALL = 40
MOST_TEXT = 4000
"""Characters of all text displays of a message together."""

_TOP_OF_CONTAINER = (ACTION_ROW, SECTION, TEXT, GALLERY, SEPARATOR)
_TOLD_AS_NULL = ("accent_color", "description")
"""Members that an answer has even where nothing was said; others are left out."""

_TOP = (*_TOP_OF_CONTAINER, CONTAINER)


@dataclass(slots=True)
class Reading:
    """One message's components while they are read: what is used up, and what is wrong."""

    form: Form
    ids: int = 0
    characters: int = 0
    custom_ids: set[str] = field(default_factory=set)

    def new_id(self) -> int:
        """Number a component; Discord counts them from one."""
        self.ids += 1
        return self.ids

    def custom_id(self, value: object, path: Path) -> str | None:
        """Read a custom id, which is unique in a message."""
        form = self.form
        text = form.text(value, path, most=100, least=1, required=True)
        if text is not None and text in self.custom_ids:
            said = "Component custom id cannot be duplicated"
            form.wrong(path, "COMPONENT_CUSTOM_ID_DUPLICATED", said)
        self.custom_ids.add(text or "")
        return text


def read_components(
    form: Form, value: object, path: Path, *, second_version: bool
) -> list[dict[str, Any]]:
    """Read a message's components into the form of an answer; note what breaks a limit."""
    reading = Reading(form)
    most = MOST_IN_ALL if second_version else MOST_ROWS
    offered = _TOP if second_version else (ACTION_ROW,)
    found = form.items(value, path, most=most)
    read = [
        _component(reading, one, (*path, place), offered=offered) for place, one in enumerate(found)
    ]
    if reading.ids > MOST_IN_ALL:
        said = f"The total number of components cannot exceed {MOST_IN_ALL}"
        form.wrong(path, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", said)
    if reading.characters > MOST_TEXT:
        said = f"The total number of characters in text displays cannot exceed {MOST_TEXT}"
        form.wrong(path, "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", said)
    return read


def walk(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every component, the nested ones after what holds them."""
    for one in components:
        yield one
        yield from walk(one.get("components", []))
        yield from walk([one["accessory"]] if "accessory" in one else [])
        yield from walk([one["component"]] if "component" in one else [])


def _component(
    reading: Reading, value: object, path: Path, *, offered: tuple[int, ...]
) -> dict[str, Any]:
    raw = reading.form.table(value, path)
    kind = raw.get("type")
    if kind not in offered:
        said = f'Value of field "type" must be one of ({", ".join(map(str, offered))}).'
        reading.form.wrong((*path, "type"), "UNION_TYPE_CHOICES", said)
        return {"type": ACTION_ROW, "id": reading.new_id(), "components": []}
    started = {"type": kind, "id": reading.new_id()}
    part = _READERS[int(kind)](reading, raw, path)
    return started | {
        name: one for name, one in part.items() if one is not None or name in _TOLD_AS_NULL
    }


def _row(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "components")
    found = reading.form.items(raw.get("components"), here, least=1, most=MOST_IN_ROW)
    read = [
        _component(reading, one, (*here, place), offered=(BUTTON, STRING_SELECT))
        for place, one in enumerate(found)
    ]
    if len(read) > 1 and any(one["type"] == STRING_SELECT for one in read):
        said = "The specified component exceeds the maximum width"
        reading.form.wrong(here, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", said)
    return {"components": read}


def _button(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    form = reading.form
    style = form.number(raw.get("style"), (*path, "style"), least=1, most=LINK_STYLE)
    if style is None:
        form.wrong((*path, "style"), "BASE_TYPE_REQUIRED", "This field is required")
    label = form.text(raw.get("label"), (*path, "label"), most=80)
    if not label and not raw.get("emoji"):
        form.wrong((*path, "label"), "BASE_TYPE_REQUIRED", "This field is required")
    read: dict[str, Any] = {"style": style, "label": label, "emoji": raw.get("emoji")}
    if raw.get("disabled"):
        read["disabled"] = True
    if style == LINK_STYLE:
        url = form.address(raw.get("url"), (*path, "url"), schemes=("http", "https", "discord"))
        if url is None or raw.get("custom_id") is not None:
            said = "A custom id and url cannot both be specified, and a link needs its url"
            form.wrong((*path, "url"), "BUTTON_COMPONENT_URL_XOR_CUSTOM_ID", said)
        return read | {"url": url}
    return read | {"custom_id": reading.custom_id(raw.get("custom_id"), (*path, "custom_id"))}


def _select(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    form = reading.form
    here = (*path, "options")
    options = []
    for place, one in enumerate(form.items(raw.get("options"), here, least=1, most=25)):
        at = (*here, place)
        option = form.table(one, at)
        for name in ("label", "value"):
            form.text(option.get(name), (*at, name), most=100, least=1, required=True)
        form.text(option.get("description"), (*at, "description"), most=100)
        options.append({name: part for name, part in option.items() if part is not None})
    values = [option.get("value") for option in options]
    if len(set(map(str, values))) < len(values):
        said = "The specified option value is already used"
        form.wrong(here, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", said)
    least = form.number(raw.get("min_values"), (*path, "min_values"), least=0, most=25, default=1)
    most = form.number(raw.get("max_values"), (*path, "max_values"), least=1, most=25, default=1)
    return {
        "custom_id": reading.custom_id(raw.get("custom_id"), (*path, "custom_id")),
        "placeholder": form.text(raw.get("placeholder"), (*path, "placeholder"), most=150),
        "min_values": least,
        "max_values": most,
        "disabled": True if raw.get("disabled") else None,
        "options": options,
    }


def _section(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "components")
    found = reading.form.items(raw.get("components"), here, least=1, most=3)
    return {
        "components": [
            _component(reading, one, (*here, place), offered=(TEXT,))
            for place, one in enumerate(found)
        ],
        "accessory": _component(
            reading, raw.get("accessory"), (*path, "accessory"), offered=(BUTTON, THUMBNAIL)
        ),
    }


def _text(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "content")
    content = reading.form.text(raw.get("content"), here, least=1, most=MOST_TEXT, required=True)
    reading.characters += len(content or "")
    return {"content": content}


def _media(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "media")
    media = reading.form.table(raw.get("media"), here)
    url = reading.form.address(
        media.get("url"), (*here, "url"), schemes=("http", "https", "attachment")
    )
    said = reading.form.text(raw.get("description"), (*path, "description"), most=1024)
    shown = {"id": "0", "url": url or "", "proxy_url": url or ""}
    return {"media": shown, "description": said, "spoiler": bool(raw.get("spoiler", False))}


def _gallery(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "items")
    found = reading.form.items(raw.get("items"), here, least=1, most=10)
    return {
        "items": [
            _media(reading, reading.form.table(one, (*here, place)), (*here, place))
            for place, one in enumerate(found)
        ]
    }


def _separator(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    spacing = reading.form.number(
        raw.get("spacing"), (*path, "spacing"), least=1, most=2, default=1
    )
    return {"spacing": spacing, "divider": bool(raw.get("divider", True))}


def _container(reading: Reading, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "components")
    found = reading.form.items(raw.get("components"), here, least=1, most=MOST_IN_ALL)
    accent = reading.form.number(
        raw.get("accent_color"), (*path, "accent_color"), least=0, most=0xFFFFFF
    )
    read = [
        _component(reading, one, (*here, place), offered=_TOP_OF_CONTAINER)
        for place, one in enumerate(found)
    ]
    spoiler = bool(raw.get("spoiler", False))
    return {"accent_color": accent, "spoiler": spoiler, "components": read}


_READERS = {
    ACTION_ROW: _row,
    BUTTON: _button,
    STRING_SELECT: _select,
    SECTION: _section,
    TEXT: _text,
    THUMBNAIL: _media,
    GALLERY: _gallery,
    SEPARATOR: _separator,
    CONTAINER: _container,
}
