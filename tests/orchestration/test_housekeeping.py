"""Housekeeping: old finished runs go, everything else stays."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster import DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from pydantic import ValidationError

from mahler_pipelines.orchestration.housekeeping import housekeeping
from mahler_pipelines.storage.lake import ParquetLake

SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """Do nothing."""
    nothing()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        str(tmp_path), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        yield instance


def clean(instance: dg.DagsterInstance, **config: float) -> dg.ExecuteInProcessResult:
    ops = {"ops": {"remove_old_runs": {"config": config}}}
    lake = ParquetLake(Path(instance.root_directory) / "lake")
    return housekeeping.execute_in_process(
        run_config={**SILENT, **ops}, instance=instance, resources={"lake": lake}
    )


ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), "idle"
)


def run_in(instance: dg.DagsterInstance, status: DagsterRunStatus) -> str:
    return instance.create_run_for_job(idle, status=status, remote_job_origin=ORIGIN).run_id


def ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_only_finished_runs_go(kept: dg.DagsterInstance) -> None:
    """A run that waits or works would be lost with its record."""
    finished = {
        run_in(kept, status)
        for status in (
            DagsterRunStatus.SUCCESS,
            DagsterRunStatus.FAILURE,
            DagsterRunStatus.CANCELED,
        )
    }
    waiting = {
        run_in(kept, status)
        for status in (
            DagsterRunStatus.QUEUED,
            DagsterRunStatus.NOT_STARTED,
            DagsterRunStatus.STARTING,
            DagsterRunStatus.STARTED,
            DagsterRunStatus.CANCELING,
        )
    }
    result = clean(kept, keep_days=0)
    assert result.output_for_node("remove_old_runs") == len(finished)
    assert ids(kept) == waiting | {result.run_id}


def test_runs_younger_than_the_limit_stay(kept: dg.DagsterInstance) -> None:
    young = idle.execute_in_process(run_config=SILENT, instance=kept).run_id
    assert clean(kept).output_for_node("remove_old_runs") == 0
    assert young in ids(kept)


def test_one_execution_removes_at_most_its_batch(kept: dg.DagsterInstance) -> None:
    for _ in range(3):
        run_in(kept, DagsterRunStatus.SUCCESS)
    result = clean(kept, keep_days=0, batch=2)
    assert result.output_for_node("remove_old_runs") == 2
    assert len(ids(kept)) == 2


def test_negative_age_is_refused(kept: dg.DagsterInstance) -> None:
    """It would remove the runs of the future too: everything."""
    run_in(kept, DagsterRunStatus.SUCCESS)
    with pytest.raises(ValidationError, match="keep_days"):
        clean(kept, keep_days=-1)
    assert len(ids(kept)) == 2


def test_what_a_killed_writer_left_goes_from_the_lake(kept: dg.DagsterInstance) -> None:
    """A file that is still being written is young, and stays."""
    lake = ParquetLake(Path(kept.root_directory) / "lake")
    day = date(2025, 3, 3)
    whole = Path(lake.root) / lake.write("candles", pd.DataFrame({"close": [1.0]}), session=day)
    left, young = whole.with_name(".part.parquet.a.tmp"), whole.with_name(".part.parquet.b.tmp")
    for path in (left, young):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert clean(kept).output_for_node("remove_temporary_files") == 1
    assert (left.exists(), young.exists(), whole.exists()) == (False, True, True)
