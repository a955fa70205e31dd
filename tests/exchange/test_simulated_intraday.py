"""Inside a session: paths that meet the daily bar and tell nothing of its end."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.errors import BadInput, UnknownSession
from mahler_pipelines.exchange.simulated import SimulatedMarket
from mahler_pipelines.exchange.simulated.horizon import STEPS, horizon
from mahler_pipelines.exchange.simulated.intraday import VARIANCE_EDGE, elapsed_share
from mahler_pipelines.exchange.simulated.universe import UNIVERSE
from tests.exchange.simulated_worlds import EARLY_CLOSE, ORDINARY, after_open, market_of


def test_bars_contain_the_path_and_meet_its_ends() -> None:
    market = market_of(7)
    bars = market.daily_bars("BRIO", date(2024, 1, 1), date(2024, 12, 31))
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    bar = bars.set_index("session").loc[pd.Timestamp(ORDINARY)]
    quotes = [market.stock_quote("BRIO", after_open(ORDINARY, m)) for m in range(391)]
    seen = [quote.last for quote in quotes if quote is not None]
    assert len(seen) == 391
    assert (seen[0], seen[-1]) == (bar["open"], bar["close"])
    assert (min(seen), max(seen)) == (bar["low"], bar["high"])


def test_early_close_ends_on_the_bar_after_210_minutes() -> None:
    market = market_of(7)
    bar = market.daily_bars("ARIA", EARLY_CLOSE, EARLY_CLOSE).iloc[0]
    first, last, later = (
        market.stock_quote("ARIA", after_open(EARLY_CLOSE, minute)) for minute in (0, 210, 300)
    )
    assert first is not None
    assert last is not None
    assert (first.last, last.last) == (bar["open"], bar["close"])
    assert last == later
    assert market.snapshot_time(EARLY_CLOSE) == after_open(EARLY_CLOSE, 210)


def test_variances_of_a_path_meet_those_of_the_daily_recursion() -> None:
    """Option bars use the closed form at the close, quotes the path: they must be one number."""
    market, sessions = market_of(7), np.array([300, 301])
    for name in range(len(UNIVERSE)):
        opening = market._intraday.opening_variances(name, sessions)
        closing = market._intraday.closing_variances(name, sessions)
        for row, session in enumerate(sessions):
            path = market._intraday.session_path(name, int(session))
            assert path.variances[0] == pytest.approx(opening[row], rel=1e-12)
            assert path.variances[-1] == closing[row]
    np.testing.assert_allclose(
        np.sqrt(market._intraday.opening_variances(4, sessions)), market._daily.sigma[sessions, 4]
    )


def test_morning_says_nothing_about_the_afternoon() -> None:
    """A bridge leaks its end when its variance isn't that of the move: then halves correlate."""
    market = market_of(7)
    halves = []
    for name in range(len(UNIVERSE)):
        paths = np.log(market._intraday.prices(name, np.arange(0, 1250)))
        scale = market._daily.sigma[:1250, name] / np.sqrt(252)
        early = (paths[:, 195] - paths[:, 0]) / scale
        late = (paths[:, -1] - paths[:, 195]) / scale
        halves.append(np.stack([early, late]))
    correlations = [np.corrcoef(pair)[0, 1] for pair in halves]
    squares = [np.corrcoef(np.abs(pair))[0, 1] for pair in halves]
    assert abs(np.mean(correlations)) < 0.03
    assert np.mean(squares) > 0.0
    early, late = np.concatenate(halves, axis=1)
    assert early.var() == pytest.approx(late.var(), rel=0.08)
    assert early.var() + late.var() == pytest.approx(0.75, rel=0.08)


def test_minutes_of_two_names_are_correlated_like_their_days() -> None:
    market = market_of(7)
    sessions = np.arange(400, 460)
    moves = [np.diff(np.log(market._intraday.prices(n, sessions)[:, ::10])).ravel() for n in (0, 3)]
    assert 0.1 < np.corrcoef(moves)[0, 1] < 0.8


def test_activity_is_u_shaped_and_complete() -> None:
    share = elapsed_share(np.arange(STEPS + 1), VARIANCE_EDGE)
    pace = np.diff(share)
    assert share[0] == pytest.approx(0.0, abs=1e-12)
    assert share[-1] == pytest.approx(1.0)
    assert pace.min() > 0
    assert pace[0] > 2 * pace[STEPS // 2]
    assert pace[-1] == pytest.approx(pace[0])


def test_outside_hours_quotes_stand_at_the_last_close() -> None:
    market = market_of(7)
    close = market.snapshot_time(ORDINARY)
    at_close = market.stock_quote("HARP", close)
    assert at_close is not None
    assert at_close.time <= close
    for later in (timedelta(seconds=1), timedelta(hours=5), timedelta(hours=15)):
        assert market.stock_quote("HARP", close + later) == at_close
    opened = market.stock_quote("HARP", after_open(date(2024, 9, 13), 0))
    assert opened is not None
    assert opened.last != at_close.last


def test_share_quotes_have_two_sides_in_cents_and_are_fresh() -> None:
    market = market_of(7)
    for ticker in market.underlyings:
        for minute in (0, 1, 17, 200, 389):
            when = after_open(ORDINARY, minute)
            quote = market.stock_quote(ticker, when)
            assert quote is not None
            assert quote.bid is not None
            assert quote.ask is not None
            assert quote.bid < quote.ask
            assert quote.bid <= quote.last <= quote.ask
            assert round(quote.bid, 2) == quote.bid
            assert timedelta(0) <= when - quote.time < timedelta(seconds=2)


def test_nothing_is_known_of_the_unknown() -> None:
    market = market_of(7)
    before = after_open(date(2023, 1, 3), -1)
    assert market.stock_quote("HARP", before) is None
    assert market.stock_quote("AAPL", after_open(ORDINARY, 5)) is None
    assert market.quotes("HARP", before).empty
    assert market.daily_bars("AAPL", date(2024, 1, 1), date(2024, 2, 1)).empty
    with pytest.raises(BadInput, match="time zone"):
        market.quotes("HARP", before.replace(tzinfo=None))
    with pytest.raises(UnknownSession):
        market.snapshot_time(date(2024, 7, 4))


def test_horizon_places_the_first_and_last_sessions() -> None:
    assert horizon().span(date(2020, 1, 1), date(2023, 1, 4)) == (0, 2)
    assert horizon().index(date(2028, 1, 3)) is None
    assert SimulatedMarket(7).daily_bars("HARP", date(2028, 1, 1), date(2028, 2, 1)).empty
