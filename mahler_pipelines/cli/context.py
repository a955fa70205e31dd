"""Settings and desk of a command: what was given before the command's name counts most."""

import shlex
from pathlib import Path
from typing import Any

from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import SettingsError
from mahler_pipelines.settings import Settings

_overrides: dict[str, Any] = {}


def remember_overrides(assignments: list[str], home: Path | None) -> None:
    """Keep `--set key=value` pairs and `--home` for the command that follows."""
    _overrides.clear()
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise SettingsError("--set", assignment, "needs key=value")
        _overrides[key.strip()] = value.strip()
    if home is not None:
        _overrides["home"] = str(home)


def load_settings(**more: Any) -> Settings:
    """Load settings with the remembered overrides and those of the command, where given."""
    given = {key: value for key, value in more.items() if value is not None}
    return Settings.load(_nested({**_overrides, **given}))


def load_desk(**more: Any) -> ComposedDesk:
    """Open the desk that these settings describe."""
    return compose(load_settings(**more))


def invocation(settings: Settings) -> tuple[str, str]:
    """Return what stands before and after a command's name to reach the same book again."""
    home, market = _overrides.get("home"), str(settings.market)
    before = f"mahler --home {shlex.quote(home)}" if home else "mahler"
    given = market != Settings.model_fields["market"].default
    return before, f" --market {shlex.quote(market)}" if given else ""


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Turn `screen.dte_min` into nested dictionaries."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        level = tree
        for parent in parents:
            level = level.setdefault(parent, {})
        level[last] = value
    return tree
