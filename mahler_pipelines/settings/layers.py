"""The layers a setting may come from, each read into dotted keys and checked for unknown ones."""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from mahler_pipelines.errors import SettingsError

PREFIX = "MAHLER_"

VENDOR_NAMES = {
    "ALPACA_API_KEY": "alpaca.api_key",
    "ALPACA_SECRET_KEY": "alpaca.secret_key",
    "ANTHROPIC_API_KEY": "anthropic.api_key",
    "DISCORD_BOT_TOKEN": "discord.bot_token",
    "DISCORD_PUBLIC_KEY": "discord.public_key",
    "DISCORD_APPLICATION_ID": "discord.application_id",
    "DISCORD_GUILD_ID": "discord.guild_id",
    "DISCORD_CHANNEL_ID": "discord.channel_id",
    "DISCORD_APPROVERS": "discord.approvers",
    "DISCORD_APPROVER_ROLES": "discord.approver_roles",
    "DISCORD_API_BASE": "discord.base_url",
}
"""The vendors' usual names, read without a prefix from .env and the environment."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: dotted key -> raw value."""

    name: str
    values: Mapping[str, Any]


def variable(key: str) -> str:
    """Return the environment's name of a dotted key: screen.dte_min -> MAHLER_SCREEN__DTE_MIN."""
    return PREFIX + key.upper().replace(".", "__")


def toml_layer(path: Path, known: Collection[str]) -> Layer:
    """Read mahler.toml; an absent file says nothing.

    Raises:
        SettingsError: The file is not TOML, or has an unknown key.
    """
    if not path.is_file():
        return Layer(path.name, {})
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("mahler.toml", path.name, f"not TOML: {error}") from None
    return nested_layer(path.name, table, known)


def dotenv_layer(path: Path, known: Collection[str]) -> Layer:
    """Read .env without touching the environment; an absent file says nothing."""
    values = dotenv_values(path, interpolate=False) if path.is_file() else {}
    return _variables(path.name, values, known)


def environment_layer(environ: Mapping[str, str], known: Collection[str]) -> Layer:
    """Read MAHLER_* and the vendors' names from the environment."""
    return _variables("environment", environ, known)


def nested_layer(name: str, tree: Mapping[str, Any], known: Collection[str]) -> Layer:
    """Flatten nested tables into dotted keys.

    Raises:
        SettingsError: A key is unknown, or a group was given a single value.
    """
    values = dict(_flatten(tree, ""))
    for key in values:
        _require_known(key, known, shown=key, where=name, suggest=str)
    return Layer(name, values)


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _variables(name: str, variables: Mapping[str, str | None], known: Collection[str]) -> Layer:
    # An empty variable is an unset one: `ALPACA_API_KEY=` in a copied .env says nothing.
    given = {key.upper(): value for key, value in variables.items() if value}
    values = {key: given[vendor] for vendor, key in VENDOR_NAMES.items() if vendor in given}
    for shown, value in given.items():
        if not shown.startswith(PREFIX):
            continue
        key = shown.removeprefix(PREFIX).lower().replace("__", ".")
        _require_known(key, known, shown=shown, where=name, suggest=variable)
        values[key] = value
    return Layer(name, values)


def _require_known(
    key: str, known: Collection[str], *, shown: str, where: str, suggest: Callable[[str], str]
) -> None:
    if key in known:
        return
    # The value stays out of the message: a misspelt key may hold a secret.
    if any(name.startswith(f"{key}.") for name in known):
        raise SettingsError(shown, "…", f"in {where}: a group of settings, not one of them")
    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
    raise SettingsError(
        shown, "…", f"in {where}: no such setting; the nearest is {suggest(near[0])}"
    )
