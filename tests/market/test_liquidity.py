"""Quote defects, one per row, in their order."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import QuoteDefect, empty_quotes
from mahler_pipelines.market.liquidity import mid, quote_defects, relative_spread

AS_OF = datetime(2019, 6, 21, 19, 59, tzinfo=UTC)
NAN = float("nan")


def _quotes(*sides: tuple[float, float], age: timedelta = timedelta(0)) -> pd.DataFrame:
    times = pd.Series([pd.Timestamp(AS_OF - age)] * len(sides), dtype="datetime64[us, UTC]")
    bids, asks = [bid for bid, _ in sides], [ask for _, ask in sides]
    return pd.DataFrame({"bid": bids, "ask": asks, "quote_time": times}, dtype=None)


@pytest.mark.parametrize(
    ("bid", "ask", "defect"),
    [
        (1.0, 1.1, ""),
        (NAN, NAN, QuoteDefect.MISSING),
        (-0.1, 1.0, QuoteDefect.NEGATIVE),
        (1.0, -0.1, QuoteDefect.NEGATIVE),
        (-0.1, NAN, QuoteDefect.NEGATIVE),
        (1.0, NAN, QuoteDefect.ONE_SIDED),
        (NAN, 1.0, QuoteDefect.ONE_SIDED),
        (1.0, 0.0, QuoteDefect.ONE_SIDED),
        (0.0, 0.0, QuoteDefect.ONE_SIDED),
        (0.0, 0.05, QuoteDefect.ZERO_BID),
        (1.2, 1.1, QuoteDefect.CROSSED),
        (1.1, 1.1, QuoteDefect.LOCKED),
    ],
)
def test_first_defect_is_named(bid: float, ask: float, defect: str) -> None:
    found = quote_defects(_quotes((bid, ask)), as_of=AS_OF, max_age=timedelta(minutes=5))
    assert found.tolist() == [defect]
    assert found.dtype == "str"


def test_old_quote_is_stale_only_when_nothing_worse() -> None:
    old = _quotes((1.0, 1.1), (0.0, 0.05), age=timedelta(minutes=6))
    found = quote_defects(old, as_of=AS_OF, max_age=timedelta(minutes=5))
    assert found.tolist() == [QuoteDefect.STALE, QuoteDefect.ZERO_BID]
    at_limit = quote_defects(old, as_of=AS_OF, max_age=timedelta(minutes=6))
    assert at_limit.tolist() == ["", QuoteDefect.ZERO_BID]
    assert quote_defects(old, as_of=AS_OF, max_age=None).tolist() == ["", QuoteDefect.ZERO_BID]


def test_quote_of_unknown_time_is_stale_where_age_matters() -> None:
    unknown = _quotes((1.0, 1.1)).assign(
        quote_time=pd.Series([pd.NaT], dtype="datetime64[us, UTC]")
    )
    assert quote_defects(unknown, as_of=AS_OF, max_age=timedelta(days=1)).tolist() == [
        QuoteDefect.STALE
    ]
    assert quote_defects(unknown, as_of=AS_OF, max_age=None).tolist() == [""]


def test_mid_and_spread_exist_only_for_two_sides() -> None:
    quotes = _quotes((1.0, 1.2), (0.0, 0.1), (NAN, 1.0), (1.0, 0.0), (-1.0, 1.0))
    assert mid(quotes).tolist()[:2] == pytest.approx([1.1, 0.05])
    assert mid(quotes)[2:].isna().all()
    assert relative_spread(quotes).tolist()[:2] == pytest.approx([0.2 / 1.1, 2.0])
    assert relative_spread(quotes)[2:].isna().all()


@given(
    st.lists(
        st.tuples(st.floats(-1, 5) | st.just(NAN), st.floats(-1, 5) | st.just(NAN)), max_size=30
    )
)
def test_quote_without_defect_can_be_crossed(sides: list[tuple[float, float]]) -> None:
    """Whatever comes, a row without a defect has 0 < bid < ask, and the index is kept."""
    quotes = _quotes(*sides).set_axis(range(100, 100 + len(sides)))
    found = quote_defects(quotes, as_of=AS_OF, max_age=None)
    assert (found.index == quotes.index).all()
    good = quotes[found == ""]
    assert ((good["bid"] > 0) & (good["bid"] < good["ask"])).all()
    bad = quotes[found != ""]
    assert not ((bad["bid"] > 0) & (bad["bid"] < bad["ask"])).any()


def test_no_quotes_have_no_defects() -> None:
    assert quote_defects(empty_quotes(), as_of=AS_OF, max_age=timedelta(1)).empty
    assert mid(empty_quotes()).dtype == np.float64


def test_moment_without_zone_is_refused() -> None:
    with pytest.raises(BadInput, match="zone"):
        quote_defects(_quotes((1.0, 1.1)), as_of=AS_OF.replace(tzinfo=None), max_age=None)
