"""One contract for `Broker` and `MarketData`, wherever they are played.

The real Alpaca client meets the local exchange (a hand-made and the simulated market) and recorded
answers; the fake broker of the execution tests is held to what it claims. Where the published
specification is at hand, each stage checks its whole wire against it when it closes.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaMarketData
from mahler_pipelines.errors import BrokerError, BrokerOutcomeUnknown, BrokerRefused
from mahler_pipelines.exchange.process import LocalExchange
from mahler_pipelines.execution.broker import BrokerOrder, OrderStatus
from mahler_pipelines.execution.fills import LIVE_STATUSES
from mahler_pipelines.market.chains import QUOTE_COLUMNS
from mahler_pipelines.market.data import (
    BAR_COLUMNS,
    OPTION_BAR_COLUMNS,
    STOCK_QUOTE_COLUMNS,
    MarketData,
)
from mahler_pipelines.options.structures import dollars
from tests.adapters.recorded_alpaca import RecordedStage, connection_to, recorded_stage
from tests.adapters.stages import (
    MORNING,
    RICH,
    SIMULATED_MORNING,
    BrokerStage,
    ExchangeStage,
    broker_stage,
    hand_made_stage,
    is_aware,
    simulated_stage,
)
from tests.adapters.wire_record import SPECS, violations
from tests.doubles.alpaca import Answer, Seen, refusal
from tests.exchange.fakes import FAR, NEAR, HandMadeMarket, Quote, call, put
from tests.execution.fakes import FakeMarket, utc
from tests.execution.scenes import LONG, SHORT, quote_table

STAGES = ["hand-made exchange", "simulated exchange", "recorded answers", "fake"]
LISTING_COLUMNS = ["symbol", "root", "expiration", "right", "strike"]


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerStage]:
    with broker_stage(request.param, tmp_path) as made:
        yield made


def seen_again(stage: BrokerStage, name: str) -> BrokerOrder:
    found = stage.broker.order_by_client_id(name)
    assert found is not None
    return found


def net_of(order: BrokerOrder) -> Decimal:
    """Dollars per share and unit that the legs' own fills come to."""
    paid = sum((row.side.sign * row.quantity * row.price for row in order.fills), Decimal(0))
    return paid / order.filled_quantity


def held(stage: BrokerStage) -> dict[str, int]:
    return {row.symbol: row.quantity for row in stage.broker.positions()}


def test_the_specification_judges_these_tests() -> None:
    if not (SPECS / "gate.py").exists():
        pytest.skip("../shared/specs is not there: requests and answers go unjudged")
    with recorded_stage() as stage:
        stage.double.on("GET", "/v2/clock", Answer({"timestamp": 7}))
        with pytest.raises(BrokerError):
            stage.broker.clock()
        assert violations(stage.double.kept) != []
        stage.double.kept.clear()


def test_the_clock_is_the_brokers_and_in_utc(stage: BrokerStage) -> None:
    clock = stage.broker.clock()
    assert is_aware(clock)
    assert clock.is_open
    assert clock.now < clock.next_close < clock.next_open


def test_money_is_decimal_and_the_day_began_with_some(stage: BrokerStage) -> None:
    account = stage.broker.account()
    money = (account.equity, account.last_equity, account.cash, account.options_buying_power)
    assert [type(amount) for amount in money] == [Decimal] * 4
    assert min(money) > 0
    assert account.options_level == 3
    assert account.status == "ACTIVE"
    assert not account.trading_blocked


def test_a_credit_is_taken_and_its_legs_sum_to_the_net(stage: BrokerStage) -> None:
    order = stage.opening("open-1", 3)
    taken = stage.broker.submit(order)
    assert (taken.client_order_id, taken.quantity) == ("open-1", 3)
    assert taken.limit_price == order.limit_price
    filled = seen_again(stage, "open-1")
    assert filled.id == taken.id
    assert (filled.status, filled.filled_quantity) == (OrderStatus.FILLED, 3)
    assert {row.symbol: row.quantity for row in filled.fills} == {stage.short: 3, stage.long: 3}
    assert filled.average_fill_price == net_of(filled)
    assert order.limit_price is not None
    assert filled.average_fill_price <= order.limit_price < 0
    assert filled.filled_at is not None
    assert filled.filled_at.tzinfo is not None


