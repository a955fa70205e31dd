"""The Dagster instance of a book: its home, its configuration, its approval sensor."""

import os
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import dagster as dg

from mahler_pipelines.errors import MissingData

CONFIGURATION = "dagster.yaml"
BEGUN = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def dagster_configuration() -> Path:
    """Where `dagster.yaml` is: at the root of a checkout, or inside the installed package."""
    checkout = Path(__file__).resolve().parents[2] / CONFIGURATION
    if checkout.is_file():
        return checkout
    return Path(str(resources.files("mahler_pipelines").joinpath(CONFIGURATION)))


def prepare_home(home: Path) -> Path:
    """Create a book's Dagster home with the project's configuration in it."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(dagster_configuration(), home / CONFIGURATION)
    return home


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open the persisted instance of a book and point DAGSTER_HOME at it."""
    prepare_home(home)
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def end_orphaned_runs(home: Path) -> int:
    """Mark runs as failed whose processes ended with an earlier program; return how many.

    Only for who has claimed the book: nothing else can be running its graph then. Creates all
    databases of the home that are not there yet.
    """
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for storage in (
            instance.run_storage,
            instance.event_log_storage,
            instance.schedule_storage,
        ):
            if storage is None:
                raise MissingData(f"{home / CONFIGURATION} leaves out a storage")
        orphaned = instance.get_runs(dg.RunsFilter(statuses=BEGUN))
        for run in orphaned:
            instance.report_run_failed(run, "its process ended with an earlier program")
    return len(orphaned)


def execution_run_requests(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> Sequence[dg.RunRequest]:
    """Evaluate `approval_sensor` once, here and now, and apply the partitions it asks for."""
    sensor = definitions.resolve_sensor_def("approval_sensor")
    with (
        dg.partition_loading_context(dynamic_partitions_store=instance),
        dg.build_sensor_context(
            instance=instance,
            repository_def=definitions.get_repository_def(),
            resources=dict(definitions.resources or {}),
        ) as context,
    ):
        tick = sensor.evaluate_tick(context)
    for request in tick.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return list(tick.run_requests or [])
