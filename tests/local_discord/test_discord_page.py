"""docs/discord.md names every control route, kind of fault, option and id of the local Discord."""

import re
from pathlib import Path

from mahler_pipelines.local_discord import people
from mahler_pipelines.local_discord.__main__ import _parser
from mahler_pipelines.local_discord.faults import _MEMBERS
from mahler_pipelines.local_discord.wire import control


def test_the_page_names_what_there_is(repository_root: Path) -> None:
    page = (repository_root / "docs" / "discord.md").read_text(encoding="utf-8")
    told = set(re.findall(r"(/control/\w+)", page))
    assert told == {route.path for route in control.ROUTES}
    kinds = set(re.findall(r"^\| `(\w+)` \|", page.partition("### Faults")[2], re.MULTILINE))
    assert kinds == set(_MEMBERS)
    for kind, members in _MEMBERS.items():
        line = next(one for one in page.splitlines() if one.startswith(f"| `{kind}` |"))
        assert all(f"`{name}`" in line for name in members), kind
    for action in _parser()._actions:
        flags = [one for one in action.option_strings if one not in ("-h", "--help")]
        hidden = flags == ["--die-with-parent"]
        assert hidden or all(one in page for one in flags)
    for name in ("APPLICATION_ID", "GUILD_ID", "CHANNEL_ID", "CLOSED_CHANNEL_ID", "YOU_ID"):
        assert getattr(people, name) in page
