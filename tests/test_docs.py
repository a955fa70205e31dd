"""The documentation is held to the code: generated pages, links, commands, keys and codes."""

import importlib
import importlib.util
import itertools
import pkgutil
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mahler_pipelines.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_CODE = re.compile(r"`(?P<command>mahler [^`]+)`")

NOT_CODES = {
    "AnalystChoice": "a setting",
    "AnswerKind": "Discord's words on the wire",
    "Api": "what a broker counts apart",
    "ApprovalPolicy": "an option of one command",
    "ButtonStyle": "how a button looks",
    "Callback": "Discord's words on the wire",
    "Colour": "how a message looks",
    "DividendModel": "an argument",
    "Door": "a setting",
    "Draw": "numbers streams of random draws",
    "ExerciseStyle": "a trait of a contract",
    "ExitAction": "a setting",
    "Hours": "Alpaca's words on the wire",
    "Increments": "an option of the exchange",
    "Intent": "Alpaca's words on the wire",
    "InteractionKind": "Discord's words on the wire",
    "Mode": "a setting",
    "Moment": "a step of the exchange's clock",
    "MomentKind": "a step of a run",
    "NotAvailablePolicy": "a setting",
    "OrderKind": "Alpaca's words on the wire",
    "Outcome": "what became of an interaction at the local Discord",
    "Outlook": "a trait of a strategy",
    "Profile": "a setting",
    "RateBasis": "how a published rate is quoted",
    "RealisedEstimator": "an argument",
    "Right": "a trait of a contract",
    "Sector": "a trait of a simulated name",
    "SettlementKind": "a trait of a contract",
    "Side": "a trait of a leg",
    "TickRule": "a trait of a simulated name",
    "TimeInForce": "Alpaca's words on the wire",
    "Timeframe": "Alpaca's words on the wire",
    "Urgency": "how much of the request budget a request may use",
    "WireStatus": "Alpaca's words on the wire",
}
"""Enums that stand in no table of codes, and why not."""


@cache
def _program(name: str) -> ModuleType:
    """A program of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _slug(heading: str) -> str:
    """The anchor that a heading gets on a forge."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def _enums() -> Iterator[type[Enum]]:
    import mahler_pipelines

    for found in pkgutil.walk_packages(mahler_pipelines.__path__, "mahler_pipelines."):
        if found.name.endswith("__main__") or ".migrations" in found.name:
            continue
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == found.name
            if own and issubclass(value, Enum):
                yield value


@cache
def _click_app() -> Any:
    from typer.main import get_command

    from mahler_pipelines.cli.app import app

    return get_command(app)


def _command_lines() -> Iterator[tuple[str, str]]:
    """Every `mahler …` of a page: lines of fences, and code inside sentences."""
    for page in PAGES:
        text = _text(page)
        for fence in _FENCE.finditer(text):
            for line in fence["body"].splitlines():
                # Assignments before a command are its environment.
                found = re.match(r"(?:\w+=\S+ +)*(mahler .+)", line)
                if found:
                    yield page.name, found[1]
        for code in _CODE.finditer(_FENCE.sub("", text)):
            yield page.name, code["command"]


def test_settings_page_is_current() -> None:
    """`python docs/make_settings.py` writes what is there."""
    program = _program("make_settings")
    assert _text(DOCS / "settings.md") == program.page()
    assert _text(ROOT / "mahler.toml.example") == program.example()


def test_codes_page_is_current() -> None:
    """`python docs/make_codes.py` writes what is there."""
    assert _text(DOCS / "codes.md") == _program("make_codes").page()


def test_every_setting_is_documented() -> None:
    page = _text(DOCS / "settings.md")
    missing = [row.key for row in Settings().describe() if f"`{row.key}`" not in page]
    assert missing == []