def test_a_debit_closes_what_a_credit_opened(stage: BrokerStage) -> None:
    stage.broker.submit(stage.opening("open-1", 3))
    assert held(stage) == {stage.short: -3, stage.long: 3}
    order = stage.closing("close-1", 3)
    stage.broker.submit(order)
    closed = seen_again(stage, "close-1")
    assert closed.status is OrderStatus.FILLED
    assert closed.average_fill_price == net_of(closed)
    assert order.limit_price is not None
    assert 0 < closed.average_fill_price <= order.limit_price
    assert held(stage) == {}


def test_positions_are_signed_and_carry_their_price(stage: BrokerStage) -> None:
    stage.broker.submit(stage.opening("open-1", 2))
    order = seen_again(stage, "open-1")
    positions = {row.symbol: row for row in stage.broker.positions()}
    assert {name: row.quantity for name, row in positions.items()} == {
        stage.short: -2,
        stage.long: 2,
    }
    assert all(row.is_option and row.average_entry_price > 0 for row in positions.values())
    if stage.keeps_history:
        prices = {row.symbol: row.price for row in order.fills}
        assert {name: row.average_entry_price for name, row in positions.items()} == prices


def test_an_order_beyond_the_displayed_size_is_filled_in_part(stage: BrokerStage) -> None:
    order, displayed = stage.oversized("open-1")
    stage.broker.submit(order)
    found = seen_again(stage, "open-1")
    assert found.status is OrderStatus.PARTIALLY_FILLED
    assert found.status in LIVE_STATUSES
    assert (found.quantity, found.filled_quantity) == (order.quantity, displayed)
    assert {row.quantity for row in found.fills} == {displayed}
    assert found.average_fill_price == net_of(found)


def test_a_definitive_refusal_leaves_no_order(stage: BrokerStage) -> None:
    before = held(stage)
    with pytest.raises(BrokerRefused) as raised:
        stage.broker.submit(stage.refused("never-1"))
    assert raised.value.status is not None
    assert 400 <= raised.value.status < 500
    assert stage.broker.order_by_client_id("never-1") is None
    assert held(stage) == before


def test_a_client_order_id_is_taken_once(stage: BrokerStage) -> None:
    """The second answer says that an order exists: ours, so it is never a refusal."""
    order = stage.opening("open-1", 1)
    first = stage.broker.submit(order)
    with pytest.raises(BrokerOutcomeUnknown):
        stage.broker.submit(order)
    assert seen_again(stage, "open-1").id == first.id
    assert held(stage) == {stage.short: -1, stage.long: 1}


def test_an_order_that_never_was_is_none(stage: BrokerStage) -> None:
    assert stage.broker.order_by_client_id("nobody-sent-this") is None


def test_a_resting_order_can_be_cancelled_once(stage: BrokerStage) -> None:
    taken = stage.broker.submit(stage.resting("open-1"))
    assert taken.status is OrderStatus.ACKNOWLEDGED
    assert [row.client_order_id for row in stage.broker.open_orders()] == ["open-1"]
    stage.broker.cancel(taken.id)
    ended = seen_again(stage, "open-1")
    assert (ended.status, ended.filled_quantity, ended.fills) == (OrderStatus.CANCELLED, 0, ())
    assert ended.average_fill_price is None
    assert stage.broker.open_orders() == ()
    with pytest.raises(BrokerRefused):
        stage.broker.cancel(taken.id)


