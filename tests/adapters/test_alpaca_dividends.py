"""Cash dividends through the real alpaca-py: pages, dates of processing, and what is not known."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mahler_pipelines.adapters.alpaca import AlpacaConnection, AlpacaMarketData
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.market.data import DIVIDEND_COLUMNS
from tests.doubles.alpaca import AlpacaDouble, Answer, Seen

GATE = Path(__file__).parents[2].parent / "shared" / "specs" / "gate.py"
PATH = "/v1/corporate-actions"
START, END = date(2026, 11, 20), date(2026, 12, 31)


@pytest.fixture
def double() -> Iterator[AlpacaDouble]:
    with AlpacaDouble() as running:
        yield running
    assert _violations(running.seen) == []


@pytest.fixture
def market(double: AlpacaDouble) -> Iterator[AlpacaMarketData]:
    connection = AlpacaConnection(
        key_id="key",
        secret_key="hush",
        trading_url=double.url,
        data_url=double.url,
        read_attempts=2,
        first_wait_seconds=0.001,
    )
    made = AlpacaMarketData(connection)
    yield made
    made.close()


def _violations(requests: list[Seen]) -> list[str]:
    """Violations of Alpaca's published interface, where its files are at hand."""
    if not GATE.exists():
        return []
    spec = importlib.util.spec_from_file_location("specs_gate_of_dividends", GATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # The gate leaves the file that it reads to be closed by the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        spec.loader.exec_module(module)
        gate = module.Gate(str(GATE.parent / "alpaca-market-data-api.json"))
    found: list[str] = []
    for seen in requests:
        found += gate.request(seen.method, seen.target, seen.body)
    return found


def dividend(symbol: str, ex_date: str, rate: float, **more: Any) -> dict[str, Any]:
    """A row as Alpaca's documents show one: processed two weeks after its ex-date."""
    return {
        "id": f"{symbol}-{ex_date}",
        "symbol": symbol,
        "cusip": "319829107",
        "rate": rate,
        "special": False,
        "foreign": False,
        "process_date": "2026-12-15",
        "ex_date": ex_date,
        **more,
    }


def page(actions: dict[str, Any], token: str | None = None) -> Answer:
    return Answer({"corporate_actions": actions, "next_page_token": token})


def test_every_page_is_read_and_ordered(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    first = dividend("MSFT", "2026-11-27", 0.83, payable_date="2026-12-10")
    second = dividend("AAPL", "2026-12-01", 0.26, special=True)
    double.on(
        "GET", PATH, page({"cash_dividends": [first]}, "next"), page({"cash_dividends": [second]})
    )
    found = market.dividends(["MSFT", "AAPL"], start=START, end=END)
    assert dict(found.dtypes.astype(str)) == DIVIDEND_COLUMNS
    assert found["underlying"].to_list() == ["AAPL", "MSFT"]
    assert found["amount"].to_list() == [0.26, 0.83]
    assert found["special"].to_list() == [True, False]
    assert found["ex_date"].to_list() == [pd.Timestamp("2026-12-01"), pd.Timestamp("2026-11-27")]
    assert pd.isna(found["payable_date"][0])
    assert found["payable_date"][1] == pd.Timestamp("2026-12-10")
    assert [seen.query.get("page_token") for seen in double.seen] == [None, "next"]


def test_range_is_of_ex_dates_though_alpaca_selects_by_the_day_it_pays(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    """A dividend that goes ex tomorrow and is paid in a month is not missed."""
    rows = [
        dividend("XOM", "2026-11-19", 1.0),
        dividend("XOM", "2026-11-20", 1.1),
        dividend("XOM", "2026-12-31", 1.2),
        dividend("XOM", "2027-01-01", 1.3),
    ]
    double.on("GET", PATH, page({"cash_dividends": rows}))
    found = market.dividends(["XOM"], start=START, end=END)
    assert found["amount"].to_list() == [1.1, 1.2]
    (asked,) = double.seen
    assert asked.query["start"] == "2026-11-20"
    assert asked.query["end"] == "2027-04-30"
    assert asked.query["types"] == "cash_dividend"


@pytest.mark.parametrize("actions", [{}, {"cash_dividends": []}, {"cash_dividends": None}])
def test_none_declared_is_an_empty_table(
    double: AlpacaDouble, market: AlpacaMarketData, actions: dict[str, Any]
) -> None:
    double.on("GET", PATH, page(actions))
    found = market.dividends(["XOM"], start=START, end=END)
    assert dict(found.dtypes.astype(str)) == DIVIDEND_COLUMNS
    assert len(found) == 0


def test_other_actions_are_counted_and_left_out(
    double: AlpacaDouble, market: AlpacaMarketData, caplog: pytest.LogCaptureFixture
) -> None:
    """A kind that nobody knows yet does no harm, whatever its rows hold."""
    known = dividend("XOM", "2026-11-27", 1.0, sub_type="return_of_capital")
    others = {"tender_offers": [{"a": 1}, {"b": None}], "forward_splits": [{"symbol": "XOM"}]}
    double.on("GET", PATH, page({"cash_dividends": [known]} | others))
    with caplog.at_level(logging.WARNING):
        found = market.dividends(["XOM"], start=START, end=END)
    assert len(found) == 1
    assert "'tender_offers': 2" in caplog.text
    assert "'forward_splits': 1" in caplog.text


def test_dividend_that_is_not_understood_is_an_error_and_never_none(
    double: AlpacaDouble, market: AlpacaMarketData
) -> None:
    row = dividend("XOM", "2026-11-27", 1.0)
    del row["rate"]
    double.on("GET", PATH, page({"cash_dividends": [row]}))
    with pytest.raises(BrokerUnavailable, match="rate"):
        market.dividends(["XOM"], start=START, end=END)


def test_index_is_not_asked_about(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    assert len(market.dividends(["SPX", "VIX"], start=START, end=END)) == 0
    assert double.seen == []
    double.on("GET", PATH, page({}))
    market.dividends(["SPX", "XOM"], start=START, end=END)
    assert [seen.query["symbols"] for seen in double.seen] == ["XOM"]


def test_many_symbols_are_asked_in_parts(double: AlpacaDouble, market: AlpacaMarketData) -> None:
    names = [f"A{chr(65 + number // 26)}{chr(65 + number % 26)}" for number in range(150)]
    double.on_call(
        "GET",
        PATH,
        lambda seen: page(
            {"cash_dividends": [dividend(seen.query["symbols"].split(",")[0], "2026-11-27", 0.5)]}
        ),
    )
    found = market.dividends([*names, names[0]], start=START, end=END)
    assert found["underlying"].to_list() == [names[0], names[100]]
    assert double.count("GET", PATH) == 2
