"""Refusals as a table: one row per thing refused, whatever its level."""

from typing import Any

import numpy as np
import pandas as pd

from mahler_pipelines.strategies.first_failures import FirstFailures
from mahler_pipelines.strategies.refusals import RefusalLevel

REFUSAL_COLUMNS: dict[str, str] = {
    "level": "str",
    "strategy": "str",
    "underlying": "str",
    "root": "str",
    "expiration": "datetime64[us]",
    "right": "int8",
    "subject": "str",
    "code": "str",
    "value": "float64",
    "limit": "float64",
}
"""Column -> dtype of a refusal. `strategy` and `root` are empty, `right` is zero and `expiration`
NaT where the level stands above them; `value` is NaN where there was nothing to measure."""

_BLANKS: dict[str, Any] = {"root": "", "expiration": pd.NaT, "right": 0}


def refusal_rows(
    level: RefusalLevel,
    *,
    strategy: str,
    rows: pd.DataFrame,
    subject: pd.Series,
    failures: FirstFailures,
) -> pd.DataFrame:
    """Return one row for each of `rows` that failed; `subject` says in words what it is."""
    refused = np.flatnonzero(~failures.passed)
    table = pd.DataFrame(index=pd.RangeIndex(refused.size))
    table["level"] = level.value
    table["strategy"] = strategy
    for column in ("underlying", "root", "expiration", "right"):
        if column in rows.columns:
            table[column] = rows[column].array[refused]
        else:
            table[column] = _BLANKS[column]
    table["subject"] = subject.array[refused]
    table["code"] = failures.names[refused]
    table["value"] = failures.value[refused]
    table["limit"] = failures.limit[refused]
    return table.astype(REFUSAL_COLUMNS)
