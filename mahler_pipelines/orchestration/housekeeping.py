"""Housekeeping: old runs go, so that a desk that runs for years stays quick."""

from datetime import timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from pydantic import Field

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


@dg.job(description="Removes old runs from the Dagster instance; what the ledger holds stays.")
def housekeeping() -> None:
    """Remove old runs."""
    remove_old_runs()
