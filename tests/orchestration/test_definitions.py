"""Definitions: the whole graph loads, says what it is, and belongs to its account."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets import candidates, history, market, volatility
from mahler_pipelines.definitions import account_assets, build_definitions
from mahler_pipelines.orchestration.jobs import all_jobs
from mahler_pipelines.orchestration.partitions import (
    SESSIONS_PER_RUN,
    recommendations_of,
    session_scans,
    sessions,
)
from mahler_pipelines.orchestration.schedules import NEW_YORK, all_schedules
from mahler_pipelines.orchestration.sensors import all_sensors
from mahler_pipelines.settings import Settings

SHARED = {
    "underlying_bars",
    "option_chains",
    "implied_volatilities",
    "iv_history",
    "iv_ranks",
    "volatility_regimes",
    "volatility_metrics",
    "screened_candidates",
    "past_volatilities",
    "dividends",
}
BY_SCAN = {"theses", "recommendations"}
BY_RECOMMENDATION = {"orders", "fills"}
BY_SESSION = {
    "positions",
    "exits",
    "daily_performance",
    "counterfactuals",
    "reflections",
    "playbook",
    "session_briefs",
    "day_summaries",
    "learning_reports",
}
OF_AN_ACCOUNT = BY_SCAN | BY_RECOMMENDATION | BY_SESSION


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    home = tmp_path_factory.mktemp("home")
    return build_definitions(Settings.load({"home": str(home)}, directory=home, environ={}))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_definitions_load_quietly_with_warnings_as_errors(
    repository_root: Path, tmp_path: Path
) -> None:
    """No exception is needed: nothing that warns is imported before a run needs it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAHLER_")}
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import mahler_pipelines.definitions"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(repository_root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == [], "loading the graph writes nothing"


def test_every_definition_resolves(definitions: dg.Definitions) -> None:
    """Jobs, partitions, resources and automation fit together: what a code location checks."""
    dg.Definitions.validate_loadable(definitions)
    assert definitions.resolve_job_def("market_scan").name == "market_scan"


def test_graph_holds_every_asset_of_the_design(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) >= SHARED | {f"main/{name}" for name in OF_AN_ACCOUNT}
    assert {key for key in specs if "/" in key} == {f"main/{name}" for name in OF_AN_ACCOUNT}


def test_every_asset_says_what_one_of_its_rows_is(specs: dict[str, dg.AssetSpec]) -> None:
    silent = [key for key, spec in specs.items() if "Grain:" not in (spec.description or "")]
    assert silent == []


def test_every_asset_has_group_kinds_and_code_version(specs: dict[str, dg.AssetSpec]) -> None:
    bare = [
        key
        for key, spec in specs.items()
        if spec.group_name in (None, "default") or not spec.kinds or not spec.code_version
    ]
    assert bare == []


