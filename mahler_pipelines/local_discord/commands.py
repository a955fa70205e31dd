"""Slash commands: what an application registered, and what a person called with which options."""

import re
from typing import Any

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.people import Place
from mahler_pipelines.local_discord.refusals import Form, Path
from mahler_pipelines.local_discord.snowflakes import Snowflakes
from mahler_pipelines.local_discord.store import Store

KIND = "command"
GLOBAL = "global"
SUBCOMMAND, SUBCOMMAND_GROUP, STRING, INTEGER, BOOLEAN, USER, NUMBER = 1, 2, 3, 4, 5, 6, 10
_MOST = 100
_NAME = re.compile(r"[-_'\w]{1,32}")
_OFFERED = (SUBCOMMAND, SUBCOMMAND_GROUP, STRING, INTEGER, BOOLEAN, USER, 7, 8, 9, NUMBER, 11)


class Commands:
    """The commands of the application, by where they are registered: `global`, or a guild."""

    def __init__(self, store: Store, place: Place, ids: Snowflakes) -> None:
        self._store = store
        self._place = place
        self._ids = ids
        self._by_scope: dict[str, list[dict[str, Any]]] = {}
        for kept in store.all(KIND):
            self._by_scope[kept["scope"]] = kept["commands"]

    def listed(self, scope: str) -> list[dict[str, Any]]:
        """Return what is registered in a scope."""
        return self._by_scope.get(scope, [])

    def offered(self) -> list[dict[str, Any]]:
        """Return what a person can call in the guild; its own commands stand before global ones."""
        everything = self.listed(self._place.guild_id) + self.listed(GLOBAL)
        return list({one["name"]: one for one in reversed(everything)}.values())[::-1]

    def overwrite(self, scope: str, value: object) -> list[dict[str, Any]]:
        """Register these commands and no others; a name that was known keeps its id."""
        form = Form()
        found = form.items(value, (), most=_MOST)
        known = {one["name"]: one["id"] for one in self.listed(scope)}
        commands = [self._read(form, one, (place,), scope) for place, one in enumerate(found)]
        names = [one["name"] for one in commands]
        for place, name in enumerate(names):
            if names.index(name) < place:
                said = "Application command names must be unique"
                form.wrong((place, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", said)
        form.require()
        for one in commands:
            one["id"] = known.get(one["name"], one["id"])
        self._by_scope[scope] = commands
        self._store.put(KIND, scope, {"scope": scope, "commands": commands})
        return commands

    def called(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return an interaction's data of a call; words after the first are subcommands.

        Raises `BadInput` for what Discord's own client would not let a person send.
        """
        words = name.split()
        found = [one for one in self.offered() if words and one["name"] == words[0]]
        if not found:
            raise BadInput("name", name, "is no registered command")
        data: dict[str, Any] = {"id": found[0]["id"], "name": words[0], "type": 1}
        if found[0].get("guild_id"):
            data["guild_id"] = found[0]["guild_id"]
        options = _called_options(found[0].get("options", []), words[1:], values)
        resolved = self._resolved(options)
        data |= {"options": options} if options else {}
        return data | ({"resolved": resolved} if resolved else {})

    def _read(self, form: Form, value: object, path: Path, scope: str) -> dict[str, Any]:
        raw = form.table(value, path)
        kind = form.number(raw.get("type"), (*path, "type"), least=1, most=3, default=1)
        named = _read_name(form, raw, path, is_slash=kind == 1)
        identifier = self._ids.next()
        read = named | {
            "id": identifier,
            "application_id": self._place.application_id,
            "version": identifier,
            "type": kind,
            "default_member_permissions": _permissions(raw.get("default_member_permissions")),
            "options": _read_options(form, raw.get("options"), (*path, "options"), depth=0),
        }
        return read | ({} if scope == GLOBAL else {"guild_id": scope})

    def _resolved(self, options: list[dict[str, Any]]) -> dict[str, Any]:
        """Users that options name, as an interaction carries them beside its options."""
        flat = list(options)
        for one in flat:
            flat.extend(one.get("options", []))
        chosen = [one["value"] for one in flat if one["type"] == USER]
        for one in chosen:
            if one not in self._place.people:
                raise BadInput("options", one, "is nobody here")
        return {"users": {one: self._place.user(one) for one in chosen}} if chosen else {}


def _permissions(value: object) -> str | None:
    return None if value is None else str(value)


def _read_name(form: Form, raw: dict[str, Any], path: Path, *, is_slash: bool) -> dict[str, Any]:
    name = form.text(raw.get("name"), (*path, "name"), least=1, most=32, required=True) or ""
    if is_slash and name and (not _NAME.fullmatch(name) or name != name.lower()):
        said = "Command name is invalid"
        form.wrong((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", said)
    least = 1 if is_slash else 0
    here = (*path, "description")
    said_of = form.text(raw.get("description"), here, least=least, most=100, required=is_slash)
    return {"name": name, "description": said_of or ""}


def _read_options(form: Form, value: object, path: Path, *, depth: int) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = []
    optional_before = False
    for place, one in enumerate(form.items(value, path, most=25)):
        here = (*path, place)
        raw = form.table(one, here)
        kind = raw.get("type")
        if kind not in _OFFERED or (depth and kind == SUBCOMMAND_GROUP):
            said = f"Value must be one of {set(_OFFERED)}."
            form.wrong((*here, "type"), "BASE_TYPE_CHOICES", said)
        option = {"type": kind, **_read_name(form, raw, here, is_slash=True)}
        if raw.get("required"):
            option["required"] = True
            if optional_before:
                said = "Required options must be placed before non-required options"
                form.wrong(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", said)
        optional_before = optional_before or not raw.get("required")
        if any(known["name"] == option["name"] for known in read):
            said = "Option names must be unique"
            form.wrong((*here, "name"), "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", said)
        read.append(option | _read_bounds(form, raw, here, depth=depth))
    return read


def _read_bounds(form: Form, raw: dict[str, Any], path: Path, *, depth: int) -> dict[str, Any]:
    names = ("min_value", "max_value", "min_length", "max_length", "autocomplete")
    read = {name: raw[name] for name in names if raw.get(name) is not None}
    choices = form.items(raw.get("choices"), (*path, "choices"), most=25)
    for place, one in enumerate(choices):
        here = (*path, "choices", place)
        choice = form.table(one, here)
        form.text(choice.get("name"), (*here, "name"), least=1, most=100, required=True)
        if choice.get("value") is None:
            form.wrong((*here, "value"), "BASE_TYPE_REQUIRED", "This field is required")
    if choices:
        named = [form.table(one, path) for one in choices]
        read["choices"] = [{"name": one.get("name"), "value": one.get("value")} for one in named]
    if raw.get("options") is not None:
        here = (*path, "options")
        read["options"] = _read_options(form, raw["options"], here, depth=depth + 1)
    return read


def _called_options(
    wanted: list[dict[str, Any]], words: list[str], values: dict[str, Any]
) -> list[dict[str, Any]]:
    nested = [one for one in wanted if one["type"] in (SUBCOMMAND, SUBCOMMAND_GROUP)]
    if nested or words:
        found = [one for one in nested if words and one["name"] == words[0]]
        if not found:
            offered = ", ".join(one["name"] for one in nested) or "none"
            raise BadInput("name", " ".join(words), f"is no subcommand; there are: {offered}")
        inner = _called_options(found[0].get("options", []), words[1:], values)
        return [{"type": found[0]["type"], "name": words[0], "options": inner}]
    named = {one["name"]: one for one in wanted}
    for name in values:
        if name not in named:
            raise BadInput("options", name, "is no option of this command")
    missing = [one["name"] for one in wanted if one.get("required") and one["name"] not in values]
    if missing:
        raise BadInput("options", missing[0], "is required")
    return [
        {"type": one["type"], "name": one["name"], "value": _value(one, values[one["name"]])}
        for one in wanted
        if one["name"] in values
    ]


def _value(option: dict[str, Any], value: object) -> object:
    types: dict[int, type | tuple[type, ...]] = {
        STRING: str,
        INTEGER: int,
        BOOLEAN: bool,
        NUMBER: (int, float),
    }
    wanted = types.get(option["type"], str)
    is_wrong_bool = isinstance(value, bool) and option["type"] != BOOLEAN
    if is_wrong_bool or not isinstance(value, wanted):
        raise BadInput("options", value, f"{option['name']} takes another type")
    choices = [choice["value"] for choice in option.get("choices", [])]
    if choices and value not in choices:
        raise BadInput("options", value, f"{option['name']} takes one of {choices}")
    size = len(value) if isinstance(value, str) else value
    unit = "length" if isinstance(value, str) else "value"
    if isinstance(size, (int, float)) and not (
        option.get(f"min_{unit}", size) <= size <= option.get(f"max_{unit}", size)
    ):
        raise BadInput("options", value, f"{option['name']} is out of its bounds")
    return value
