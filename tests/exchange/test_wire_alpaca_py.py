"""The real alpaca-py against the exchange; where the published specification is there, every
request and answer is checked against it."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import (
    CorporateActionsRequest,
    OptionBarsRequest,
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionSnapshotRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetStatus,
    OrderClass,
    OrderSide,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    GetCalendarRequest,
    GetOptionContractsRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
)

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import FAR, NEAR, OPENING, HandMadeMarket, call, put
from tests.exchange.serving import served

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"


@dataclass
class Wire:
    """The address, the clients, and everything that went over the wire."""

    url: str
    market: HandMadeMarket
    seen: list[tuple[requests.PreparedRequest, requests.Response]] = field(default_factory=list)

    def client(self, kind: type[Any]) -> Any:
        """A real client whose answers are kept."""
        made = kind("local-main", "local-secret", url_override=self.url)
        made._session.trust_env = False
        made._session.hooks["response"].append(self._keep)
        return made

    def advance(self, to: datetime) -> None:
        """Move the exchange's clock."""
        with requests.Session() as session:
            session.trust_env = False
            session.post(
                f"{self.url}/control/clock", json={"to": to.isoformat()}
            ).raise_for_status()

    def _keep(self, answer: requests.Response, **_: Any) -> None:
        self.seen.append((answer.request, answer))


@cache
def _gates() -> tuple[Any, Any]:
    """The trading and the market data specification."""
    path = SPECS / "gate.py"
    gate = ModuleType("gate")
    exec(compile(path.read_text(), str(path), "exec"), gate.__dict__)  # noqa: S102 read-only input
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files it reads open
        return (
            gate.Gate(str(SPECS / "alpaca-trading-api.overlay.json")),
            gate.Gate(str(SPECS / "alpaca-market-data-api.json")),
        )


def violations(wire: Wire) -> list[str]:
    """What the specification says against everything that went over the wire.

    Answers of 400 and above are left out: the published files describe hardly any.
    """
    if not (SPECS / "gate.py").exists():
        pytest.skip("../shared/specs is not there")
    trading, data = _gates()
    found: list[str] = []
    for request, answer in wire.seen:
        method, url = str(request.method), str(request.url)
        judge = trading if trading.find(method, url) else data
        body = json.loads(str(request.body, "utf-8")) if isinstance(request.body, bytes) else None
        found += [f"{method} {url}: {error}" for error in judge.request(method, url, body)]
        if answer.status_code < 400:
            content = answer.json() if answer.content else None
            errors = judge.response(method, url, answer.status_code, content)
            found += [f"{method} {url} answer: {error}" for error in errors]
    return found


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    market = HandMadeMarket(
        settlements={("XYZ", NEAR): SettlementValue(Decimal(93), "test")},
        paid={"XYZ": ((date(2026, 11, 24), Decimal("0.37")),)},
    )
    exchange = Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))
    with served(build_wire(exchange)) as url:
        yield Wire(url, market)


def condor(*, expiration: date = FAR, **more: Any) -> LimitOrderRequest:
    legs = [
        (put(95, expiration), OrderSide.SELL, PositionIntent.SELL_TO_OPEN),
        (put(90, expiration), OrderSide.BUY, PositionIntent.BUY_TO_OPEN),
        (call(105, expiration), OrderSide.SELL, PositionIntent.SELL_TO_OPEN),
        (call(110, expiration), OrderSide.BUY, PositionIntent.BUY_TO_OPEN),
    ]
    terms: dict[str, Any] = {
        "qty": 2,
        "limit_price": -0.5,
        "time_in_force": TimeInForce.DAY,
        "order_class": OrderClass.MLEG,
        "legs": [
            OptionLegRequest(symbol=symbol, ratio_qty=1, side=side, position_intent=intent)
            for symbol, side, intent in legs
        ],
    }
    return LimitOrderRequest(**(terms | more))


def test_account_clock_and_calendar(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    account = trading.get_account()
    assert (account.equity, account.options_trading_level) == ("100000", 3)
    clock = trading.get_clock()
    assert clock.is_open
    assert clock.timestamp == OPENING
    days = trading.get_calendar(
        GetCalendarRequest(start=date(2026, 11, 25), end=date(2026, 11, 27))
    )
    assert [day.close.hour for day in days] == [16, 13]
    trading.patch("/account/configurations", {"max_options_trading_level": 2})
    assert trading.get_account_configurations().max_options_trading_level == 2
    assert violations(wire) == []


def test_condor_is_sent_filled_held_and_told(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    sent = trading.submit_order(condor(client_order_id="mahler-1"))
    assert sent.status.value == "pending_new"
    seen = trading.get_order_by_client_id("mahler-1")
    assert seen.id == sent.id
    assert seen.status.value == "filled"
    assert {leg.filled_qty for leg in seen.legs} == {"2"}
    held = {row.symbol: (row.qty, row.side.value) for row in trading.get_all_positions()}
    assert held[put(95)] == ("-2", "short")
    assert held[call(110)] == ("2", "long")
    assert trading.get_open_position(put(95)).symbol == put(95)
    fills = trading.get("/account/activities", {"activity_types": "FILL", "direction": "asc"})
    assert {row["order_id"] for row in fills} == {str(leg.id) for leg in seen.legs}
    listed = trading.get_orders(
        GetOrdersRequest(
            status=QueryOrderStatus.ALL, limit=500, nested=True, after=OPENING.replace(hour=1)
        )
    )
    assert [order.id for order in listed] == [sent.id]
    assert len(trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))) == 5
    assert violations(wire) == []