def test_history_is_oldest_first_and_adds_up_to_the_fills(stage: BrokerStage) -> None:
    if not stage.keeps_history:
        pytest.skip("the fake's history is what a test writes into it")
    stage.broker.submit(stage.opening("open-1", 3))
    opened = seen_again(stage, "open-1")
    stage.broker.submit(stage.closing("close-1", 3))
    closed = seen_again(stage, "close-1")
    rows = [row for row in stage.broker.activities() if row.kind == "FILL"]
    assert len(rows) == 4
    assert {row.symbol for row in rows[:2]} == {stage.short, stage.long}
    assert sum(row.quantity for row in rows if row.symbol == stage.short) == 0
    assert rows[0].quantity + rows[1].quantity == 0
    assert len({row.id for row in rows}) == 4
    moments = [row.id.partition("::")[0] for row in rows]
    assert moments == sorted(moments)
    moved = sum((row.net_amount for row in rows), Decimal(0))
    assert opened.average_fill_price is not None
    assert closed.average_fill_price is not None
    assert moved == -dollars(opened.average_fill_price + closed.average_fill_price, 3)
    assert stage.broker.activities(after=datetime(2030, 1, 1, tzinfo=UTC)) == ()


# What only an exchange can show.


def test_cash_moves_by_the_fills_to_the_cent(tmp_path: Path) -> None:
    """Odd contract counts, opened and closed: no cent is lost between order, cash and history."""
    with simulated_stage(tmp_path) as stage:
        stage.broker.submit(stage.opening("open-1", 7))
        first = seen_again(stage, "open-1").average_fill_price
        stage.broker.submit(stage.closing("close-1", 3))
        second = seen_again(stage, "close-1").average_fill_price
        assert first is not None
        assert second is not None
        moved = -dollars(first, 7) - dollars(second, 3)
        assert stage.broker.account().cash == RICH + moved
        fills = [row.net_amount for row in stage.broker.activities() if row.kind == "FILL"]
        assert sum(fills, Decimal(0)) == moved


def test_what_is_left_of_a_partial_fill_can_still_fill(tmp_path: Path) -> None:
    """The report is cumulative: the average is over all steps, the quantity only grows."""
    market = HandMadeMarket()
    with hand_made_stage(tmp_path, market) as stage:
        order, displayed = stage.oversized("open-1")
        stage.broker.submit(order)
        seen_again(stage, "open-1")
        market.overrides[put(95)] = Quote(4.20, 4.30, 50, 50)
        market.overrides[put(90)] = Quote(1.90, 2.00, 35, 21)
        stage.advance(MORNING + timedelta(minutes=5))
        found = seen_again(stage, "open-1")
        assert (found.status, found.filled_quantity) == (OrderStatus.FILLED, order.quantity)
        rest = order.quantity - displayed
        expected = (displayed * Decimal("-2.00") + rest * Decimal("-2.20")) / order.quantity
        assert found.average_fill_price == net_of(found)
        assert found.average_fill_price == pytest.approx(expected, abs=Decimal("0.0001"))


def test_a_day_order_expires_at_the_close(tmp_path: Path) -> None:
    with hand_made_stage(tmp_path) as stage:
        stage.broker.submit(stage.resting("open-1"))
        stage.advance(MORNING.replace(hour=17))
        ended = seen_again(stage, "open-1")
        assert ended.status is OrderStatus.EXPIRED
        assert not stage.broker.clock().is_open


def test_an_order_after_the_close_never_fills_before_the_next_open(tmp_path: Path) -> None:
    """Alpaca takes it for the next session; nothing is filled on quotes of a closed market."""
    with hand_made_stage(tmp_path) as stage:
        order = stage.opening("late-1", 1)
        stage.advance(MORNING.replace(hour=17))
        assert not stage.broker.submit(order).status.is_final
        assert seen_again(stage, "late-1").filled_quantity == 0
        stage.advance(MORNING.replace(day=3, hour=9, minute=31))
        assert seen_again(stage, "late-1").status is OrderStatus.FILLED


def test_an_unknown_contract_is_refused_by_name(tmp_path: Path) -> None:
    with hand_made_stage(tmp_path) as stage:
        order = stage.opening("odd-1", 1)
        legs = (order.legs[0], type(order.legs[1])(put(17), *_rest(order.legs[1])))
        with pytest.raises(BrokerRefused):
            stage.broker.submit(type(order)("odd-1", legs, 1, order.limit_price))
        assert stage.broker.order_by_client_id("odd-1") is None


