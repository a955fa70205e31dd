"""A snapshot's identity is its content, and nothing else."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import (
    QUOTE_COLUMNS,
    ChainSnapshot,
    conform_quotes,
    empty_quotes,
)
from tests.market.volatility_cases import model_chain

SESSION = date(2019, 6, 3)
AS_OF = datetime(2019, 6, 3, 19, 59, tzinfo=UTC)


def _snapshot(quotes: pd.DataFrame) -> ChainSnapshot:
    return ChainSnapshot(session=SESSION, scan="close", as_of=AS_OF, quotes=quotes)


QUOTES = model_chain("SPY", spot=280.0, as_of=AS_OF, strikes=np.arange(270.0, 291.0, 5.0))


@settings(max_examples=25)
@given(st.permutations(list(range(len(QUOTES)))))
def test_hash_does_not_depend_on_row_order(order: list[int]) -> None:
    assert _snapshot(QUOTES.iloc[order]).content_hash == _snapshot(QUOTES).content_hash


@pytest.mark.parametrize("column", list(QUOTE_COLUMNS))
def test_hash_changes_with_any_value(column: str) -> None:
    changed = QUOTES.copy()
    row = changed.index[3]
    value: Any = changed.at[row, column]
    if column == "right":
        changed.at[row, column] = -value
    elif isinstance(value, str):
        changed.at[row, column] = value + "X"
    elif isinstance(value, pd.Timestamp):
        changed.at[row, column] = value + pd.Timedelta(days=1)
    else:
        changed.at[row, column] = 0.015625 if pd.isna(value) else np.nextafter(value, np.inf)
    assert _snapshot(changed).content_hash != _snapshot(QUOTES).content_hash


def test_hash_changes_with_session_scan_and_moment() -> None:
    base = _snapshot(QUOTES)
    others = [
        ChainSnapshot(date(2019, 6, 4), "close", AS_OF, QUOTES),
        ChainSnapshot(SESSION, "midday", AS_OF, QUOTES),
        ChainSnapshot(SESSION, "close", AS_OF.replace(minute=58), QUOTES),
        ChainSnapshot(SESSION, "close", AS_OF, QUOTES.iloc[1:]),
    ]
    assert len({base.content_hash, *(other.content_hash for other in others)}) == 5


def test_hash_does_not_depend_on_further_columns() -> None:
    assert _snapshot(QUOTES.assign(note="x")).content_hash == _snapshot(QUOTES).content_hash


def test_snapshot_needs_a_zone_and_every_column() -> None:
    with pytest.raises(BadInput, match="zone"):
        ChainSnapshot(SESSION, "close", AS_OF.replace(tzinfo=None), QUOTES)
    with pytest.raises(BadInput, match="ask"):
        _snapshot(QUOTES.drop(columns="ask"))


def test_conform_fills_numbers_and_refuses_unidentified_rows() -> None:
    bare = QUOTES[["underlying", "symbol", "root", "expiration", "right", "strike"]]
    conformed = conform_quotes(bare)
    assert {name: str(dtype) for name, dtype in conformed.dtypes.items()} == QUOTE_COLUMNS
    assert conformed["bid"].isna().all()
    with pytest.raises(BadInput, match="strike"):
        conform_quotes(bare.drop(columns="strike"))


def test_empty_chain_has_every_column_in_its_dtype() -> None:
    dtypes = {name: str(dtype) for name, dtype in empty_quotes().dtypes.items()}
    assert dtypes == QUOTE_COLUMNS
    assert _snapshot(empty_quotes()).content_hash
