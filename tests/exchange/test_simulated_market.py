"""The port as the exchange uses it: pure in its arguments, tradable, never crossed."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.errors import MalformedSymbol
from mahler_pipelines.exchange.market import Market
from mahler_pipelines.exchange.simulated import SimulatedMarket
from mahler_pipelines.exchange.simulated.horizon import day_of, horizon
from mahler_pipelines.exchange.simulated.universe import NUMBER_OF, UNIVERSE, TickRule
from mahler_pipelines.market.chains import QUOTE_COLUMNS, conform_quotes
from mahler_pipelines.market.data import BAR_COLUMNS
from mahler_pipelines.options.european import greeks
from tests.exchange.simulated_worlds import (
    EARLY_CLOSE,
    ORDINARY,
    SAMPLED,
    SEEDS,
    after_open,
    instant_of,
    market_of,
)

TICKERS = tuple(name.ticker for name in UNIVERSE)


def test_it_is_a_market_of_its_seed() -> None:
    market: Market = SimulatedMarket(7)
    assert market.name == "sim-7"
    assert market.underlyings == tuple(sorted(TICKERS))
    assert not market.snapshot_only


def test_session_asked_alone_equals_the_session_asked_after_others() -> None:
    used, when = SimulatedMarket(7), after_open(ORDINARY, 95)
    for day in (date(2026, 7, 8), date(2023, 6, 1), ORDINARY):
        for ticker in reversed(TICKERS):
            used.quotes(ticker, after_open(day, 200))
            used.daily_bars(ticker, day, day + timedelta(days=90))
    fresh = SimulatedMarket(7)
    for ticker in ("TUTTI", "HARP", "LUTE"):
        pd.testing.assert_frame_equal(used.quotes(ticker, when), fresh.quotes(ticker, when))
        assert used.stock_quote(ticker, when) == SimulatedMarket(7).stock_quote(ticker, when)
        span = (date(2024, 1, 1), date(2024, 3, 1))
        pd.testing.assert_frame_equal(
            used.daily_bars(ticker, *span), SimulatedMarket(7).daily_bars(ticker, *span)
        )


def test_an_answer_belongs_to_who_asked() -> None:
    """A caller that writes into its frame must not change what the next one sees."""
    market, when = market_of(7), after_open(ORDINARY, 95)
    first = market.quotes("HARP", when)
    kept = first.copy(deep=True)
    first.loc[:, ["bid", "open_interest", "previous_volume", "strike"]] = -1.0
    pd.testing.assert_frame_equal(market.quotes("HARP", when), kept)


def test_seeds_differ() -> None:
    when = after_open(ORDINARY, 95)
    prices = {market_of(seed).quotes("HARP", when)["underlying_price"].iloc[0] for seed in SEEDS}
    assert len(prices) == len(SEEDS)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    ticker=st.sampled_from(TICKERS),
    session=st.integers(0, 1253),
    minute=st.floats(-30, 420, allow_nan=False),
)
def test_quotes_are_well_formed_at_any_moment(
    seed: int, ticker: str, session: int, minute: float
) -> None:
    day = day_of(int(horizon().days[session]))
    when = after_open(day, minute)
    quotes = market_of(seed).quotes(ticker, when)
    if session == 0 and when < after_open(day, 0):
        assert quotes.empty
        return
    pd.testing.assert_frame_equal(quotes, conform_quotes(quotes))
    assert list(quotes.columns) == list(QUOTE_COLUMNS)
    bid, ask = quotes["bid"].to_numpy(), quotes["ask"].to_numpy()
    assert np.all((bid >= 0) & (ask > bid))
    assert np.all((quotes["bid_size"] > 0) == (bid > 0))
    assert np.all(quotes["ask_size"] > 0)
    ticks = UNIVERSE[NUMBER_OF[ticker]].ticks
    assert_on_tick(bid, ticks)
    assert_on_tick(ask, ticks)
    age = pd.Timestamp(when) - quotes["quote_time"]
    assert (age >= pd.Timedelta(0)).all()
    if 0.2 < minute < 209:
        assert (age < pd.Timedelta(seconds=12)).all()
    counts = quotes[["volume", "previous_volume", "open_interest"]]
    assert (counts >= 0).all(axis=None)
    assert (counts == np.floor(counts)).all(axis=None)
    share = market_of(seed).stock_quote(ticker, when)
    assert share is not None
    assert (quotes["underlying_price"] == share.last).all()


def assert_on_tick(prices: np.ndarray, ticks: TickRule) -> None:
    below, above = ticks.value
    tick = np.where(prices < 3.0, below, above)
    np.testing.assert_allclose(prices, np.rint(prices / tick) * tick, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_model_value_lies_within_the_quote(seed: int) -> None:
    market = market_of(seed)
    for name, ticker in enumerate(TICKERS):
        when = after_open(ORDINARY, 120)
        chain = market._listing.listed(name, horizon().index(ORDINARY) or 0)
        at = instant_of(market, name, ORDINARY, 120)
        value = market._chains.model_values(name, at, chain)
        quotes = market.quotes(ticker, when)
        assert quotes["strike"].tolist() == chain.strike.tolist()
        outside = (value < quotes["bid"]) | (value > quotes["ask"])
        assert outside.mean() < 0.01


def test_open_interest_stands_and_volume_grows_through_a_session() -> None:
    market = market_of(7)
    day = market.quotes("ALEG", after_open(ORDINARY, 0))
    volume = day["volume"]
    assert volume.sum() == 0
    assert day["last"].isna().all()
    for minute in (1, 30, 120, 389, 390):
        later = market.quotes("ALEG", after_open(ORDINARY, minute))
        pd.testing.assert_series_equal(later["open_interest"], day["open_interest"])
        pd.testing.assert_series_equal(later["previous_volume"], day["previous_volume"])
        assert (later["volume"] >= volume).all()
        assert later["volume"].sum() > volume.sum()
        assert (later["last"].notna() == (later["volume"] > 0)).all()
        volume = later["volume"]
    tomorrow = market.quotes("ALEG", after_open(date(2024, 9, 13), 10)).set_index("symbol")
    today = market.quotes("ALEG", after_open(ORDINARY, 390)).set_index("symbol")
    both = tomorrow.index.intersection(today.index)
    assert len(both) > 300
    pd.testing.assert_series_equal(
        tomorrow.loc[both, "previous_volume"], today.loc[both, "volume"], check_names=False
    )


def test_activity_is_near_the_money() -> None:
    quotes = market_of(7).quotes("ALEG", after_open(ORDINARY, 390))
    distance = (quotes["strike"] / quotes["underlying_price"] - 1).abs()
    for column in ("volume", "open_interest"):
        near = quotes.loc[distance < 0.06, column].mean()
        assert near > 2 * quotes.loc[distance > 0.2, column].mean()


def test_two_questions_for_one_moment_agree_and_minutes_differ() -> None:
    market, when = market_of(7), after_open(ORDINARY, 45)
    one = market.quotes("VIVA", when)
    pd.testing.assert_frame_equal(one, market.quotes("VIVA", when))
    later = market.quotes("VIVA", when + timedelta(minutes=3))
    assert (one["bid"] != later["bid"]).mean() > 0.2


@pytest.mark.parametrize("day", [ORDINARY, EARLY_CLOSE])
def test_option_bars_close_on_the_mid_of_the_closing_quotes(day: date) -> None:
    market = market_of(7)
    for ticker in ("TUTTI", "LUTE", "TUBA"):
        quotes = market.quotes(ticker, market.snapshot_time(day)).set_index("symbol")
        bars = market.option_daily_bars(tuple(quotes.index), day, day).set_index("symbol")
        traded = quotes[quotes["volume"] > 0]
        assert set(bars.index) == set(traded.index)
        mid = ((traded["bid"] + traded["ask"]) / 2).reindex(bars.index)
        np.testing.assert_array_equal(bars["close"], mid)
        np.testing.assert_array_equal(bars["volume"], traded["volume"].reindex(bars.index))


def test_option_bars_of_many_contracts_are_ordered_and_bounded() -> None:
    market = market_of(7)
    asked = [
        symbol
        for ticker in ("RONDO", "CODA")
        for symbol in market.expired_contracts(ticker, date(2024, 4, 19), date(2024, 5, 17))[
            "symbol"
        ]
    ]
    start, end = date(2024, 3, 1), date(2024, 5, 17)
    bars = market.option_daily_bars([*reversed(asked), "NONE240419C00100000"], start, end)
    assert list(bars.columns) == [
        "symbol", "session", "open", "high", "low", "close", "volume",
    ]  # fmt: skip
    assert bars["session"].dtype == "datetime64[us]"
    assert not bars.duplicated(["symbol", "session"]).any()
    position = bars["symbol"].map({symbol: n for n, symbol in enumerate(reversed(asked))})
    assert position.is_monotonic_increasing
    assert (bars.groupby("symbol")["session"].diff().dropna() > pd.Timedelta(0)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] >= 0).all()
    assert (bars["volume"] > 0).all()
    assert bars["session"].between(pd.Timestamp(start), pd.Timestamp(end)).all()
    alone = market.option_daily_bars([asked[50]], start, end)
    together = bars[bars["symbol"] == asked[50]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)


def test_option_bars_of_nothing_are_empty_and_malformed_symbols_are_loud() -> None:
    market = market_of(7)
    empty = market.option_daily_bars([], ORDINARY, ORDINARY)
    assert empty.empty
    assert empty["session"].dtype == "datetime64[us]"
    unknown = ["HARP240913C00000001", "HARP240914C00150000"]
    assert market.option_daily_bars(unknown, ORDINARY, ORDINARY).empty
    with pytest.raises(MalformedSymbol):
        market.option_daily_bars(["HARP"], ORDINARY, ORDINARY)


def test_settlement_is_the_close_of_the_expiration_session() -> None:
    market, friday = market_of(7), date(2024, 9, 13)
    settled = market.settlement("HARP", friday)
    assert settled is not None
    close = market.daily_bars("HARP", friday, friday)["close"].iloc[0]
    assert settled.value == Decimal(f"{close:.2f}")
    assert settled.source == "simulated close"
    assert market.settlement("HARP", date(2024, 9, 14)) is None
    assert market.settlement("AAPL", friday) is None


def test_daily_bars_have_the_columns_of_the_port() -> None:
    bars = market_of(7).daily_bars("HARP", date(2023, 1, 1), date(2023, 12, 31))
    assert tuple(bars.columns) == BAR_COLUMNS
    assert bars["session"].dtype == "datetime64[us]"
    assert len(bars) == 250


@pytest.mark.parametrize("seed", SEEDS)
def test_default_screen_finds_candidates_and_refuses_thin_names(seed: int) -> None:
    """25 to 45 days, delta 0.20 to 0.30, spread < 10 %, interest > 100, volume > 50."""
    market = market_of(seed)
    for day in SAMPLED:
        found = {ticker for ticker in TICKERS if credit_spreads(market, ticker, day)}
        assert len(found) >= 12
        assert not found & {"LUTE", "VIOL"}


def credit_spreads(market: SimulatedMarket, ticker: str, day: date) -> int:
    """How many vertical spreads of a chain pass the default screen with 0.30 of credit."""
    quotes = market.quotes(ticker, after_open(day, 120))
    days = (quotes["expiration"] - pd.Timestamp(day)).dt.days
    chain = market._listing.listed(NUMBER_OF[ticker], horizon().index(day) or 0)
    at = instant_of(market, NUMBER_OF[ticker], day, 120)
    quotes["delta"] = np.abs(
        greeks(
            right=quotes["right"], spot=quotes["underlying_price"], strike=quotes["strike"],
            years=days / 365, rate=0.04, dividend_yield=0.0,
            volatility=market._chains.model_volatilities(NUMBER_OF[ticker], at, chain),
        ).delta
    )  # fmt: skip
    mid = (quotes["bid"] + quotes["ask"]) / 2
    good = (
        (quotes["bid"] > 0)
        & (quotes["ask"] - quotes["bid"] < 0.10 * mid)
        & (quotes["open_interest"] > 100)
        & (quotes["previous_volume"] > 50)
        & days.between(25, 45)
    )
    legs = quotes[good]
    pairs = legs[legs["delta"].between(0.20, 0.30)].merge(legs, on=["expiration", "right"])
    width = (pairs["strike_x"] - pairs["strike_y"]) * -pairs["right"]
    credit = pairs["bid_x"] - pairs["ask_y"]
    return int((width.between(2.0, 10.0) & (credit >= 0.30)).sum())