def _rest(leg: Any) -> tuple[Any, ...]:
    return leg.side, leg.ratio, leg.intent


def test_the_child_process_speaks_the_same_contract(tmp_path: Path) -> None:
    """The exchange as the command line starts it, its clock moved by its control routes."""
    with LocalExchange("sim:7", tmp_path, start_at=SIMULATED_MORNING) as exchange:
        broker = AlpacaBroker(connection_to(exchange.url))
        market = AlpacaMarketData(connection_to(exchange.url))
        assert broker.clock().now == SIMULATED_MORNING
        chain = market.chain("BRIO", expires_from=date(2025, 3, 20), expires_to=date(2025, 4, 30))
        assert {name: str(dtype) for name, dtype in chain.dtypes.items()} == QUOTE_COLUMNS
        assert len(chain)
        later = SIMULATED_MORNING + timedelta(hours=1)
        assert exchange.advance_to(later)["now"] == later.astimezone(UTC).isoformat()
        assert market.now() == later
        assert broker.order_by_client_id("none") is None
        broker.close()
        market.close()


# Market data


@pytest.fixture(params=["hand-made exchange", "simulated exchange"])
def served_market(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExchangeStage]:
    if request.param == "simulated exchange":
        with simulated_stage(tmp_path) as stage:
            yield stage
    else:
        with hand_made_stage(tmp_path) as stage:
            yield stage


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def everything(market: MarketData, underlying: str) -> pd.DataFrame:
    today = market.now().date()
    return market.chain(underlying, expires_from=today, expires_to=today + timedelta(days=400))


def test_a_chain_is_conformed_and_lists_every_contract_once(
    served_market: ExchangeStage,
) -> None:
    market = served_market.market
    chain = everything(market, served_market.underlying)
    assert dtypes(chain) == QUOTE_COLUMNS
    assert chain["symbol"].is_unique
    today = market.now().date()
    listed = market.listed_contracts(
        served_market.underlying,
        expires_from=today,
        expires_to=today + timedelta(days=400),
        active=True,
    )
    assert sorted(chain["symbol"]) == sorted(listed["symbol"])
    assert (chain["underlying"] == served_market.underlying).all()
    assert chain["underlying_price"].nunique() == 1
    assert (chain["quote_time"].dropna() <= pd.Timestamp(market.now())).all()


def test_a_chain_keeps_to_its_expirations(served_market: ExchangeStage) -> None:
    whole = everything(served_market.market, served_market.underlying)
    one = whole["expiration"].unique()[1]
    some = served_market.market.chain(
        served_market.underlying, expires_from=one.date(), expires_to=one.date()
    )
    assert set(some["expiration"]) == {one}
    assert len(some) == (whole["expiration"] == one).sum()


def test_quotes_of_some_contracts_are_those_of_the_chain(served_market: ExchangeStage) -> None:
    whole = everything(served_market.market, served_market.underlying)
    picked = whole.iloc[::7]
    quotes = served_market.market.option_quotes(picked["symbol"].to_list())
    assert dtypes(quotes) == QUOTE_COLUMNS
    pd.testing.assert_frame_equal(
        quotes.sort_values("symbol", ignore_index=True),
        picked.sort_values("symbol", ignore_index=True),
    )


def test_unknown_names_are_left_out_and_the_others_stay(served_market: ExchangeStage) -> None:
    market, known = served_market.market, served_market.underlying
    quotes = market.option_quotes(
        [served_market.short, "NOPE261218P00017000", put(17), served_market.long]
    )
    assert sorted(quotes["symbol"]) == sorted([served_market.short, served_market.long])
    assert market.stock_quotes([known, "NOPE"])["underlying"].to_list() == [known]
    day = market.now().date()
    bars = market.daily_bars([known, "NOPE"], start=day - timedelta(days=20), end=day)
    assert set(bars["underlying"]) <= {known}


