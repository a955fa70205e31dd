"""Housekeeping: old runs and temporary files go, so that a desk stays quick for years."""

from datetime import timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from pydantic import Field

from mahler_pipelines.market.lake import Lake

FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


class HousekeepingConfig(dg.Config):
    """How much history the instance keeps."""

    keep_days: float = Field(default=30.0, ge=0, description="Finished runs older than this go.")
    batch: int = Field(
        default=500, ge=1, description="How many runs one execution removes at most."
    )


@dg.op
def remove_old_runs(context: dg.OpExecutionContext, config: HousekeepingConfig) -> int:
    """Delete finished runs older than `keep_days`; running and queued ones are never touched."""
    import datetime as clock

    before = clock.datetime.now(clock.UTC) - timedelta(days=config.keep_days)
    old = context.instance.get_runs(
        RunsFilter(statuses=FINISHED, created_before=before), limit=config.batch
    )
    for run in old:
        if run.run_id != context.run_id:
            context.instance.delete_run(run.run_id)
    context.log.info("removed %d finished runs created before %s", len(old), before.isoformat())
    return len(old)


@dg.op
def remove_temporary_files(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> int:
    """Remove what killed writers left in the lake; files in use are younger than an hour."""
    removed = lake.remove_temporary_files()
    context.log.info("removed %d temporary files of killed writers", removed)
    return removed


@dg.job(
    description="Removes old runs from the Dagster instance and killed writers' temporary files "
    "from the lake; what the ledger and the lake hold stays."
)
def housekeeping() -> None:
    """Remove old runs and temporary files."""
    remove_old_runs()
    remove_temporary_files()