def test_refusals_reach_the_client_with_status_and_code(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    trading.submit_order(condor(client_order_id="once"))
    with pytest.raises(APIError) as duplicate:
        trading.submit_order(condor(client_order_id="once"))
    assert (duplicate.value.status_code, duplicate.value.code) == (422, 40010001)
    with pytest.raises(APIError) as power:
        trading.submit_order(condor(qty=900))
    assert (power.value.status_code, power.value.code) == (403, 40310000)
    with pytest.raises(APIError) as unknown:
        trading.get_order_by_client_id("never sent")
    assert (unknown.value.status_code, unknown.value.code) == (404, 40410000)
    with pytest.raises(APIError) as stranger:
        TradingClient("who", "knows", url_override=wire.url).get_account()
    assert stranger.value.status_code == 401
    assert violations(wire) == []


def test_resting_orders_are_cancelled_and_single_ones_replaced(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    resting = trading.submit_order(condor(limit_price=-9.0))
    assert trading.get_order_by_id(resting.id).status.value == "new"
    with pytest.raises(APIError) as refused:
        trading.replace_order_by_id(resting.id, ReplaceOrderRequest(limit_price=-8.0))
    assert refused.value.status_code == 403
    trading.cancel_order_by_id(resting.id)
    assert trading.get_order_by_id(resting.id).status.value == "canceled"
    trading.submit_order(condor(limit_price=-9.0))
    assert [row.status for row in trading.cancel_orders()] == [200]
    single = trading.submit_order(
        LimitOrderRequest(
            symbol=call(105),
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=0.25,
            position_intent=PositionIntent.BUY_TO_OPEN,
        )
    )
    new = trading.replace_order_by_id(single.id, ReplaceOrderRequest(limit_price=9.5))
    assert new.replaces == single.id
    assert trading.get_order_by_id(new.id).status.value == "filled"
    closing = MarketOrderRequest(
        symbol=call(105), qty=1, side=OrderSide.SELL, time_in_force=TimeInForce.DAY
    )
    assert trading.submit_order(closing).position_intent is PositionIntent.SELL_TO_CLOSE
    assert trading.get_all_positions() == []
    assert violations(wire) == []


def test_expiration_changes_positions_at_once_and_is_told_the_next_day(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    trading.submit_order(condor(expiration=NEAR))
    wire.advance(datetime(2026, 11, 20, 16, 15, tzinfo=NEW_YORK))
    assert {row.symbol: row.qty for row in trading.get_all_positions()} == {"XYZ": "200"}
    kinds = {"activity_types": "OPASN,OPEXC,OPEXP,OPTRD,OPCSH", "direction": "asc"}
    assert trading.get("/account/activities", kinds) == []
    wire.advance(datetime(2026, 11, 21, 9, tzinfo=NEW_YORK))
    rows = trading.get("/account/activities", kinds)
    assert sorted(row["activity_type"] for row in rows) == [
        "OPASN",
        "OPEXP",
        "OPEXP",
        "OPEXP",
        "OPTRD",
    ]
    (stock,) = [row for row in rows if row["activity_type"] == "OPTRD"]
    assert (stock["qty"], stock["net_amount"]) == ("200", "-19000.00")
    assert violations(wire) == []


def test_contracts_are_listed_in_pages(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    terms: dict[str, Any] = {
        "underlying_symbols": ["XYZ"],
        "status": AssetStatus.ACTIVE,
        "expiration_date_gte": NEAR,
        "expiration_date_lte": FAR,
        "strike_price_gte": "95",
        "limit": 9,
    }
    page = trading.get_option_contracts(GetOptionContractsRequest(**terms))
    rest = trading.get_option_contracts(
        GetOptionContractsRequest(**terms, page_token=page.next_page_token)
    )
    assert len(page.option_contracts) + len(rest.option_contracts) == 16
    assert rest.next_page_token is None
    one = trading.get_option_contract(put(95))
    assert (one.strike_price, one.open_interest) == (95.0, "567")
    assert violations(wire) == []


def test_market_data_is_read_by_the_data_clients(wire: Wire) -> None:
    options, stocks = (
        wire.client(OptionHistoricalDataClient),
        wire.client(StockHistoricalDataClient),
    )
    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="SPX", type="put"))
    assert len(chain) == 20
    assert chain[put(95, FAR, "SPXW")].latest_quote.bid_price == 4.0
    one = options.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=[put(95)]))
    assert one[put(95)].latest_trade.price == 4.0
    quotes = options.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=[put(95)]))
    assert quotes[put(95)].ask_size == 50
    start = datetime(2026, 10, 26, tzinfo=NEW_YORK)
    bars = options.get_option_bars(
        OptionBarsRequest(symbol_or_symbols=[put(95)], timeframe=TimeFrame.Day, start=start)
    )
    assert len(bars.data[put(95)]) == 5
    days = stocks.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=["XYZ", "SPX"], timeframe=TimeFrame.Day, start=start)
    )
    assert {symbol: len(rows) for symbol, rows in days.data.items()} == {"XYZ": 5, "SPX": 5}
    shares = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["XYZ", "SPX"]))
    assert shares["SPX"].latest_quote is None
    assert shares["XYZ"].previous_daily_bar.close == 100.0
    latest = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["XYZ"]))
    assert latest["XYZ"].bid_price == 99.98
    actions = wire.client(CorporateActionsClient).get_corporate_actions(
        CorporateActionsRequest(symbols=["XYZ"], start=date(2026, 11, 1), end=date(2026, 12, 31))
    )
    assert len(actions.data["cash_dividends"]) == 1
    assert violations(wire) == []


