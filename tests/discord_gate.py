"""What Discord's published specification says against requests and answers."""

import importlib.util
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SPECS = Path(__file__).parents[1].parent / "shared" / "specs"
BASE = "/api/v10"


@cache
def discord_gate() -> Any:
    """The gate over `discord-used.json`; the test is skipped where the specification is absent."""
    if not (SPECS / "gate.py").exists():
        pytest.skip("the shared specifications are not here")
    spec = importlib.util.spec_from_file_location("discord_specs_gate", SPECS / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return module.Gate(str(SPECS / "discord-used.json"), base=BASE)
