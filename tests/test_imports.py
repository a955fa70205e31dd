"""Imports run one way, and decision code is pure: the law of the design, held by a walk."""

import ast
from pathlib import Path

import pytest

from tests.import_law import imported, modules, violations


def plant(root: Path, path: str, source: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source, encoding="utf-8")


def test_every_import_goes_one_way(repository_root: Path) -> None:
    assert violations(repository_root) == []


def test_the_walk_sees_the_whole_house(repository_root: Path) -> None:
    """An empty walk would hold every law."""
    seen = dict(modules(repository_root))
    assert {"mahler_pipelines.errors", "mahler_pipelines.options.contracts"} <= seen.keys()
    assert "mahler_pipelines.options" in seen


@pytest.mark.parametrize(
    ("path", "source", "reason"),
    [
        ("options/a.py", "from mahler_pipelines.market.chains import X", "options may not import"),
        ("options/a.py", "from mahler_pipelines import market", "options may not import market"),
        ("options/a.py", "def f():\n    import dagster", "options may not import dagster"),
        ("market/a.py", "import exchange_calendars", "market may not import exchange_calendars"),
        ("market/a.py", "from ..risk import x", "market may not import risk"),
        ("risk/a.py", "from mahler_pipelines.settings import Settings", "may not read settings"),
        ("orchestration/a.py", "import mahler_pipelines.settings", "may not read settings"),
        ("adapters/a.py", "from mahler_pipelines.storage import x", "adapters may not import"),
        ("adapters/a.py", "from mahler_pipelines.exchange import x", "may not import exchange"),
        ("exchange/a.py", "from mahler_pipelines.execution.trades import T", "not execution"),
        ("exchange/a.py", "from mahler_pipelines.adapters import alpaca", "not adapters"),
        ("exchange/a.py", "from mahler_pipelines.storage.ledger import L", "not storage"),
        ("exchange/a.py", "import alpaca.trading.client", "exchange may not import alpaca"),
        ("local_discord/a.py", "from mahler_pipelines.adapters import x", "not adapters"),
        ("local_discord/a.py", "from mahler_pipelines.exchange import x", "not exchange"),
        ("local_discord/a.py", "import discord", "local_discord may not import discord"),
        ("adapters/a.py", "from mahler_pipelines.local_discord import x", "may not import local"),
        ("orchestration/partitions.py", "import assets.market", "partitions may not import assets"),
        ("web/a.py", "from mahler_pipelines.cli import main", "web may not import cli"),
        ("composition.py", "import dagster as dg", "composition may not import dagster"),
        ("odds/a.py", "x = 1", "odds is no room"),
        ("__init__.py", "from mahler_pipelines.options import x", "the package itself"),
        ("decisions/a.py", "import random", "decision code may not import random"),
        ("decisions/a.py", "from time import time", "decision code may not import time"),
        ("review/a.py", "import datetime\nx = datetime.datetime.now()", "may not ask datetime.now"),
        ("risk/a.py", "import numpy as np\nx = np.random.normal()", "without a seed"),
    ],
)
def test_planted_violation_is_found(tmp_path: Path, path: str, source: str, reason: str) -> None:
    plant(tmp_path, f"mahler_pipelines/{path}", source)
    found = violations(tmp_path)
    assert len(found) >= 1
    assert reason in found[0]
    assert found[0].startswith(f"mahler_pipelines/{path}:")


def test_asset_that_imports_a_vendor_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "assets/orders.py", "import dagster as dg\nimport alpaca\n")
    assert violations(tmp_path) == ["assets/orders.py:2: assets may not import alpaca"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("options/a.py", "import math\nimport numpy as np\nfrom mahler_pipelines.errors import E"),
        ("options/a.py", "from . import contracts"),
        ("market/sessions.py", "import exchange_calendars"),
        ("market/a.py", "from ..options import contracts"),
        ("exchange/a.py", "from mahler_pipelines.storage.lake import LakeReader"),
        ("orchestration/a.py", "import assets\nimport dagster"),
        ("composition.py", "from mahler_pipelines.settings import Settings"),
        ("cli/a.py", "from mahler_pipelines.web.app import app"),
        ("review/a.py", "import numpy as np\nrng = np.random.default_rng(7)"),
    ],
)
def test_lawful_import_passes(tmp_path: Path, path: str, source: str) -> None:
    plant(tmp_path, f"mahler_pipelines/{path}", source)
    assert violations(tmp_path) == []


def test_no_postponed_annotations_beside_dagster(repository_root: Path) -> None:
    """Dagster reads annotations as objects: postponed ones reach it as text."""
    offenders = []
    for module, path in modules(repository_root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {name for _, name in imported(tree, module, is_package=path.name == "__init__.py")}
        if any(name.split(".")[0] == "dagster" for name in names):
            offenders += [module] if "__future__.annotations" in names else []
    assert offenders == []
