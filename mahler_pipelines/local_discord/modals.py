"""Modals: a form that an answer opens, and what a person fills in."""

from typing import Any

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.components import (
    ACTION_ROW,
    LABEL,
    STRING_SELECT,
    TEXT,
    TEXT_INPUT,
    walk,
)
from mahler_pipelines.local_discord.refusals import Form, Path

MOST_COMPONENTS = 5


def read_modal(form: Form, value: object, path: Path = ("data",)) -> dict[str, Any]:
    """Read a modal; note what breaks a limit. Inputs are texts, in a label or in a row."""
    raw = form.table(value, path)
    here = (*path, "components")
    found = form.items(raw.get("components"), here, least=1, most=MOST_COMPONENTS)
    seen: set[str] = set()
    return {
        "custom_id": form.text(
            raw.get("custom_id"), (*path, "custom_id"), least=1, most=100, required=True
        ),
        "title": form.text(raw.get("title"), (*path, "title"), least=1, most=45, required=True),
        "components": [
            _part(form, one, (*here, place), seen, number=place + 1)
            for place, one in enumerate(found)
        ],
    }


def _part(form: Form, value: object, path: Path, seen: set[str], *, number: int) -> dict[str, Any]:
    raw = form.table(value, path)
    read: dict[str, Any] = {"type": raw.get("type"), "id": 2 * number - 1}
    if raw.get("type") == TEXT:
        content = form.text(raw.get("content"), (*path, "content"), least=1, most=4000)
        return read | {"content": content}
    if raw.get("type") == LABEL:
        label = form.text(raw.get("label"), (*path, "label"), least=1, most=45, required=True)
        said = form.text(raw.get("description"), (*path, "description"), most=100)
        inner = _input(form, raw.get("component"), (*path, "component"), seen, number=2 * number)
        return read | {"label": label, "description": said, "component": inner}
    if raw.get("type") == ACTION_ROW:
        here = (*path, "components")
        found = form.items(raw.get("components"), here, least=1, most=1)
        inputs = [_input(form, one, (*here, 0), seen, number=2 * number) for one in found]
        if inputs and not inputs[0].get("label"):
            required = "This field is required"
            form.wrong((*here, 0, "label"), "BASE_TYPE_REQUIRED", required)
        return read | {"components": inputs}
    said = 'Value of field "type" must be one of (1, 10, 18).'
    form.wrong((*path, "type"), "UNION_TYPE_CHOICES", said)
    return read


def _input(form: Form, value: object, path: Path, seen: set[str], *, number: int) -> dict[str, Any]:
    raw = form.table(value, path)
    custom_id = form.text(
        raw.get("custom_id"), (*path, "custom_id"), least=1, most=100, required=True
    )
    if custom_id in seen:
        said = "Component custom id cannot be duplicated"
        form.wrong((*path, "custom_id"), "COMPONENT_CUSTOM_ID_DUPLICATED", said)
    seen.add(custom_id or "")
    if raw.get("type") == STRING_SELECT and path[-1] == "component":
        return _choice(form, raw, path) | {"id": number, "custom_id": custom_id}
    if raw.get("type") != TEXT_INPUT:
        said = 'Value of field "type" must be one of (3, 4).'
        form.wrong((*path, "type"), "UNION_TYPE_CHOICES", said)
    most = form.number(raw.get("max_length"), (*path, "max_length"), least=1, most=4000)
    return {
        "type": TEXT_INPUT,
        "id": number,
        "custom_id": custom_id,
        "style": form.number(raw.get("style"), (*path, "style"), least=1, most=2, default=1),
        "label": form.text(raw.get("label"), (*path, "label"), most=45),
        "placeholder": form.text(raw.get("placeholder"), (*path, "placeholder"), most=100),
        "value": form.text(raw.get("value"), (*path, "value"), most=most or 4000),
        "required": raw.get("required") is not False,
        "min_length": form.number(
            raw.get("min_length"), (*path, "min_length"), least=0, most=4000, default=0
        ),
        "max_length": most or 4000,
    }


def _choice(form: Form, raw: dict[str, Any], path: Path) -> dict[str, Any]:
    here = (*path, "options")
    options = []
    for place, one in enumerate(form.items(raw.get("options"), here, least=1, most=25)):
        option = form.table(one, (*here, place))
        for name in ("label", "value"):
            form.text(option.get(name), (*here, place, name), least=1, most=100, required=True)
        options.append(option)
    return {
        "type": STRING_SELECT,
        "options": options,
        "placeholder": form.text(raw.get("placeholder"), (*path, "placeholder"), most=150),
        "required": raw.get("required") is not False,
    }


def fill(modal: dict[str, Any], values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the components of a submit, as Discord's own client would let them through.

    Raises `BadInput` for an input the modal does not have, a missing one, or a length it forbids.
    """
    known = {one["custom_id"] for one in walk(modal["components"]) if "custom_id" in one}
    for name in values:
        if name not in known:
            raise BadInput("values", name, "is no input of this modal")
    return [_filled(part, values) for part in modal["components"]]


def _filled(part: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    started = {"type": part["type"], "id": part["id"]}
    if part["type"] == LABEL:
        return started | {"component": _answer(part["component"], values)}
    if part["type"] == ACTION_ROW:
        return started | {"components": [_answer(one, values) for one in part["components"]]}
    return started


def _answer(wanted: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    name = wanted["custom_id"]
    value = values.get(name, wanted.get("value") or "")
    if not isinstance(value, str):
        raise BadInput("values", name, "is a text")
    if wanted["required"] and not value:
        raise BadInput("values", name, "is required")
    answered = {"type": wanted["type"], "id": wanted["id"], "custom_id": name}
    if wanted["type"] == STRING_SELECT:
        if value and value not in {option["value"] for option in wanted["options"]}:
            raise BadInput("values", name, f"does not offer {value!r}")
        return answered | {"values": [value] if value else []}
    if value and not wanted["min_length"] <= len(value) <= wanted["max_length"]:
        bounds = f"{wanted['min_length']} to {wanted['max_length']}"
        raise BadInput("values", name, f"has {len(value)} characters, not {bounds}")
    return answered | {"value": value}
