"""Daily paths: reproducible, correlated, with volatility that comes and goes."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.exchange.simulated import SimulatedMarket
from mahler_pipelines.exchange.simulated.horizon import FIRST_TRADABLE, horizon
from mahler_pipelines.exchange.simulated.paths import (
    DailyPaths,
    daily_paths,
    factor_weights,
    report_table,
)
from mahler_pipelines.exchange.simulated.randomness import seed_key
from mahler_pipelines.exchange.simulated.surface import atm_total_variance
from mahler_pipelines.exchange.simulated.universe import NUMBER_OF, UNIVERSE, Sector
from mahler_pipelines.options.contracts import Right, occ_symbol
from tests.exchange.simulated_worlds import SEEDS, market_of

FROM, TO = date(2023, 1, 1), date(2026, 12, 31)


def log_returns(daily: DailyPaths) -> np.ndarray:
    return np.log(daily.closes / daily.previous_closes)


def month_ahead_variance(market: SimulatedMarket, name: int) -> np.ndarray:
    sessions = np.arange(horizon().tradable)
    ahead = np.cumsum(report_table(horizon())[:, name])
    return atm_total_variance(
        UNIVERSE[name],
        variance=market._intraday.closing_variances(name, sessions),
        years=np.full(len(sessions), 21 / 252),
        reports=(ahead[sessions + 21] - ahead[sessions]).astype(float),
    )


def test_two_generations_of_a_seed_agree_and_two_seeds_differ() -> None:
    one, again = (daily_paths(seed_key(7), horizon()) for _ in range(2))
    other = daily_paths(seed_key(8), horizon())
    np.testing.assert_array_equal(one.closes, again.closes)
    np.testing.assert_array_equal(one.own_log, again.own_log)
    assert np.mean(one.closes == other.closes) < 0.01


def test_more_than_a_year_precedes_the_first_tradable_session() -> None:
    index = horizon().index(FIRST_TRADABLE)
    assert index is not None
    assert index >= 280
    first, last = market_of(7).sessions()
    assert first == FIRST_TRADABLE
    assert last >= date(2026, 12, 31)
    assert market_of(7).has_session(date(2023, 1, 3))
    assert not market_of(7).has_session(date(2024, 7, 4))


def test_every_ticker_is_a_valid_root() -> None:
    for name in UNIVERSE:
        assert occ_symbol(name.ticker, FROM, Right.CALL, 100).startswith(name.ticker)
    assert len(UNIVERSE) == len(NUMBER_OF) == 20


def test_factor_loadings_have_unit_length() -> None:
    w = factor_weights()
    np.testing.assert_allclose(w.market**2 + w.sector**2 + w.own**2, 1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_names_move_together_and_sectors_more_so(seed: int) -> None:
    correlations = np.corrcoef(log_returns(market_of(seed)._daily).T)
    pairs = np.triu_indices(len(UNIVERSE), 1)
    assert correlations[pairs].min() > 0.0
    assert 0.2 < correlations[pairs].mean() < 0.5
    same = [
        (a, b)
        for a, b in zip(*pairs, strict=True)
        if UNIVERSE[a].sector == UNIVERSE[b].sector != Sector.BROAD
    ]
    inside = np.mean([correlations[a, b] for a, b in same])
    assert inside > correlations[pairs].mean() + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_returns_have_fat_tails_and_the_volatility_of_the_table(seed: int) -> None:
    returns = log_returns(market_of(seed)._daily)
    centred = returns - returns.mean(axis=0)
    kurtosis = (centred**4).mean(axis=0) / centred.var(axis=0) ** 2
    assert np.median(kurtosis) > 3.5
    realised = returns.std(axis=0) * np.sqrt(252)
    asked = np.array([name.volatility for name in UNIVERSE])
    assert np.all((realised / asked > 0.75) & (realised / asked < 1.6))


@pytest.mark.parametrize("seed", SEEDS)
def test_volatility_rises_when_prices_fall(seed: int) -> None:
    daily = market_of(seed)._daily
    name = NUMBER_OF["TUTTI"]
    moves = log_returns(daily)[:-1, name]
    changes = np.diff(np.log(daily.sigma[:, name]))
    assert np.corrcoef(moves, changes)[0, 1] < -0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_implied_volatility_ranges_widely_within_a_year(seed: int) -> None:
    """IV rank needs a range to be a rank in: the desk sells when it is high."""
    market, ranks, ratios = market_of(seed), [], []
    for name in range(len(UNIVERSE)):
        implied = np.sqrt(month_ahead_variance(market, name) * 12)
        years = np.lib.stride_tricks.sliding_window_view(implied, 252)
        low, high = years.min(axis=1), years.max(axis=1)
        ranks.append((years[:, -1] - low) / (high - low))
        ratios.append(np.median(high / low))
    above = np.mean(np.array(ranks) > 0.25)
    assert min(ratios) > 1.4
    assert 0.35 < above < 0.9
    assert np.mean(np.array(ranks) > 0.75) > 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_premium_is_paid_on_average_but_not_always(seed: int) -> None:
    market, richer, wins = market_of(seed), [], []
    daily = market._daily
    for name in range(len(UNIVERSE)):
        paid = market._dividends[: horizon().tradable, name]
        squares = np.log((daily.closes[:, name] + paid) / daily.previous_closes[:, name]) ** 2
        realised = np.lib.stride_tricks.sliding_window_view(squares[1:], 21).sum(axis=1)
        implied = month_ahead_variance(market, name)[: len(realised)]
        richer.append(np.sqrt(implied).mean() / np.sqrt(realised).mean())
        wins.append(np.mean(implied > realised))
    assert 1.03 < np.mean(richer) < 1.25
    assert 0.55 < np.mean(wins) < 0.85


@pytest.mark.parametrize("seed", SEEDS)
def test_most_prices_fit_the_screens_and_some_names_do_not(seed: int) -> None:
    closes = market_of(seed)._daily.closes
    usual = [n for n, name in enumerate(UNIVERSE) if name.ticker not in {"LUTE", "OPUS"}]
    assert np.mean((closes[:, usual] > 20) & (closes[:, usual] < 500)) > 0.9
    assert np.mean(closes[:, NUMBER_OF["OPUS"]] > 500) > 0.8
    assert closes[:250, NUMBER_OF["LUTE"]].min() < 20


def test_share_volume_is_above_a_million_except_for_the_thin_names() -> None:
    for ticker in market_of(7).underlyings:
        volume = market_of(7).daily_bars(ticker, FROM, TO)["volume"]
        assert (volume.median() > 1e6) == (ticker not in {"LUTE", "VIOL"})
        assert (volume == np.floor(volume)).all()


def test_dividends_are_quarterly_and_leave_the_price_at_the_open() -> None:
    market = market_of(7)
    paid = market.dividends("TUBA", FROM, TO)
    assert len(paid) in {15, 16}
    assert all(amount > 0 and amount == amount.quantize(Decimal("0.01")) for _, amount in paid)
    assert market.dividends("ALEG", FROM, TO) == ()
    assert market.dividends("NONE", FROM, TO) == ()
    drops = []
    for ticker in market.underlyings:
        bars = market.daily_bars(ticker, FROM, TO).set_index("session")
        opens, previous = bars["open"], bars["close"].shift()
        for ex_date, amount in market.dividends(ticker, date(2023, 1, 5), TO):
            row = pd.Timestamp(ex_date)
            gap = opens[row] + float(amount) - previous[row]
            drops.append((gap / previous[row], float(amount) / previous[row]))
    gaps = np.array(drops)
    # Without the drop the mean gap would be the yield above zero; its error is about 0.0008.
    assert abs(gaps[:, 0].mean()) < 0.0025
    assert gaps[:, 1].mean() > 0.003
