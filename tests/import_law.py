"""The law of imports, as a table and the walk that reads it off every module."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("mahler_pipelines", "assets")

RANKS = {
    "errors": 0,
    "options": 1,
    "market": 2,
    "strategies": 3,
    "risk": 4,
    "decisions": 5,
    "execution": 6,
    "review": 7,
    "pictures": 8,
    "cards": 9,
    "messaging": 10,
    "storage": 11,
    "adapters": 11,
    "exchange": 11,
    "local_discord": 11,
    "partitions": 12,
    "assets": 13,
    "orchestration": 14,
    "settings": 15,
    "composition": 16,
    "definitions": 17,
    "web": 18,
    "cli": 19,
}
"""Room -> its place; a room imports itself and what stands strictly below it."""

ROOM_NAMES = {
    "mahler_pipelines.orchestration.partitions": "partitions",
    "mahler_pipelines.__main__": "cli",
}
"""Modules that do not belong to the room their path says."""

PURE_ROOMS = ("options", "market", "strategies", "risk", "decisions", "execution", "review")
MATHEMATICS = {"numpy", "pandas", "scipy", "sklearn", "pydantic"}
VENDOR_SDKS = {"alpaca", "anthropic", "discord"}
NETWORK = {"httpx", "httpx2", "requests", "urllib3", "websockets", "aiohttp"}

ALLOWED_THIRD_PARTIES: dict[str, set[str]] = {
    "errors": set(),
    **dict.fromkeys(PURE_ROOMS, MATHEMATICS),
    "pictures": MATHEMATICS | {"matplotlib", "PIL"},
    "cards": MATHEMATICS,
    "messaging": MATHEMATICS,
    "storage": MATHEMATICS
    | {"pydantic_core", "alembic", "duckdb", "fsspec", "pyarrow", "sqlalchemy"},
    "local_discord": {"starlette", "uvicorn", "cryptography", "jinja2"},
    "settings": {"pydantic", "pydantic_settings", "dotenv"},
}
"""Room -> the third parties it may import; a room without a row is held by FORBIDDEN alone."""

EXTRA_THIRD_PARTIES = {"mahler_pipelines.market.sessions": {"exchange_calendars"}}

FORBIDDEN_THIRD_PARTIES: dict[str, set[str]] = {
    "adapters": {"dagster", "sqlalchemy", "duckdb"},
    "exchange": {"dagster", "sqlalchemy"} | VENDOR_SDKS,
    "partitions": VENDOR_SDKS | NETWORK,
    "assets": VENDOR_SDKS | NETWORK,
    "orchestration": VENDOR_SDKS | NETWORK,
    "composition": {"dagster"} | VENDOR_SDKS,
    "definitions": VENDOR_SDKS | NETWORK,
    "web": VENDOR_SDKS,
    "cli": VENDOR_SDKS,
}

EXCHANGE_MAY_IMPORT = ("errors", "exchange", "options", "market")
LOCAL_DISCORD_MAY_IMPORT = ("errors",)
EXCHANGE_MAY_READ = "mahler_pipelines.storage.lake"
READERS_OF_SETTINGS = {"settings", "composition", "definitions", "web", "cli"}
STARTERS_OF_THE_EXCHANGE = {"exchange", "composition", "definitions", "web", "cli"}

IMPURE_MODULES = {
    "asyncio", "http", "random", "secrets", "socket", "subprocess", "threading", "time", "urllib",
}  # fmt: skip
CLOCK_CALLS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("Timestamp", "now"), ("Timestamp", "today"), ("Timestamp", "utcnow"),
}  # fmt: skip


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and path of every module of our packages."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = list(path.relative_to(root).with_suffix("").parts)
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def room_of(module: str) -> str | None:
    """Return the room a dotted name belongs to; None for the bare package."""
    for name, room in ROOM_NAMES.items():
        if module == name or module.startswith(f"{name}."):
            return room
    parts = module.split(".")
    if parts[0] == "assets":
        return "assets"
    return parts[1] if len(parts) > 1 else None


def imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield the line and full dotted name of every import, lazy ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".")
                up = node.level - 1 if is_package else node.level
                base = ".".join([*here[: len(here) - up], *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _own_violation(room: str, target: str) -> str | None:
    wanted = room_of(target)
    if wanted is None or wanted == room:
        return None
    if wanted not in RANKS:
        # A name of the package's own __init__, such as mahler_pipelines.__version__.
        return None if wanted.startswith("__") else f"{wanted} is no room"
    if room == "exchange":
        if wanted in EXCHANGE_MAY_IMPORT or f"{target}.".startswith(f"{EXCHANGE_MAY_READ}."):
            return None
        return f"exchange imports only options, market and the lake's reader, not {wanted}"
    if room == "local_discord" and wanted not in LOCAL_DISCORD_MAY_IMPORT:
        return f"local_discord imports only errors, not {wanted}"
    if wanted == "settings" and room not in READERS_OF_SETTINGS:
        return f"{room} may not read settings"
    if wanted in ("exchange", "local_discord") and room not in STARTERS_OF_THE_EXCHANGE:
        return f"{room} may not import {wanted}"
    if RANKS[wanted] >= RANKS[room]:
        return f"{room} may not import {wanted}"
    return None


def _third_party_violation(module: str, room: str, target: str) -> str | None:
    party = target.partition(".")[0]
    if party in sys.stdlib_module_names:
        return None
    allowed = ALLOWED_THIRD_PARTIES.get(room)
    extra = EXTRA_THIRD_PARTIES.get(module, set())
    if allowed is not None and party not in allowed | extra:
        return f"{room} may not import {party}"
    if party in FORBIDDEN_THIRD_PARTIES.get(room, set()):
        return f"{room} may not import {party}"
    return None


def _impurities(tree: ast.AST, names: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for line, target in names:
        if target.partition(".")[0] in IMPURE_MODULES:
            yield line, f"decision code may not import {target.split('.')[0]}"
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        owner_name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if (owner_name, node.func.attr) in CLOCK_CALLS:
            yield node.lineno, f"decision code may not ask {owner_name}.{node.func.attr}"
        if owner_name == "random" and not (node.func.attr == "default_rng" and node.args):
            yield node.lineno, "decision code may not draw random numbers without a seed"


def violations(root: Path) -> list[str]:
    """Return every breach of the law under a repository root, as path:line: reason."""
    found = []
    for module, path in modules(root):
        room = room_of(module)
        where = path.relative_to(root)
        if room is not None and room not in RANKS:
            found.append(f"{where}:1: {room} is no room")
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(where))
        names = list(imported(tree, module, is_package=path.name == "__init__.py"))
        breaches: list[tuple[int, str]] = []
        for line, target in names:
            if room is None:
                breaches.append((line, f"the package itself may not import {target}"))
                continue
            breach = (
                _own_violation(room, target)
                if target.partition(".")[0] in PACKAGES
                else _third_party_violation(module, room, target)
            )
            breaches.extend([(line, breach)] if breach else [])
        if room in PURE_ROOMS:
            breaches.extend(_impurities(tree, names))
        found.extend(f"{where}:{line}: {why}" for line, why in breaches)
    return list(dict.fromkeys(found))
