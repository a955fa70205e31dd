"""What is listed: expirations by schedule, strikes that stay until they expire."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.exchange.simulated.horizon import day_of, horizon
from mahler_pipelines.exchange.simulated.listing import expirations, strike_step
from mahler_pipelines.options.contracts import parse_occ
from tests.exchange.simulated_worlds import ORDINARY, SAMPLED, SEEDS, after_open, market_of


def expiration_days() -> set[date]:
    return {day_of(int(horizon().days[each.session])) for each in expirations(horizon())}


@pytest.mark.parametrize(
    ("expected", "holiday"),
    [
        (date(2024, 3, 28), date(2024, 3, 29)),  # Good Friday
        (date(2026, 6, 18), date(2026, 6, 19)),  # Juneteenth on a third Friday
        (date(2026, 7, 2), date(2026, 7, 3)),  # Independence Day observed
        (date(2026, 12, 24), date(2026, 12, 25)),
    ],
)
def test_expiration_moves_before_a_holiday(expected: date, holiday: date) -> None:
    days = expiration_days()
    assert expected in days
    assert holiday not in days


def test_third_friday_that_moved_is_still_monthly_and_quarterly() -> None:
    index = horizon().index(date(2026, 6, 18))
    found = next(each for each in expirations(horizon()) if each.session == index)
    assert found.monthly
    assert found.quarterly


def test_expirations_reach_from_this_week_to_a_year() -> None:
    quotes = market_of(7).quotes("BASS", after_open(ORDINARY, 60))
    days = sorted({stamp.date() for stamp in quotes["expiration"]})
    assert days[0] == date(2024, 9, 13)
    weeklies = [date(2024, 9, 13) + timedelta(weeks=week) for week in range(7)]
    assert set(weeklies) <= set(days)
    assert {date(2024, 11, 15), date(2025, 2, 21)} <= set(days)
    assert {date(2025, 3, 21), date(2025, 6, 20)} <= set(days)
    assert max(days) <= ORDINARY + timedelta(days=364)
    thin = market_of(7).quotes("LUTE", after_open(ORDINARY, 60))
    assert all(15 <= stamp.day <= 21 for stamp in thin["expiration"].unique())


@pytest.mark.parametrize("seed", SEEDS)
def test_chains_have_a_size_that_a_desk_can_scan(seed: int) -> None:
    sizes = []
    for day in SAMPLED:
        for ticker in market_of(seed).underlyings:
            quotes = market_of(seed).quotes(ticker, after_open(day, 30))
            assert quotes["symbol"].is_unique
            sizes.append(len(quotes))
    assert 300 < np.median(sizes) < 700
    assert min(sizes) > 150
    assert max(sizes) < 1100


def test_strike_steps_grow_with_the_price() -> None:
    steps = [strike_step(spot) for spot in (12.0, 40.0, 100.0, 200.0, 400.0, 700.0)]
    assert steps == [0.5, 1.0, 2.5, 5.0, 10.0, 20.0]


def test_contracts_stay_listed_until_they_expire() -> None:
    """A position must be able to find its legs every day, however far the price has gone."""
    market = market_of(1)
    days = [day_of(int(day)) for day in horizon().days[600:660]]
    for ticker in ("BRIO", "SOLO", "LARGO"):
        before: set[str] = set()
        for day in days:
            listed = set(market.listed_contracts(ticker, after_open(day, 1))["symbol"])
            gone = before - listed
            assert all(parse_occ(symbol).expiration < day for symbol in gone)
            before = listed


def test_expired_contracts_are_gone_after_midnight_but_stand_until_then() -> None:
    market, friday = market_of(7), date(2024, 9, 13)
    stamp = pd.Timestamp(friday)
    evening = market.snapshot_time(friday) + timedelta(hours=3)
    saturday = market.snapshot_time(friday) + timedelta(hours=12)
    assert (market.quotes("BASS", evening)["expiration"] == stamp).any()
    assert (market.quotes("BASS", saturday)["expiration"] > stamp).all()
    assert (market.listed_contracts("BASS", saturday)["expiration"] > stamp).all()


def test_listed_contracts_agree_with_the_chain() -> None:
    market, when = market_of(7), after_open(ORDINARY, 60)
    listed, quotes = market.listed_contracts("CELL", when), market.quotes("CELL", when)
    assert listed["symbol"].tolist() == quotes["symbol"].tolist()
    assert listed["open_interest"].tolist() == quotes["open_interest"].tolist()
    yesterday = market.quotes("CELL", market.snapshot_time(date(2024, 9, 11)))
    mids = ((yesterday["bid"] + yesterday["ask"]) / 2).set_axis(yesterday["symbol"])
    closes = listed.set_index("symbol")["close"].dropna()
    pd.testing.assert_series_equal(closes, mids.reindex(closes.index), check_names=False)
    assert len(closes) > 0.8 * len(listed)


def test_expired_contracts_include_all_that_were_ever_listed() -> None:
    market, friday = market_of(7), date(2024, 9, 20)
    expired = market.expired_contracts("CELL", friday, friday)
    assert (expired["expiration"] == pd.Timestamp(friday)).all()
    seen: set[str] = set()
    for back in (0, 1, 8, 40, 100, 200):
        day = day_of(int(horizon().days[(horizon().index(friday) or 0) - back]))
        quotes = market.quotes("CELL", after_open(day, 5))
        seen |= set(quotes.loc[quotes["expiration"] == pd.Timestamp(friday), "symbol"])
    assert seen <= set(expired["symbol"])
    assert len(seen) > 0.8 * len(expired)
    assert market.expired_contracts("AAPL", friday, friday).empty
    assert market.expired_contracts("CELL", date(2024, 9, 16), date(2024, 9, 19)).empty


def test_symbols_say_what_the_columns_say() -> None:
    quotes = market_of(7).quotes("LUTE", after_open(ORDINARY, 60))
    assert (quotes[["root", "underlying"]] == "LUTE").all(axis=None)
    read = [parse_occ(symbol) for symbol in quotes["symbol"]]
    assert {contract.root for contract in read} == {"LUTE"}
    assert [pd.Timestamp(each.expiration) for each in read] == quotes["expiration"].tolist()
    assert [int(each.right) for each in read] == quotes["right"].tolist()
    assert [float(each.strike) for each in read] == quotes["strike"].tolist()
