"""What the screen is told of each underlying; what nobody knows is not a number."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.data import BAR_COLUMNS, STOCK_QUOTE_COLUMNS
from mahler_pipelines.market.regimes import PROBABILITY_COLUMNS
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.screening import UNDERLYING_NEEDS, screen
from mahler_pipelines.strategies.underlyings import underlying_table, uses_previous_volume
from tests.strategies.chains import AS_OF, chain, contract, empty_chain

NAN = float("nan")


def shares(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Share quotes of (name, bid, ask, last)."""
    frame = pd.DataFrame(
        [(*row, pd.Timestamp(AS_OF)) for row in rows], columns=list(STOCK_QUOTE_COLUMNS)
    )
    return frame.astype({"underlying": "str"} | dict.fromkeys(("bid", "ask", "last"), "float64"))


def bars(name: str, *volumes: float) -> pd.DataFrame:
    """Daily bars, oldest first, with these volumes."""
    days = pd.date_range("2025-12-01", periods=len(volumes), freq="D").astype("datetime64[us]")
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    frame = pd.DataFrame({"underlying": name, "session": days, **prices, "volume": volumes})
    return frame[list(BAR_COLUMNS)]


def ranks(*names: str, **changes: Any) -> pd.DataFrame:
    row: dict[str, Any] = {"iv_rank": 40.0, "iv_percentile": 55.0, "iv_rank_basis": "own history"}
    rows = [{"underlying": name, "iv30": 0.3, **row, **changes} for name in names]
    columns = ["underlying", "iv_rank", "iv_percentile", "iv_rank_basis", "iv30"]
    return pd.DataFrame(rows, columns=columns)


def regimes(*names: str, stressed: float = 0.3) -> pd.DataFrame:
    rows = [(name, 0.2, 0.8 - stressed, stressed) for name in names]
    return pd.DataFrame(rows, columns=["underlying", *PROBABILITY_COLUMNS])


def table(universe: tuple[str, ...] = ("XYZ",), **changes: Any) -> pd.DataFrame:
    inputs: dict[str, Any] = {
        "share_quotes": shares(("XYZ", 99.9, 100.1, 98.0)),
        "chains": chain(contract(100.0)),
        "bars": bars("XYZ", *[1e6] * 3),
        "ranks": ranks("XYZ"),
        "regimes": regimes("XYZ"),
        "volume_sessions": 3,
    }
    return underlying_table(universe, **(inputs | changes))


def only(frame: pd.DataFrame) -> dict[str, Any]:
    assert len(frame) == 1
    return {str(key): value for key, value in frame.to_dict("records")[0].items()}


def test_a_share_is_described_by_its_quote_bars_and_rank() -> None:
    row = only(table(bars=bars("XYZ", 9e9, 1e6, 2e6, 3e6)))
    assert row["price"] == pytest.approx(100.0)
    assert row["share_spread"] == pytest.approx(0.002)
    assert row["share_volume"] == 2e6  # the last three sessions only
    assert (row["iv_rank"], row["iv_rank_basis"], row["iv30"]) == (40.0, "own history", 0.3)


@pytest.mark.parametrize(
    ("quote", "price", "has_spread"),
    [
        ((99.0, 101.0, 98.0), 100.0, True),
        ((NAN, NAN, 98.0), 98.0, False),
        ((0.0, 101.0, 98.0), 98.0, False),
        ((101.0, 99.0, 98.0), 98.0, False),
        ((NAN, 101.0, NAN), 100.5, False),
        ((NAN, NAN, 0.0), 100.5, False),
        ((-1.0, 1.0, -5.0), 100.5, False),
    ],
    ids=["two sides", "an index", "no bid", "crossed", "one side", "last of zero", "negative"],
)
def test_the_price_is_the_mid_else_the_last_else_the_chains_own(
    quote: tuple[float, float, float], price: float, has_spread: bool
) -> None:
    """A price of zero is no price: it would make every strike far out of the money."""
    row = only(
        table(
            share_quotes=shares(("XYZ", *quote)),
            chains=chain(contract(100.0, underlying_price=100.5)),
        )
    )
    assert row["price"] == pytest.approx(price)
    assert np.isfinite(row["share_spread"]) == has_spread


def test_what_is_unknown_is_not_a_number() -> None:
    row = only(
        table(
            share_quotes=shares(),
            chains=empty_chain(),
            bars=bars("XYZ"),
            ranks=ranks(),
        )
    )
    assert all(np.isnan(row[name]) for name in ("price", "share_spread", "share_volume", "iv_rank"))
    assert row["iv_rank_basis"] == "no volatility at this scan"


@pytest.mark.parametrize("volumes", [(1e6, 1e6), (1e6, NAN, 1e6)])
def test_a_mean_needs_all_of_its_sessions(volumes: tuple[float, ...]) -> None:
    assert np.isnan(only(table(bars=bars("XYZ", *volumes)))["share_volume"])


def test_everybody_of_the_universe_has_one_row_in_order() -> None:
    frame = table(("XYZ", "AAA", "XYZ"), ranks=ranks("XYZ", "BBB"))
    assert frame["underlying"].to_list() == ["AAA", "XYZ"]
    assert set(UNDERLYING_NEEDS) <= set(frame.columns)
    assert np.isnan(frame["price"].iloc[0])


def test_regimes_come_along_and_are_unknown_where_nobody_said() -> None:
    found = table(("ABC", "XYZ"), regimes=regimes("XYZ", stressed=0.7)).set_index("underlying")
    assert found.loc["XYZ", "probability_stressed"] == 0.7
    assert found.loc["ABC", list(PROBABILITY_COLUMNS)].isna().all()


def test_dtypes_are_the_same_with_and_without_anything_known() -> None:
    nothing: dict[str, Any] = {"share_quotes": shares(), "chains": empty_chain()}
    empty = table(("AAA",), **nothing, bars=bars("XYZ"), regimes=regimes())
    assert empty.dtypes.to_dict() == table().dtypes.to_dict()


def test_the_screen_refuses_what_the_table_does_not_know() -> None:
    blind = table(share_quotes=shares(), chains=empty_chain())
    found = screen(
        empty_chain(),
        blind,
        as_of=AS_OF,
        limits=ScreenLimits(),
        strategies=["bull_put_spread"],
        use_previous_volume=False,
    )
    assert found.underlyings_refused == {"chain_empty": 1}


@pytest.mark.parametrize(
    ("hour", "minute", "previous"),
    [(9, 35, True), (11, 59, True), (12, 0, False), (15, 30, False)],
)
def test_before_noon_todays_option_volume_says_little(
    hour: int, minute: int, previous: bool
) -> None:
    for day in (date(2026, 1, 5), date(2026, 7, 6)):  # winter and summer time
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
        assert uses_previous_volume(local.astimezone(UTC)) is previous
