"""Columns of Alpaca's answers: what is missing, what is odd, and what is refused with its place."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.adapters.alpaca.chain_frames import (
    OccSymbols,
    bars_frame,
    chain_frame,
    share_prices,
    standard_contracts,
    stock_quotes_frame,
)
from mahler_pipelines.adapters.alpaca.wire_columns import WireRows
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.market.chains import QUOTE_COLUMNS
from mahler_pipelines.market.data import BAR_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK

WHAT = "GET /x"
PUT, CALL = "SPY261218P00600000", "SPY261218C00600500"


def rows(*found: dict[str, Any]) -> WireRows:
    return WireRows(WHAT, [f"N{place}" for place in range(len(found))], found)


def test_numbers_may_be_text_and_missing_ones_are_blank_null_or_absent() -> None:
    given = rows({"p": "1.25"}, {"p": 2}, {"p": ""}, {"p": None}, {}, {"p": 3.5, "new": [1]})
    expected = [1.25, 2.0, math.nan, math.nan, math.nan, 3.5]
    np.testing.assert_array_equal(given.reals("p"), expected)


@pytest.mark.parametrize("odd", ["a few", {"x": 1}, [1], "1,5"])
def test_what_is_no_number_is_refused_with_its_place(odd: object) -> None:
    with pytest.raises(BrokerUnavailable, match="GET /x: the answer is not understood at p"):
        rows({"p": 1.0}, {"p": odd}).reals("p")
    with pytest.raises(BrokerUnavailable, match="not understood at p"):
        rows({"p": odd}, {"p": odd}).reals("p")


def test_moments_are_read_with_their_zone_and_cut_at_the_microsecond() -> None:
    given = rows(
        {"t": "2026-11-20T10:00:00.123456789-05:00"}, {"t": "2026-11-20T15:00:00Z"}, {}, {"t": ""}
    )
    read = given.moments("t").series()
    assert read.dtype == "datetime64[us, UTC]"
    first = pd.Timestamp("2026-11-20T15:00:00.123456Z")
    assert read.tolist() == [first, pd.Timestamp("2026-11-20T15:00Z"), pd.NaT, pd.NaT]


@pytest.mark.parametrize("odd", ["2026-11-20T15:00:00", "soon", {"x": 1}])
def test_what_is_no_moment_is_refused_with_its_place(odd: object) -> None:
    with pytest.raises(BrokerUnavailable, match="not understood at t"):
        rows({"t": "2026-11-20T15:00:00Z"}, {"t": odd}).moments("t")


def test_a_day_is_new_yorks() -> None:
    days = rows({"t": "2026-11-20T05:00:00Z"}, {"t": "2026-11-20T04:59:59Z"}).moments("t")
    assert days.days(NEW_YORK).astype("datetime64[D]").astype(str).tolist() == [
        "2026-11-20",
        "2026-11-19",
    ]


def test_objects_may_be_null_at_any_level_and_nothing_else() -> None:
    given = WireRows.by_name({PUT: None, CALL: {"latestQuote": None}}, what=WHAT)
    np.testing.assert_array_equal(given.member("latestQuote").reals("bp"), [math.nan, math.nan])
    assert len(WireRows.by_name(None, what=WHAT)) == 0
    for found, place in (([], "its top"), ({PUT: 3}, PUT)):
        with pytest.raises(BrokerUnavailable, match=f"not understood at {place}"):
            WireRows.by_name(found, what=WHAT)
    with pytest.raises(BrokerUnavailable, match=rf"not understood at {PUT}\.latestQuote"):
        WireRows.by_name({PUT: {"latestQuote": "x"}}, what=WHAT).member("latestQuote")


@pytest.mark.parametrize("found", [{"SPY": {}}, {"SPY": [3]}, [], {"SPY": "x"}])
def test_bars_that_are_no_lists_of_objects_are_refused(found: object) -> None:
    with pytest.raises(BrokerUnavailable, match="GET /x: the answer is not understood"):
        WireRows.by_list(found, what=WHAT)


@pytest.mark.parametrize("found", [[{}], [{"symbol": 3}], [{"symbol": ""}], {"symbol": PUT}, [3]])
def test_a_contract_without_its_name_is_refused(found: object) -> None:
    with pytest.raises(BrokerUnavailable, match="GET /x: the answer is not understood"):
        WireRows.named_by(found, "symbol", what=WHAT)


def test_symbols_that_are_none_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    read = OccSymbols.parse(
        [PUT, "SPY", "SPY261318P00600000", CALL, "SPY26121\u0668P00600000"]
    ).frame()
    assert read["symbol"].tolist() == [PUT, CALL]
    assert read["right"].tolist() == [-1, 1]
    assert read["strike"].tolist() == [600.0, 600.5]
    assert read["expiration"].tolist() == [pd.Timestamp(2026, 12, 18)] * 2
    assert "not OCC symbols, left out: SPY, SPY261318P00600000" in caplog.text


def test_only_contracts_of_a_hundred_shares_stay_and_each_once() -> None:
    adjusted = "SPY1261218C00600000"
    listed = [
        {"symbol": PUT, "multiplier": "100", "size": 100, "open_interest": "12"},
        {"symbol": PUT, "open_interest": "99"},
        {"symbol": CALL, "size": "50"},
        {"symbol": adjusted},
        {"symbol": adjusted.replace("C", "P"), "multiplier": "100", "open_interest": ""},
    ]
    read = standard_contracts(WireRows.named_by(listed, "symbol", what=WHAT))
    assert list(read) == [PUT, adjusted.replace("C", "P")]
    np.testing.assert_array_equal(list(read.values()), [12.0, math.nan])


def test_a_snapshot_keeps_every_member_that_is_used() -> None:
    quote = {"t": "2026-11-20T15:00:00Z", "bp": 1.5, "bs": 10, "ap": 1.6, "as": 20}
    whole = {"latestQuote": quote, "latestTrade": {"p": 1.55}, "dailyBar": {"v": 7}}
    whole |= {"prevDailyBar": {"v": 9}, "greeks": {"delta": 0.3}}
    snapshots = WireRows.by_name({PUT: whole}, what=WHAT)
    chain = chain_frame(snapshots, {CALL: 5.0, PUT: 3.0}, underlying_prices={"SPY": 601.5})
    assert dict(chain.dtypes.astype(str)) == QUOTE_COLUMNS
    unquoted, row = chain.to_dict("records")
    assert row == {
        "underlying": "SPY",
        "symbol": PUT,
        "root": "SPY",
        "expiration": pd.Timestamp(2026, 12, 18),
        "right": -1,
        "strike": 600.0,
        "bid": 1.5,
        "ask": 1.6,
        "bid_size": 10.0,
        "ask_size": 20.0,
        "last": 1.55,
        "volume": 7.0,
        "previous_volume": 9.0,
        "open_interest": 3.0,
        "quote_time": pd.Timestamp("2026-11-20T15:00Z"),
        "underlying_price": 601.5,
    }
    assert unquoted["symbol"] == CALL
    assert unquoted["open_interest"] == 5.0
    missing = ["bid", "ask", "bid_size", "last", "volume", "previous_volume", "quote_time"]
    assert chain.loc[0, missing].isna().all()


def test_a_share_without_a_side_has_none_and_the_trade_may_date_it() -> None:
    index: dict[str, Any] = {"latestQuote": {"bp": 0, "ap": 0}}
    index |= {"latestTrade": {"p": 6000.5, "t": "2026-11-20T15:00:00Z"}}
    read = stock_quotes_frame(WireRows.by_name({"SPX": index}, what=WHAT))
    assert read[["bid", "ask"]].isna().all(axis=None)
    assert read["quote_time"].tolist() == [pd.Timestamp("2026-11-20T15:00Z")]
    assert share_prices(WireRows.by_name({"SPX": index}, what=WHAT)) == {"SPX": 6000.5}


def test_bars_come_by_symbol_and_session_whatever_their_order_was() -> None:
    def bar(day: int, close: float) -> dict[str, Any]:
        return {"t": f"2026-11-{day}T05:00:00Z", "o": 1, "h": 3, "l": 0.5, "c": close, "v": "8"}

    found = {"SPY": [bar(20, 2.0), bar(18, 1.0)], "IWM": [bar(19, 5.0)]}
    read = bars_frame(WireRows.by_list(found, what=WHAT), name="underlying", columns=BAR_COLUMNS)
    assert tuple(read.columns) == BAR_COLUMNS
    assert read["underlying"].tolist() == ["IWM", "SPY", "SPY"]
    assert read["session"].dt.day.tolist() == [19, 18, 20]
    assert read["close"].tolist() == [5.0, 1.0, 2.0]
    assert read["volume"].tolist() == [8.0] * 3
    assert read["session"].dtype == "datetime64[us]"


def test_answers_without_rows_are_empty_tables() -> None:
    none = WireRows(WHAT, [], [])
    assert bars_frame(none, name="symbol", columns=("symbol", "session", "close")).empty
    assert standard_contracts(none) == {}
    assert chain_frame(none, {}, underlying_prices={}).empty
    assert stock_quotes_frame(none).empty
