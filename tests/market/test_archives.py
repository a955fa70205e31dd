"""Layouts are recognised by header; every row is kept or quarantined for a reason."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.market.archive_layouts import Layout, name_in_file, recognise
from mahler_pipelines.market.archive_rules import parse_dates, parse_numbers
from mahler_pipelines.market.archive_series import read_bars, read_rates, read_volatility_indices
from mahler_pipelines.market.archives import fill_previous_volume, read_chain
from mahler_pipelines.market.chains import QUOTE_COLUMNS
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.contracts import Right, occ_symbol

CALENDAR = TradingCalendar()
NEW_YORK = ZoneInfo("America/New_York")

CHAIN = ["quote_date", "symbol", "root", "expiration", "type", "strike", "bid", "ask"]
OPTIONSDX = [
    "[QUOTE_DATE]",
    " [EXPIRE_DATE]",
    " [STRIKE]",
    " [C_BID]",
    " [C_ASK]",
    " [P_BID]",
    " [P_ASK]",
]
CBOE = ["underlying_symbol", "quote_date", "root", "expiration", "strike", "option_type"]
OPTIONMETRICS = ["secid", "date", "symbol", "exdate", "cp_flag", "strike_price"]


@pytest.mark.parametrize(
    ("columns", "name", "layout"),
    [
        ([*CHAIN, "vendor_extra"], "x.parquet", Layout.CHAIN),
        ([column.upper() for column in CHAIN], "x.csv", Layout.CHAIN),
        (OPTIONSDX, "spx_eod_2019.txt", Layout.OPTIONSDX),
        ([*CBOE, "bid_1545", "ask_1545", "bid_eod", "ask_eod"], "x.csv", Layout.CBOE_1545),
        ([*CBOE, "bid_eod", "ask_eod"], "x.csv", Layout.CBOE_EOD),
        (CBOE, "x.csv", None),
        ([*OPTIONMETRICS, "best_bid", "best_offer"], "x.csv", Layout.OPTIONMETRICS),
        (["date", "symbol", "open", "high", "low", "close"], "x.csv", Layout.DAILY_BARS),
        (["Date", "Open", "High", "Low", "Close"], "SPY.csv", Layout.DAILY_BARS),
        (["DATE", "OPEN", "HIGH", "LOW", "CLOSE"], "VIX_History.csv", Layout.VOLATILITY_INDEX_BARS),
        (["date", "VIX", "VXN"], "x.csv", Layout.VOLATILITY_INDICES),
        (["\ufeffobservation_date", "DGS3MO"], "x.csv", Layout.RATES),
        (["date", "price"], "x.csv", None),
        ([], "x.csv", None),
    ],
)
def test_layouts_are_recognised(columns: list[str], name: str, layout: Layout | None) -> None:
    assert recognise(columns, name) is layout


def test_a_files_name_starts_with_its_symbol() -> None:
    names = [
        "spx_eod_2019.txt",
        "VIX_History.csv",
        "SPY.csv.gz",
        "qqq 2020.csv",
        "folder/iwm-x.txt",
    ]
    assert [name_in_file(name) for name in names] == ["SPX", "VIX", "SPY", "QQQ", "IWM"]


def test_dates_of_all_vendors_are_read() -> None:
    texts = [
        "2019-05-13",
        " 20190513 ",
        "05/13/2019",
        "13MAY2019",
        "2019-05-13T00:00:00",
        "20190513.0",
    ]
    parsed = parse_dates(pd.Series([*texts, "", "2019-13-05", "never", None]))
    assert parsed.iloc[: len(texts)].eq(pd.Timestamp("2019-05-13")).all()
    assert parsed.iloc[len(texts) :].isna().all()
    numbers = parse_dates(pd.Series([20190513, 99]))
    assert numbers.iloc[0] == pd.Timestamp("2019-05-13")
    assert numbers.isna().to_list() == [False, True]
    aware = parse_dates(pd.Series(pd.to_datetime(["2019-05-13 16:00"], utc=True)))
    assert aware.to_list() == [pd.Timestamp("2019-05-13")]


def test_a_missing_number_is_not_an_unreadable_one() -> None:
    values, unreadable = parse_numbers(
        pd.Series([" 1.5", "", ".", "NaN", None, "1,5", "x", "-2e3"])
    )
    assert unreadable.to_list() == [False, False, False, False, False, True, True, False]
    assert values.iloc[[0, 7]].to_list() == [1.5, -2000.0]
    assert values.iloc[1:7].isna().all()


def _chain(**changes: object) -> pd.DataFrame:
    row: dict[str, object] = {
        "quote_date": date(2019, 5, 13),
        "symbol": "SPX",
        "root": "SPXW",
        "expiration": date(2019, 6, 21),
        "type": "P",
        "strike": 2800.0,
        "bid": 10.0,
        "ask": 10.4,
        "last": 10.2,
        "volume": 12,
        "open_interest": 340,
        "underlying": 2811.9,
    }
    return pd.DataFrame([row | changes])


def test_a_quote_is_conformed_with_its_symbol_and_the_minute_before_the_close() -> None:
    found = read_chain(_chain(), Layout.CHAIN, source_file="x.csv", calendar=CALENDAR)
    assert found.quarantined.empty
    assert found.defects == {}
    quotes = found.rows.drop(columns="session")
    assert {name: str(dtype) for name, dtype in quotes.dtypes.items()} == QUOTE_COLUMNS
    row = quotes.iloc[0]
    assert (row["symbol"], row["underlying"], row["root"]) == ("SPXW190621P02800000", "SPX", "SPXW")
    assert row["quote_time"] == datetime(2019, 5, 13, 15, 59, tzinfo=NEW_YORK)
    assert (row["underlying_price"], row["volume"], row["open_interest"]) == (2811.9, 12, 340)
    assert np.isnan(row[["bid_size", "ask_size", "previous_volume"]].astype(float)).all()


def test_an_early_close_moves_the_quote_time() -> None:
    found = read_chain(
        _chain(quote_date="2019-07-03", expiration="2019-07-19"),
        Layout.CHAIN,
        source_file="x.csv",
        calendar=CALENDAR,
    )
    assert found.rows["quote_time"].iloc[0] == datetime(2019, 7, 3, 12, 59, tzinfo=NEW_YORK)


@settings(max_examples=60, deadline=None)
@given(
    root=st.from_regex(r"[A-Z]{1,6}[0-9]?", fullmatch=True),
    expiration=st.dates(date(2019, 5, 13), date(2031, 12, 31)),
    right=st.sampled_from([Right.CALL, Right.PUT]),
    thousandths=st.integers(1, 99_999_999),
)
def test_symbols_are_those_of_the_contracts_module(
    root: str, expiration: date, right: Right, thousandths: int
) -> None:
    table = _chain(
        root=root, expiration=expiration, type=right.letter, strike=thousandths / 1000, symbol="X"
    )
    found = read_chain(table, Layout.CHAIN, source_file="x.csv", calendar=CALENDAR)
    assert found.rows["symbol"].to_list() == [
        occ_symbol(root, expiration, right, thousandths / 1000)
    ]


def test_every_row_is_kept_or_quarantined_once() -> None:
    table = pd.concat(
        [_chain(), _chain(), _chain(bid=-1.0, strike=0.0), _chain(ask=np.inf, strike=2810.0)],
        ignore_index=True,
    )
    found = read_chain(table, Layout.CHAIN, source_file="x.csv", calendar=CALENDAR)
    assert found.row_numbers.tolist() == [1]
    assert found.quarantined["row_number"].to_list() == [2, 3, 4]
    assert found.quarantined["reason"].to_list() == [
        "repeated_row",
        "strike_unreadable",
        "price_not_finite",
    ]
    assert '"ask": "inf"' in found.quarantined["raw"].iloc[2]


def test_a_good_friday_moves_the_monthly_of_an_index_to_thursday() -> None:
    """2019-04-19 was a Good Friday: SPX expired on the Thursday, which is no SPXW then."""
    side = {"C_BID": 1, "C_ASK": 1.1, "P_BID": 1, "P_ASK": 1.1}
    rows = [
        {"QUOTE_DATE": "2019-04-15", "EXPIRE_DATE": day, "STRIKE": 2900} | side
        for day in ("2019-04-17", "2019-04-18", "2019-05-16", "2019-05-17", "2019-05-31")
    ]
    found = read_chain(
        pd.DataFrame(rows), Layout.OPTIONSDX, source_file="spx_eod.txt", calendar=CALENDAR
    )
    calls = found.rows.loc[found.rows["right"] == 1]
    assert calls["root"].to_list() == ["SPXW", "SPX", "SPXW", "SPX", "SPXW"]
    assert found.defects["root_inferred"] == 10


def test_dates_outside_the_calendar_are_no_sessions() -> None:
    table = pd.DataFrame({"date": ["1929-10-29"], "symbol": ["SPX"]}).assign(
        open=1.0, high=1.0, low=1.0, close=1.0
    )
    found = read_bars(table, source_file="x.csv", calendar=CALENDAR)
    assert found.quarantined["reason"].to_list() == ["session_closed"]


def test_an_empty_cell_of_an_index_is_no_row() -> None:
    table = pd.DataFrame(
        {"date": ["2019-05-13", "2019-05-14"], "VIX": [20.5, np.nan], "VXN": ["25", "26"]}
    )
    found = read_volatility_indices(
        table, Layout.VOLATILITY_INDICES, source_file="x.csv", calendar=CALENDAR
    )
    assert found.rows["name"].to_list() == ["VIX", "VXN", "VXN"]
    assert found.rows["close"].to_list() == [20.5, 25.0, 26.0]
    assert found.row_numbers.tolist() == [1, 1, 2]


def test_rates_do_not_need_a_session() -> None:
    table = pd.DataFrame({"date": ["2019-05-27", "x"], "DFF": [2.38, 1.0]})
    found = read_rates(table, source_file="x.csv")
    assert found.rows["value"].to_list() == [2.38]
    assert found.quarantined["reason"].to_list() == ["date_unreadable"]


def test_previous_volume_is_unknown_without_the_session_before() -> None:
    quotes = pd.DataFrame({"symbol": ["A", "B"], "volume": [1.0, 2.0]})
    before = pd.DataFrame({"symbol": ["B", "C"], "volume": [7.0, 8.0]})
    assert fill_previous_volume(quotes, None)["previous_volume"].isna().all()
    filled = fill_previous_volume(quotes, before)["previous_volume"]
    assert np.isnan(filled.iloc[0])
    assert filled.iloc[1] == 7.0
