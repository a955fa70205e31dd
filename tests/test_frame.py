"""The frame holds: documented targets, a lock that names no place, no dependency without reason."""

import ast
import importlib.metadata
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.errors import MahlerError
from tests.conftest import NetworkRefused
from tests.import_law import imported, modules

NOT_IMPORTED = {"dagster-webserver"}
"""Dependencies that are started as programs, never imported."""

IMPORT_NAMES = {
    "alpaca-py": "alpaca",
    "discord.py": "discord",
    "pillow": "PIL",
    "psycopg2-binary": "psycopg2",
    "python-dotenv": "dotenv",
    "scikit-learn": "sklearn",
}
"""Distributions whose import name is not their own."""


def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def distribution(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found.group().lower()


def declared(root: Path) -> set[str]:
    table = project(root)["project"]
    extras = table["optional-dependencies"]
    return {
        distribution(requirement) for requirement in [*table["dependencies"], *extras["postgres"]]
    }


def test_every_target_is_documented(repository_root: Path) -> None:
    makefile = (repository_root / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (\w+)$", makefile, re.MULTILINE))
    documented = set(re.findall(r"^(\w+):.*## \S", makefile, re.MULTILINE))
    assert phony == documented
    assert {"run", "dev", "test", "lint", "types", "bench", "clean", "help"} <= documented


def test_make_alone_lists_the_targets(repository_root: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=repository_root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "make run" in done.stdout
    assert "make test" in done.stdout


def test_lock_names_no_index_host_or_path(repository_root: Path) -> None:
    """A lock that names a host installs only where that host is."""
    lock = (repository_root / "requirements.lock").read_text(encoding="utf-8")
    found = re.findall(r"https?:|file:|--\w*index|--find-links|--trusted|@ |^-e|/", lock)
    assert found == []


def test_lock_pins_and_hashes_every_line(repository_root: Path) -> None:
    lock = (repository_root / "requirements.lock").read_text(encoding="utf-8")
    entries = lock.replace("\\\n", "").strip().splitlines()
    unpinned = [line for line in entries if not re.match(r"[\w.\[\],-]+==\S+", line)]
    unhashed = [line for line in entries if "--hash=sha256:" not in line]
    assert (unpinned, unhashed) == ([], [])


def test_lock_holds_every_declared_dependency(repository_root: Path) -> None:
    lock = (repository_root / "requirements.lock").read_text(encoding="utf-8")
    pinned = {re.split(r"[=\[]", line)[0].lower() for line in lock.splitlines() if "==" in line}
    table = project(repository_root)["project"]
    names = {
        re.sub(r"[-_.]+", "-", distribution(requirement))
        for group in [table["dependencies"], *table["optional-dependencies"].values()]
        for requirement in group
    }
    assert names <= pinned


def test_every_dependency_has_a_reason(repository_root: Path) -> None:
    text = (repository_root / "pyproject.toml").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^(?:dependencies|postgres|dev) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 3
    bare = [
        line
        for block in blocks
        for line in block.splitlines()
        if not re.match(r'\s+"[^"]+",\s+# \S.{8,}', line)
    ]
    assert bare == []


def test_every_lint_exception_has_a_reason(repository_root: Path) -> None:
    text = (repository_root / "pyproject.toml").read_text(encoding="utf-8")
    blocks = re.findall(r'^(?:ignore|"\S+") = \[\n(.*?)^\]', text, re.MULTILINE | re.DOTALL)
    bare = [
        line
        for block in blocks
        for line in block.splitlines()
        if not re.match(r'\s+("\w+", ?)+\s+# \S', line)
    ]
    assert len(blocks) >= 3
    assert bare == []


def test_every_import_is_declared(repository_root: Path) -> None:
    """What the code imports is asked for by name, not had by luck through another package."""
    wanted = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in declared(repository_root)}
    wanted.add("pydantic_core")  # pydantic pins it to itself: one is never without the other
    wanted |= {"aiohttp", "yarl"}  # discord.py's own words: its errors, and its addresses
    undeclared = set()
    for module, path in modules(repository_root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, name in imported(tree, module, is_package=path.name == "__init__.py"):
            party = name.split(".")[0]
            known = party in wanted or party in sys.stdlib_module_names
            if not known and party not in {"mahler_pipelines", "assets"}:
                undeclared.add(f"{path.name}:{line}: {party}")
    assert undeclared == set()


def test_every_dependency_is_installed_in_range(repository_root: Path) -> None:
    from packaging.requirements import Requirement

    table = project(repository_root)["project"]
    outside = []
    for text in table["dependencies"]:
        requirement = Requirement(text)
        version = importlib.metadata.version(requirement.name)
        if version not in requirement.specifier:
            outside.append(f"{text}: {version}")
    assert outside == []


def test_dagster_takes_the_instance_configuration(repository_root: Path, tmp_path: Path) -> None:
    from dagster import DagsterInstance

    source = repository_root / "dagster.yaml"
    (tmp_path / "dagster.yaml").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().run_queue_config is not None
        assert instance.get_settings("sensors")["use_threads"] is True


def test_workspace_names_the_definitions(repository_root: Path) -> None:
    import yaml

    workspace = yaml.safe_load((repository_root / "workspace.yaml").read_text(encoding="utf-8"))
    assert workspace["load_from"] == [
        {
            "python_module": {
                "module_name": "mahler_pipelines.definitions",
                "location_name": "mahler",
            }
        }
    ]


def test_sockets_beyond_loopback_are_refused() -> None:
    """The guard is what keeps a forgotten URL from reaching a vendor."""
    with socket.socket() as sock, pytest.raises(NetworkRefused, match="loopback"):
        sock.connect(("192.0.2.1", 80))


def test_sockets_on_loopback_pass() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        assert client.connect_ex(server.getsockname()) == 0


def test_the_error_tree_is_drawn_whole() -> None:
    """Every error class stands in the drawing of its module."""
    import mahler_pipelines.errors as errors

    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, MahlerError)
    }
    drawn = set(re.findall(r"[A-Z]\w+", (errors.__doc__ or "").partition("\n")[2]))
    assert classes <= drawn
