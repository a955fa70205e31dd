"""Pages of daily bars as the exchange writes them."""

import json
import math
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.exchange.wire.bars import bars_answer
from mahler_pipelines.exchange.wire.errors import WireRefusal

DAYS = [pd.Timestamp(2026, 11, day) for day in (2, 3, 4, 5)]
SYMBOLS = ["ACME261218C00100000", "ACME261218P00100000", "ZED261218P00007500"]


def page(table: pd.DataFrame, limit: int, token: str | None = None) -> dict[str, Any]:
    return dict(json.loads(bytes(bars_answer(table, "symbol", limit, token).body)))


def table_of(rows: list[tuple[str, pd.Timestamp]]) -> pd.DataFrame:
    prices = {"open": 1.5, "high": 2.1, "low": 0.1, "close": 0.1 + 0.2, "volume": 3.0}
    named = pd.DataFrame(rows, columns=["symbol", "session"])
    return named.assign(**prices)


def test_a_bar_is_written_as_alpaca_writes_it() -> None:
    table = table_of([(SYMBOLS[0], DAYS[0])])
    assert page(table, 10) == {
        "bars": {
            SYMBOLS[0]: [
                {
                    "t": "2026-11-02T05:00:00Z",
                    "o": 1.5,
                    "h": 2.1,
                    "l": 0.1,
                    "c": 0.1 + 0.2,
                    "v": 3,
                    "n": 0,
                    "vw": 0.1 + 0.2,
                }
            ]
        },
        "next_page_token": None,
    }


def test_bars_without_a_price_are_left_out_and_unknown_volume_is_none() -> None:
    table = table_of([(SYMBOLS[0], day) for day in DAYS])
    table.loc[0, "high"], table.loc[1, "open"] = math.nan, math.inf
    table.loc[2, "volume"] = math.nan
    bars = page(table, 10)["bars"][SYMBOLS[0]]
    assert [(bar["t"][:10], bar["v"]) for bar in bars] == [("2026-11-04", 0), ("2026-11-05", 3)]
    assert page(table.iloc[:0], 10) == {"bars": {}, "next_page_token": None}
    assert page(table.iloc[:2], 10) == {"bars": {}, "next_page_token": None}


ROWS = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(DAYS)), unique=True, min_size=1)


@given(rows=ROWS, limit=st.integers(1, 5))
def test_pages_together_are_the_whole_in_order(
    rows: list[tuple[str, pd.Timestamp]], limit: int
) -> None:
    table, seen, token = table_of(rows), list[tuple[str, str]](), None
    while True:
        answer = page(table, limit, token)
        bars = [(name, bar["t"][:10]) for name, some in answer["bars"].items() for bar in some]
        assert len(bars) <= limit
        seen += bars
        token = answer["next_page_token"]
        if token is None:
            break
        assert token == "|".join(bars[-1])
    assert seen == sorted((name, f"{day:%Y-%m-%d}") for name, day in rows)
    assert all(one < other for one, other in pairwise(seen))


def test_a_token_of_a_symbol_that_is_gone_goes_on_behind_it() -> None:
    table = table_of([(name, DAYS[0]) for name in (SYMBOLS[0], SYMBOLS[2])])
    assert list(page(table, 10, f"{SYMBOLS[1]}|2026-11-02")["bars"]) == [SYMBOLS[2]]


@pytest.mark.parametrize("token", ["", "nothing", "ACME|soon"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(WireRefusal) as raised:
        page(table_of([(SYMBOLS[0], DAYS[0])]), 10, token)
    assert raised.value.status == 400
