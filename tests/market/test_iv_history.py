"""The cold start: a constant-maturity history from daily closes of a few contracts."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.brackets import floats
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.volatility import (
    MaturityMethod,
    expires_at,
    historical_constant_maturity,
    near_money_symbols,
)
from mahler_pipelines.options.american import price
from mahler_pipelines.options.contracts import Right, occ_symbol
from tests.market.volatility_cases import CALENDAR, YEAR_SECONDS

SESSIONS = CALENDAR.sessions(date(2018, 11, 1), date(2018, 12, 31))
EXPIRATIONS = [date(2018, 11, 9) + timedelta(weeks=week) for week in range(16)]
ROOTS = ("AAA", "BBB")


def _volatility(root: str, session: date) -> float:
    return (0.2 if root == "AAA" else 0.45) + 0.002 * SESSIONS.index(session)


def _contracts() -> pd.DataFrame:
    rows = [
        (occ_symbol(root, expiration, right, Decimal(strike)), root, expiration, int(right), strike)
        for root in ROOTS
        for expiration in EXPIRATIONS
        for right in Right
        for strike in range(70, 131, 5)
    ]
    frame = pd.DataFrame(rows, columns=["symbol", "root", "expiration", "right", "strike"])
    return frame.astype({"expiration": "datetime64[us]", "right": "int8", "strike": "float64"})


def _shares() -> pd.DataFrame:
    rows = [
        (root, session, 100.0 + 8.0 * np.sin(number / 5))
        for root in ROOTS
        for number, session in enumerate(SESSIONS)
    ]
    frame = pd.DataFrame(rows, columns=["underlying", "session", "close"])
    return frame.astype({"session": "datetime64[us]"})


KEYS = ["underlying", "session"]
TERMS: dict[str, Any] = {"rates": lambda _: RateCurve.flat(0.02), "calendar": CALENDAR}


def _years(root: str, session: pd.Timestamp, expiration: pd.Timestamp) -> float:
    """From the session's close to the expiration's, both as the exchange had them."""
    ends = expires_at(root, expiration.date(), calendar=CALENDAR)
    return (ends - CALENDAR.close(session.date())).total_seconds() / YEAR_SECONDS


def _option_bars(
    wanted: pd.DataFrame,
    shares: pd.DataFrame,
    *,
    rates: Callable[[date], RateCurve] = lambda _: RateCurve.flat(0.02),
) -> pd.DataFrame:
    rows = wanted.merge(shares, on=["underlying", "session"])
    sigma = [
        _volatility(root, session.date())
        for root, session in zip(rows["underlying"], rows["session"], strict=True)
    ]
    closes = price(
        right=rows["right"],
        spot=rows["close"],
        strike=rows["strike"],
        years=list(map(_years, rows["underlying"], rows["session"], rows["expiration"])),
        rate=[rates(session.date()).rates[0] for session in rows["session"]],
        dividend_yield=0.01,
        volatility=sigma,
    )
    return pd.DataFrame({"symbol": rows["symbol"], "session": rows["session"], "close": closes})


def test_few_contracts_give_the_history_back() -> None:
    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS)
    found = historical_constant_maturity(_option_bars(wanted, shares), contracts, shares, **TERMS)
    assert len(found) == len(ROOTS) * len(SESSIONS)
    truth = [
        _volatility(root, session.date())
        for root, session in zip(found["underlying"], found["session"], strict=True)
    ]
    assert (found["method"] == MaturityMethod.INTERPOLATED).all()
    assert found["implied_volatility"].to_numpy() == pytest.approx(truth, abs=1e-6)


def test_early_closes_count_as_the_hours_they_were() -> None:
    """As sessions and as expirations: three hours of thirty days are half a percent of them."""
    early = [day for day in SESSIONS if CALENDAR.is_early_close(day)]
    assert len(early) == 2
    assert early[0] in EXPIRATIONS
    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS)
    found = historical_constant_maturity(_option_bars(wanted, shares), contracts, shares, **TERMS)
    on_early = found[found["session"].isin(pd.to_datetime(early))]
    truth = [_volatility(name, day.date()) for name, day in on_early[KEYS].itertuples(index=False)]
    assert on_early["implied_volatility"].to_numpy() == pytest.approx(truth, abs=1e-6)


def test_each_session_is_valued_at_the_rate_that_was_known_then() -> None:
    """A year of history can hold a year of rate changes."""
    raised = SESSIONS[len(SESSIONS) // 2]

    def known(session: date) -> RateCurve:
        return RateCurve.flat(0.02 if session < raised else 0.05)

    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS)
    bars = _option_bars(wanted, shares, rates=known)
    terms = {**TERMS, "rates": known}
    found = historical_constant_maturity(bars, contracts, shares, **terms)
    truth = [_volatility(name, day.date()) for name, day in found[KEYS].itertuples(index=False)]
    assert found["implied_volatility"].to_numpy() == pytest.approx(truth, abs=1e-6)
    old = historical_constant_maturity(bars, contracts, shares, **TERMS)
    late = (old["session"] >= pd.Timestamp(raised)).to_numpy()
    differ = np.abs(floats(old["implied_volatility"]) - floats(found["implied_volatility"])) > 1e-5
    assert (differ == late).all()


def test_chosen_contracts_bracket_the_money_and_the_maturity() -> None:
    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS)
    wanted = wanted.merge(shares, on=["underlying", "session"])
    wanted["days"] = (wanted["expiration"] - wanted["session"]).dt.days
    for _, rows in wanted.groupby(["underlying", "session"]):
        near, far = sorted(rows["days"].unique())
        assert near <= 30 < far
        assert far - near == 7
        assert len(rows) == 2 * 2 * 4
        spot = rows["close"].iloc[0]
        assert rows["strike"].min() <= spot - 5 <= spot + 5 <= rows["strike"].max() + 5
        assert rows["strike"].min() < spot < rows["strike"].max()
    assert wanted["symbol"].nunique() < len(contracts) / 2


def test_session_without_share_bar_or_expiration_is_left_out() -> None:
    contracts, shares = _contracts(), _shares()
    assert near_money_symbols(contracts, shares.iloc[:0], sessions=SESSIONS).empty
    assert near_money_symbols(contracts.iloc[:0], shares, sessions=SESSIONS).empty
    late = shares.assign(session=shares["session"] + pd.Timedelta(days=3650))
    days = [stamp.date() for stamp in late["session"]]
    assert near_money_symbols(contracts, late, sessions=days).empty


def test_missing_closes_leave_a_reason_or_no_row() -> None:
    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS[:1])
    bars = _option_bars(wanted, shares)
    nothing = historical_constant_maturity(bars.iloc[:0], contracts, shares, **TERMS)
    assert nothing.empty
    worthless = historical_constant_maturity(bars.assign(close=0.0), contracts, shares, **TERMS)
    assert worthless["implied_volatility"].isna().all()
    assert (worthless["method"] == MaturityMethod.NO_USABLE_EXPIRATION).all()


def test_stale_close_of_one_contract_hardly_matters() -> None:
    """A call that last traded before the share moved: the strike's mean takes half of it."""
    contracts, shares = _contracts(), _shares()
    wanted = near_money_symbols(contracts, shares, sessions=SESSIONS[:1])
    bars = _option_bars(wanted, shares)
    clean = historical_constant_maturity(bars, contracts, shares, **TERMS)
    bars.loc[bars.index[5], "close"] *= 1.1
    found = historical_constant_maturity(bars, contracts, shares, **TERMS)
    moved = (found["implied_volatility"] - clean["implied_volatility"]).abs()
    assert (moved < 0.01).all()