def test_assets_are_cut_along_their_grain(specs: dict[str, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        name = spec.key.path[-1]
        if name in BY_RECOMMENDATION:
            assert spec.partitions_def == recommendations_of("main"), key
        elif name in BY_SESSION | {"past_volatilities"}:
            assert spec.partitions_def == sessions, key
        else:
            assert spec.partitions_def == session_scans, key


def test_feedback_is_no_edge(specs: dict[str, dg.AssetSpec]) -> None:
    """Theses read the playbook from the ledger; an edge back would be a circle."""
    for name in ("theses", "recommendations"):
        upstream = {dep.asset_key.path[-1] for dep in specs[f"main/{name}"].deps}
        assert upstream.isdisjoint({"playbook", "positions", "reflections"}), name


def test_backfill_takes_a_quarter_a_run_and_no_scan_waits_for_it(
    definitions: dg.Definitions,
) -> None:
    """252 sessions are four runs, not 252; and the jobs of a trading day hold none of them."""
    job = definitions.resolve_job_def("volatility_backfill")
    assert job.backfill_policy == dg.BackfillPolicy.multi_run(SESSIONS_PER_RUN)
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert selected == {"past_volatilities"}
    for name in ("market_scan", "order_execution", "position_watch", "end_of_day"):
        keys = definitions.resolve_job_def(name).asset_layer.executable_asset_keys
        assert dg.AssetKey("past_volatilities") not in keys, name


def test_backfill_stands_behind_everything_else(definitions: dg.Definitions) -> None:
    def priority(name: str) -> int:
        return int(definitions.resolve_job_def(name).tags.get("dagster/priority", 0))

    others = {job.name for job in all_jobs()} - {"volatility_backfill"}
    assert priority("volatility_backfill") < min(map(priority, others))


def test_one_run_of_a_backfill_at_a_time_leaves_places_for_approvals(
    repository_root: Path,
) -> None:
    """Dagster tags every run of a backfill, whoever starts it; without a limit they take all."""
    configured = yaml.safe_load((repository_root / "dagster.yaml").read_text())
    queue = configured["run_coordinator"]["config"]
    limits = {limit["key"]: limit for limit in queue["tag_concurrency_limits"]}
    assert limits["dagster/backfill"] == {"key": "dagster/backfill", "limit": 1}
    assert queue["max_concurrent_runs"] > 1


def _checks(definitions: dg.Definitions) -> Iterator[dg.AssetCheckSpec]:
    for assets in definitions.assets or ():
        assert isinstance(assets, dg.AssetsDefinition)
        yield from assets.check_specs


def test_every_check_is_described(definitions: dg.Definitions) -> None:
    found = list(_checks(definitions))
    assert {check.name for check in found} >= {
        "chains_can_be_trusted",
        "iv_ranks_within_bounds",
        "past_volatilities_are_believable",
        "every_pair_is_accounted_for",
        "cash_agrees_to_the_cent",
    }
    assert [check.name for check in found if not check.description] == []


def test_every_job_schedule_and_sensor_is_described() -> None:
    parts = [*all_jobs(), *all_schedules(), *all_sensors()]
    assert len({part.name for part in parts}) == len(parts)
    assert [part.name for part in parts if not part.description] == []


def test_every_resource_is_described(definitions: dg.Definitions) -> None:
    described = {
        name: resource.description
        for name, resource in (definitions.resources or {}).items()
        if isinstance(resource, dg.ResourceDefinition) and name != "io_manager"
    }
    assert {"lake", "ledger", "broker", "market_data", "analyst", "terms"} <= set(described)
    assert all(described.values())


def test_schedules_are_in_new_york_time() -> None:
    assert NEW_YORK == "America/New_York"
    assert {schedule.execution_timezone for schedule in all_schedules()} == {NEW_YORK}


def test_schedules_and_sensors_run_from_the_first_start() -> None:
    """A desk whose approvals do nothing until somebody finds a switch is broken."""
    assert {s.default_status for s in all_schedules()} == {dg.DefaultScheduleStatus.RUNNING}
    assert {s.default_status for s in all_sensors()} == {dg.DefaultSensorStatus.RUNNING}


def test_second_account_builds_beside_the_first(definitions: dg.Definitions) -> None:
    """Market assets are shared; what belongs to an account carries its name."""
    both = dg.Definitions(
        assets=[
            *dg.load_assets_from_modules([market, history, volatility, candidates]),
            *account_assets("main"),
            *account_assets("second"),
        ],
        resources=definitions.resources,
    )
    graph = both.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    for account in ("main", "second"):
        assert {f"{account}/{name}" for name in OF_AN_ACCOUNT} <= keys
        others = {"main", "second"} - {account}
        for name in OF_AN_ACCOUNT:
            parents = graph.get(dg.AssetKey([account, name])).parent_keys
            assert others.isdisjoint(key.path[0] for key in parents), name
    assert {f"{account}/{name}" for account in ("main", "second") for name in OF_AN_ACCOUNT} == {
        key for key in keys if "/" in key
    }


def test_account_of_the_settings_names_the_assets(tmp_path: Path) -> None:
    settings = Settings.load(
        {"home": str(tmp_path), "account": "second"}, directory=tmp_path, environ={}
    )
    keys = {
        spec.key.to_user_string() for spec in build_definitions(settings).resolve_all_asset_specs()
    }
    assert {key for key in keys if "/" in key} == {f"second/{name}" for name in OF_AN_ACCOUNT}


def test_building_the_graph_opens_nothing(tmp_path: Path) -> None:
    """A code location that loads must not need a broker, a database or a folder."""
    build_definitions(
        Settings.load({"home": str(tmp_path / "home")}, directory=tmp_path, environ={})
    )
    assert not (tmp_path / "home").exists()
