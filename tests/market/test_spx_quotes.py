"""What the desk measures on recorded SPX quotes of 56 sessions, against Cboe's own index."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.rates import rate_curve
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.market.volatility import (
    MaturityMethod,
    atm_volatility,
    constant_maturity_volatility,
    implied_volatilities,
)

CALENDAR = TradingCalendar()


def _recorded(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.rename(columns={"symbol": "underlying", "underlying": "underlying_price"})
    expiration = pd.to_datetime(rows["expiration"]).astype("datetime64[us]")
    thousandths = (rows["strike"] * 1000).round().astype("int64").astype("str").str.zfill(8)
    symbol = rows["root"] + expiration.dt.strftime("%y%m%d") + rows["type"] + thousandths
    right = np.where(rows["type"] == "C", 1, -1)
    return conform_quotes(rows.assign(expiration=expiration, symbol=symbol, right=right))


@pytest.fixture(scope="module")
def valued(shared_data: Path) -> dict[date, pd.DataFrame]:
    """Every session's chain with volatilities, at the rates that were known that morning."""
    chains = pd.read_parquet(shared_data / "chains_spx_2019q2.parquet")
    published = pd.read_parquet(shared_data / "fred_rates.parquet")
    rates = published.melt(id_vars="date", var_name="name", value_name="value").rename(
        columns={"date": "session"}
    )
    rates["session"] = pd.to_datetime(rates["session"]).astype("datetime64[us]")
    sessions = sorted(chains["quote_date"].unique())
    return {
        day: implied_volatilities(
            _recorded(chains[chains["quote_date"] == day]),
            as_of=CALENDAR.close(day) - timedelta(minutes=1),
            rates=rate_curve(rates, as_of=day, flat=0.024),
            dividend_yields={},
            calendar=CALENDAR,
            with_greeks=False,
        )
        for day in sessions
    }


@pytest.fixture(scope="module")
def thirty_days(valued: dict[date, pd.DataFrame]) -> "pd.Series[float]":
    found = {}
    for day, rows in valued.items():
        row = constant_maturity_volatility(atm_volatility(rows)).iloc[0]
        assert row["method"] == MaturityMethod.INTERPOLATED
        found[day] = float(row["implied_volatility"])
    return pd.Series(found)


def test_every_usable_quote_out_of_the_money_has_a_volatility(
    valued: dict[date, pd.DataFrame],
) -> None:
    for rows in valued.values():
        outside = rows["right"] * (rows["strike"] - rows["forward"]) > 0
        usable = rows[outside & (rows["quote_defect"] == "")]
        assert len(usable) > 500
        assert (usable["iv_reason"] == "").all()


def test_forwards_lie_within_the_half_spread_of_parity(valued: dict[date, pd.DataFrame]) -> None:
    """At the strike nearest the forward, for expirations of 10 to 60 days: 99 in 100 at least."""
    inside, expirations = 0, 0
    for rows in valued.values():
        near = rows[(rows["years"] * 365).between(10, 60) & (rows["quote_defect"] == "")]
        keys = ["root", "expiration", "strike"]
        pairs = near[near["right"] > 0].merge(
            near[near["right"] < 0], on=keys, suffixes=("_call", "_put")
        )
        pairs["away"] = (pairs["strike"] - pairs["forward_call"]).abs()
        money = pairs.sort_values("away", kind="stable").groupby(["root", "expiration"]).head(1)
        growth = np.exp(money["rate_call"] * money["years_call"])
        parity = money["strike"] + growth * (money["mid_call"] - money["mid_put"])
        widths = money["ask_call"] - money["bid_call"] + money["ask_put"] - money["bid_put"]
        within = (money["forward_call"] - parity).abs() <= 0.5 * growth * widths
        assert (money["forward_source_call"] == "parity").all()
        inside += int(within.sum())
        expirations += len(money)
    assert expirations > 500
    assert inside / expirations >= 0.99


def test_thirty_day_volatility_follows_the_vix(
    thirty_days: "pd.Series[float]", shared_data: Path
) -> None:
    """The VIX is wider (it weighs the wings), but must move with the money: 0.96 in level."""
    indices = pd.read_parquet(shared_data / "cboe_vol_indices.parquet").set_index("date")["VIX"]
    assert len(thirty_days) == 56
    assert thirty_days.corr(indices.loc[list(thirty_days.index)]) >= 0.96


def test_it_follows_more_closely_where_quotes_are_of_the_close(
    thirty_days: "pd.Series[float]", valued: dict[date, pd.DataFrame], shared_data: Path
) -> None:
    """Many sessions were recorded hours before the close that the VIX is of: 0.97 without them."""
    indices = pd.read_parquet(shared_data / "cboe_vol_indices.parquet").set_index("date")["VIX"]
    bars = pd.read_parquet(shared_data / "bars_daily.parquet")
    closes = bars[(bars["symbol"] == "SPX") & (bars["source"] == "heliar")].set_index("date")
    level = pd.Series({day: rows["underlying_price"].iloc[0] for day, rows in valued.items()})
    near = (level / closes["close"].loc[list(level.index)] - 1).abs() < 0.001
    assert near.sum() > 20
    own = thirty_days[near.to_numpy()]
    assert own.corr(indices.loc[list(own.index)]) >= 0.97