@pytest.mark.parametrize("names", [[], ["NOPE"]])
def test_frames_without_rows_have_their_columns_and_dtypes(
    served_market: ExchangeStage, names: list[str]
) -> None:
    """A day without data must concatenate with a day that has some."""
    market, day = served_market.market, served_market.market.now().date()
    contract = [f"{name}270115P00100000" for name in names]
    full = everything(market, served_market.underlying)
    assert dtypes(market.option_quotes(contract)) == dtypes(full)
    chain = market.chain("NOPE", expires_from=day, expires_to=day)
    assert (len(chain), dtypes(chain)) == (0, dtypes(full))
    start = day - timedelta(days=20)
    bars = market.daily_bars(names, start=start, end=day)
    assert dtypes(bars) == dtypes(
        market.daily_bars([served_market.underlying], start=start, end=day)
    )
    stocks = market.stock_quotes(names)
    assert dtypes(stocks) == dtypes(market.stock_quotes([served_market.underlying]))
    closes = market.option_daily_bars(contract, start=start, end=day)
    assert dtypes(closes) == dtypes(
        market.option_daily_bars([served_market.short], start=start, end=day)
    )
    assert len(bars) == len(stocks) == len(closes) == 0


def test_what_is_absent_is_not_a_number_and_never_zero(tmp_path: Path) -> None:
    """A contract nobody quotes is still listed; an index has a level and no sides."""
    market = HandMadeMarket(hidden={put(110), call(90)})
    with hand_made_stage(tmp_path, market) as stage:
        chain = everything(stage.market, "XYZ").set_index("symbol")
        quoteless = chain.loc[[put(110), call(90)]]
        numbers = ["bid", "ask", "bid_size", "ask_size", "last", "volume", "previous_volume"]
        assert quoteless[numbers].isna().all(axis=None)
        assert quoteless["quote_time"].isna().all()
        assert (quoteless["open_interest"] == 567).all()
        assert chain.drop([put(110), call(90)])[numbers].notna().all(axis=None)
        index = stage.market.stock_quotes(["SPX"]).iloc[0]
        assert np.isnan(index["bid"])
        assert np.isnan(index["ask"])
        assert index["last"] == 100.0
        assert (everything(stage.market, "SPX")["underlying_price"] == 100.0).all()


def test_a_bid_of_nothing_is_seen_as_nothing(tmp_path: Path) -> None:
    """Alpaca writes 0 where nobody bids; the quote stays, and screening refuses it."""
    market = HandMadeMarket(overrides={put(90, NEAR): Quote(float("nan"), 0.05)})
    with hand_made_stage(tmp_path, market) as stage:
        row = stage.market.option_quotes([put(90, NEAR)]).iloc[0]
        assert (row["bid"], row["ask"]) == (0.0, 0.05)