def test_the_example_is_the_defaults(tmp_path: Path) -> None:
    """Uncommented, mahler.toml.example is read and says what the defaults say."""
    uncommented = re.sub(r"^#(?! )", "", _text(ROOT / "mahler.toml.example"), flags=re.MULTILINE)
    assert tomllib.loads(uncommented)["screen"]["dte_min"] == 25
    (tmp_path / "mahler.toml").write_text(uncommented, encoding="utf-8")
    loaded = Settings.load(directory=tmp_path, environ={})
    assert loaded.model_dump() == Settings().model_dump()


def test_the_example_holds_no_secret() -> None:
    """Secrets belong in .env, which is not committed."""
    example = _text(ROOT / "mahler.toml.example")
    secrets = [entry.name for entry in _program("make_settings").entries() if entry.secret]
    assert "secret_key" in secrets
    assert not [name for name in secrets if re.search(rf"^#{name} =", example, re.MULTILINE)]


def test_every_code_is_documented() -> None:
    """An enum is in the tables, each member with its line, or says why it is no code."""
    tables = {
        codes.enum for chapter in _program("make_codes").CHAPTERS.values() for codes in chapter
    }
    page = _text(DOCS / "codes.md")
    assert {enum.__name__ for enum in _enums() if enum not in tables} == set(NOT_CODES)
    for enum in tables:
        for member in enum:
            stored = member.value if isinstance(member.value, str) else member.name.lower()
            assert stored in ("", "none") or f"| `{stored}` |" in page, (enum, member)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", _text(page))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        assert path.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        if anchor:
            anchors = {_slug(heading) for heading in _HEADING.findall(_text(path))}
            assert anchor in anchors, f"{page.name} links to {target}"


def test_every_page_is_reached() -> None:
    """Each page of docs/ is linked from another, so that a reader can find it."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in _LINK.findall(_text(page))
        if "://" not in target
    }
    decisions = {path for path in PAGES if path.parent.name == "decisions"}
    assert {page for page in PAGES if page.parent == DOCS} <= linked
    assert decisions & linked


def test_every_command_is_in_the_readme() -> None:
    readme = _text(ROOT / "README.md")
    missing = [name for name in _click_app().commands if f"`mahler {name}`" not in readme]
    assert missing == []


def _parse(line: str) -> str:
    """Let the program itself parse a command line, and run nothing; raise where it would refuse."""
    app = _click_app()
    context = app.make_context("mahler", shlex.split(line, comments=True)[1:])
    rest = [*context._protected_args, *context.args]
    name, command, arguments = app.resolve_command(context, rest)
    if arguments:  # a bare name in a sentence speaks of the command as a whole
        command.make_context(name, arguments, parent=context)
    return str(name)


@pytest.mark.parametrize(("page", "line"), sorted(set(_command_lines())))
def test_commands_in_the_pages_exist(page: str, line: str) -> None:
    """Names, options and required arguments are the program's own."""
    assert _parse(line.replace("…", "")) in _click_app().commands, page


@pytest.mark.parametrize(
    "line",
    ["mahler fly", "mahler run --wings 2", "mahler dev --rate fast", "mahler trades --json x"],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    """The test above would pass on anything if the parser let it through."""
    with pytest.raises(Exception, match=r"(?i)no such|valid number|unexpected"):
        _parse(line)


def test_the_drawn_graph_is_the_graph() -> None:
    """Every edge of the assets is in the picture of docs/architecture.md, and no other."""
    from mahler_pipelines.definitions import build_definitions

    page = _text(DOCS / "architecture.md")
    drawn = set()
    for line in re.findall(r"^ +(\w+(?: -.*->.*)+)$", page, re.MULTILINE):
        names = re.split(r" (?:-->|-\.->|-\. [^>]+ \.->) ", line)
        drawn |= set(itertools.pairwise(names))
    graph = build_definitions(Settings()).resolve_asset_graph()
    edges = {
        (parent.path[-1], node.key.path[-1])
        for node in graph.asset_nodes
        for parent in node.parent_keys
    }
    assert drawn == edges


def test_no_page_names_a_machine() -> None:
    """Paths are relative: an absolute one is somebody's own machine."""
    for page in PAGES:
        assert not re.search(r"(?<![\w.:/])/(?:home|root|Users|work|tmp)/", _text(page)), page.name