def test_long_chain_is_followed_over_its_pages(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks for 1,000 a page; 1,500 strikes make it ask twice."""
    monkeypatch.setattr("tests.exchange.fakes.STRIKES", range(40, 415))
    options = wire.client(OptionHistoricalDataClient)
    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="SPX", type="call"))
    assert len(chain) == 1500
    assert len(wire.seen) == 2
    assert violations(wire) == []


def test_options_are_exercised_through_the_client(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    trading.submit_order(
        MarketOrderRequest(
            symbol=call(95), qty=3, side=OrderSide.BUY, time_in_force=TimeInForce.DAY
        )
    )
    assert trading.exercise_options_position(call(95)) is None
    assert {row.symbol: row.qty for row in trading.get_all_positions()} == {"XYZ": "300"}
    with pytest.raises(APIError) as gone:
        trading.exercise_options_position(call(95))
    assert (gone.value.status_code, gone.value.code) == (403, 40310000)
    with pytest.raises(APIError) as early:
        trading.post(f"/positions/{put(95)}/do-not-exercise")
    assert early.value.status_code == 403
    wire.advance(datetime(2026, 11, 3, 9, 30, tzinfo=NEW_YORK))
    kinds = {"activity_types": "OPEXC,OPTRD", "direction": "asc", "date": "2026-11-03"}
    rows = trading.get("/account/activities", kinds)
    assert [row["activity_type"] for row in rows] == ["OPEXC", "OPTRD"]
    assert violations(wire) == []


def test_portfolio_history_is_read_by_the_client(wire: Wire) -> None:
    trading = wire.client(TradingClient)
    trading.submit_order(condor())
    wire.advance(datetime(2026, 11, 5, 12, tzinfo=NEW_YORK))
    days = trading.get_portfolio_history(GetPortfolioHistoryRequest(period="1W", timeframe="1D"))
    assert len(days.equity) == 4
    assert days.profit_loss[0] == 0
    assert days.equity[-1] == float(trading.get_account().equity)
    minutes = trading.get_portfolio_history(GetPortfolioHistoryRequest(period="1D"))
    assert (minutes.timeframe, len(minutes.timestamp)) == ("1Min", 151)
    month = trading.get_portfolio_history()
    assert month.timeframe == "1D"
    assert violations(wire) == []


def test_broker_orders_are_listed_by_the_client(wire: Wire) -> None:
    """A spread that straddles the shares' price on its last day, in an account without cash."""
    trading = wire.client(TradingClient)
    for _ in range(2):
        trading.submit_order(condor(expiration=NEAR, qty=9))
    wire.market.share_price = 93.0
    wire.advance(datetime(2026, 11, 20, 15, 15, tzinfo=NEW_YORK))
    orders = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))
    own = [order for order in orders if order.client_order_id.startswith("broker-liquidation-")]
    assert [(order.symbol, order.filled_qty, order.side.value) for order in own] == [
        (put(95, NEAR), "18", "buy")
    ]
    fills = trading.get("/account/activities", {"activity_types": "FILL", "page_size": 1})
    assert (fills[0]["order_id"], fills[0]["qty"]) == (str(own[0].id), "18")
    assert violations(wire) == []