def test_every_page_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,500 contracts come in two pages of snapshots; 130 symbols in two requests."""
    monkeypatch.setattr("tests.exchange.fakes.STRIKES", range(40, 415))
    with hand_made_stage(tmp_path) as stage:
        chain = everything(stage.market, "XYZ")
        assert len(chain) == 4 * 375
        assert chain["bid"].notna().all()
        wanted = [put(strike) for strike in range(40, 170)]
        assert sorted(stage.market.option_quotes(wanted)["symbol"]) == sorted(wanted)
        days = stage.market.option_daily_bars(wanted, start=MORNING.date(), end=MORNING.date())
        assert len(days) == 0
    paths = [one.target.partition("?")[0] for one in stage.kept]
    assert paths.count("/v1beta1/options/snapshots/XYZ") == 2
    assert paths.count("/v1beta1/options/snapshots") == 2
    assert paths.count("/v1beta1/options/bars") == 2


def test_the_running_session_has_no_daily_bar_until_it_has_closed(
    served_market: ExchangeStage,
) -> None:
    """A bar of half a day would be taken for a close by every volatility that is computed."""
    market, name = served_market.market, served_market.underlying
    today = market.now().astimezone(MORNING.tzinfo).date()
    start = today - timedelta(days=10)
    running = market.daily_bars([name], start=start, end=today)
    assert list(running.columns) == list(BAR_COLUMNS)
    assert str(running["session"].dtype) == "datetime64[us]"
    assert (running["session"] < pd.Timestamp(today)).all()
    options = market.option_daily_bars([served_market.short], start=start, end=today)
    assert (options["session"] < pd.Timestamp(today)).all()
    close = market.now().astimezone(MORNING.tzinfo).replace(hour=16, minute=10)
    served_market.advance(close)
    ended = market.daily_bars([name], start=start, end=today)
    assert ended["session"].max() == pd.Timestamp(today)
    assert len(ended) == len(running) + 1


def test_expired_contracts_are_listed_as_inactive(tmp_path: Path) -> None:
    """A cold start computes past volatilities from contracts that are no more."""
    with hand_made_stage(tmp_path) as stage:
        stage.advance(datetime(2026, 11, 23, 10, 0, tzinfo=MORNING.tzinfo))
        listing = {
            active: stage.market.listed_contracts(
                "XYZ", expires_from=date(2026, 11, 1), expires_to=FAR, active=active
            )
            for active in (True, False)
        }
        for frame in listing.values():
            assert list(frame.columns) == LISTING_COLUMNS
            assert dtypes(frame) == {name: QUOTE_COLUMNS[name] for name in LISTING_COLUMNS}
        assert set(listing[True]["expiration"]) == {pd.Timestamp(FAR)}
        assert set(listing[False]["expiration"]) == {pd.Timestamp(NEAR)}
        gone = listing[False]["symbol"].iloc[0]
        bars = stage.market.option_daily_bars(
            [gone], start=date(2026, 11, 16), end=date(2026, 11, 20)
        )
        assert list(bars.columns) == list(OPTION_BAR_COLUMNS)
        assert len(bars) == 5
        assert (bars["close"] == 1.2).all()


def test_a_cold_start_finds_bars_of_expired_contracts_in_the_simulated_market(
    tmp_path: Path,
) -> None:
    with simulated_stage(tmp_path) as stage:
        expired = stage.market.listed_contracts(
            stage.underlying,
            expires_from=date(2025, 1, 1),
            expires_to=date(2025, 2, 28),
            active=False,
        )
        assert len(expired)
        assert (expired["expiration"] < pd.Timestamp("2025-03-03")).all()
        near = expired[expired["expiration"] == expired["expiration"].max()]
        bars = stage.market.option_daily_bars(
            near["symbol"].to_list()[:40], start=date(2025, 2, 3), end=date(2025, 2, 21)
        )
        assert len(bars)
        assert (bars["close"] > 0).all()


# Recorded answers of the market


def test_recorded_pages_are_joined() -> None:
    """1,001 snapshots over two pages, one of them without a quote, and listings beside them."""
    symbols = [f"SPY261218P{strike:05d}000" for strike in range(200, 1201)]
    quote = {"t": "2026-11-20T15:00:00.5Z", "bp": 1.0, "bs": 5, "ap": 1.1, "as": 7}
    quote |= {"bx": "C", "ax": "C", "c": "A"}

    def page(seen: Seen) -> Answer:
        second = seen.query.get("page_token") == "p2"
        names = symbols[1000:] if second else symbols[:1000]
        members = {name: {"latestQuote": quote} for name in names}
        if second:
            members = {name: {} for name in names}
        return Answer({"snapshots": members, "next_page_token": None if second else "p2"})

    with recorded_stage() as stage:
        stage.double.on_call("GET", "/v1beta1/options/snapshots/SPY", page)
        stage.double.on(
            "GET",
            "/v2/options/contracts",
            Answer({"option_contracts": [], "next_page_token": None}),
        )
        stage.double.on("GET", "/v2/stocks/snapshots", Answer({"SPY": _share_json()}))
        chain = stage.market.chain(
            "SPY", expires_from=date(2026, 11, 20), expires_to=date(2026, 12, 31)
        )
        assert (len(chain), dtypes(chain)) == (1001, QUOTE_COLUMNS)
        assert chain.loc[chain["bid"].isna(), "symbol"].to_list() == [symbols[-1]]
        assert chain["open_interest"].isna().all()


def test_a_recorded_refusal_of_one_share_does_not_take_the_others_along() -> None:
    def some(seen: Seen) -> Answer:
        if "NOPE" in seen.query["symbols"]:
            return refusal(400, 40010000, "invalid symbol: NOPE")
        return Answer({"SPY": _share_json()})

    with recorded_stage() as stage:
        stage.double.on_call("GET", "/v2/stocks/snapshots", some)
        quotes = stage.market.stock_quotes(["NOPE", "SPY"])
        assert list(quotes.columns) == list(STOCK_QUOTE_COLUMNS)
        assert quotes["underlying"].to_list() == ["SPY"]


def test_a_recorded_bar_of_today_waits_for_the_close() -> None:
    """Alpaca answers with the day's bar so far; the recorded clock stands at 10:00 of the 20th."""
    bars = [
        {"t": f"2026-11-{day}T05:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 10}
        | {"n": 3, "vw": 1.4}
        for day in (18, 19, 20)
    ]
    with recorded_stage() as stage:
        answer = Answer({"bars": {"SPY": bars}, "next_page_token": None})
        stage.double.on("GET", "/v2/stocks/bars", answer)
        found = stage.market.daily_bars(["SPY"], start=date(2026, 11, 18), end=date(2026, 11, 20))
        assert found["session"].dt.day.to_list() == [18, 19]


def _share_json() -> dict[str, Any]:
    """Return a share's snapshot with the members that Alpaca always writes."""
    bar = {"t": "2026-11-20T05:00:00Z", "o": 600, "h": 601, "l": 599, "c": 600, "v": 5}
    bar |= {"n": 3, "vw": 600.0}
    quote = {"t": "2026-11-20T15:00:00Z", "bp": 600.0, "bs": 1, "bx": "V"}
    quote |= {"ap": 600.1, "as": 1, "ax": "V", "c": ["R"], "z": "B"}
    trade = {"t": "2026-11-20T15:00:00Z", "p": 600.02, "s": 1, "x": "V", "i": 1}
    return {
        "latestQuote": quote,
        "latestTrade": trade | {"c": ["@"], "z": "B"},
        "minuteBar": bar,
        "dailyBar": bar,
        "prevDailyBar": bar,
    }


# What the fake market of the execution tests claims


def test_the_fake_market_leaves_unknown_names_out() -> None:
    market = FakeMarket(utc(2026, 1, 12))
    market.quotes = quote_table({SHORT.symbol: (4.1, 4.2), LONG.symbol: (2.9, 2.95)})
    market.levels = {"SPY": 600.0}
    market.bars = [("SPY", date(2026, 1, 9), 599.0)]
    quotes = market.option_quotes([SHORT.symbol, put(17)])
    assert (quotes["symbol"].to_list(), dtypes(quotes)) == ([SHORT.symbol], QUOTE_COLUMNS)
    shares = market.stock_quotes(["SPY", "NOPE"])
    assert (list(shares.columns), len(shares)) == (list(STOCK_QUOTE_COLUMNS), 1)
    bars = market.daily_bars(["SPY", "NOPE"], start=date(2026, 1, 1), end=date(2026, 1, 31))
    assert (list(bars.columns), len(bars)) == (list(BAR_COLUMNS), 1)
    assert isinstance(market.now().tzinfo, type(UTC))


def test_recorded_stage_is_the_real_client() -> None:
    """No answer of a recording may come from anything but the adapter under test."""
    with recorded_stage() as stage:
        assert isinstance(stage, RecordedStage)
        assert isinstance(stage.broker, AlpacaBroker)
        assert isinstance(stage.market, AlpacaMarketData)
