"""Pictures of a scan's surface: which quotes are drawn, and a word where there is nothing."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.market.term_structure import MaturityMethod
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.market.volatility_metrics import volatility_metrics
from mahler_pipelines.pictures import surface
from mahler_pipelines.pictures.markdown import NOTHING
from mahler_pipelines.pictures.smile import SmilePanel
from mahler_pipelines.pictures.surface import (
    PANELS,
    TABLE_ROWS,
    metrics_table,
    premium_picture,
    smile_picture,
    term_structure_picture,
)
from mahler_pipelines.pictures.term_structure import NOT_USED, TOO_NEAR, USED, TermPanel
from tests.market.volatility_cases import CALENDAR
from tests.strategies.chains import AS_OF, IN_RANGE, model_chain

EXPIRATIONS = [
    IN_RANGE - timedelta(days=28),
    IN_RANGE - timedelta(days=21),
    IN_RANGE,
    IN_RANGE + timedelta(days=42),
]
SESSIONS = CALENDAR.sessions(date(2025, 12, 1), date(2026, 1, 2))
NO_BARS = pd.DataFrame(
    {
        "underlying": pd.Series(dtype="str"),
        "session": pd.Series(dtype="datetime64[us]"),
        **{name: pd.Series(dtype="float64") for name in ("open", "high", "low", "close")},
    }
)


def valued(*names: str) -> pd.DataFrame:
    """Chains as the volatility room hands them on."""
    quotes = model_chain(list(names), spot=100.0, strikes=21, expirations=EXPIRATIONS)
    bare = quotes.drop(columns=["implied_volatility", "delta", "gamma", "theta_per_day", "vega"])
    return implied_volatilities(
        bare.drop(columns=["mid", "quote_defect"]),
        as_of=AS_OF,
        rates=RateCurve.flat(0.0),
        dividend_yields={},
        calendar=CALENDAR,
    )


@pytest.fixture(scope="module")
def chain() -> pd.DataFrame:
    return valued("AAA")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the drawing functions are given, instead of a picture."""
    seen: dict[str, Any] = {}

    def keep(panels: Any, **words: str) -> bytes:
        seen.update(panels=panels, **words)
        return b""

    monkeypatch.setattr(surface, "smiles", keep)
    monkeypatch.setattr(surface, "term_structures", keep)
    monkeypatch.setattr(surface, "embed_png", lambda *_: "")
    return seen


def is_picture(markdown: str) -> bool:
    return markdown.startswith("![") and "base64" in markdown


def test_a_chain_has_a_smile_and_a_term_structure(chain: pd.DataFrame) -> None:
    assert is_picture(smile_picture(chain, as_of=AS_OF))
    assert is_picture(term_structure_picture(chain, as_of=AS_OF))


@pytest.mark.parametrize(
    "empty",
    [lambda chain: chain.iloc[:0], lambda chain: chain.assign(implied_volatility=np.nan)],
    ids=["no rows", "nothing inverted"],
)
def test_without_volatilities_there_is_nothing_to_draw(chain: pd.DataFrame, empty: Any) -> None:
    assert smile_picture(empty(chain), as_of=AS_OF) == NOTHING
    assert term_structure_picture(empty(chain), as_of=AS_OF) == NOTHING


def test_one_side_of_a_chain_is_enough(chain: pd.DataFrame) -> None:
    calls = chain[chain["right"] == 1]
    assert is_picture(smile_picture(calls, as_of=AS_OF))


def test_a_chain_of_refused_quotes_is_drawn_with_its_reasons(
    chain: pd.DataFrame, drawn: dict[str, Any]
) -> None:
    """A person looks at the picture exactly when nothing could be used."""
    crossed = chain.assign(quote_defect="quote_crossed")
    smile_picture(crossed, as_of=AS_OF)
    panel: SmilePanel
    for panel in drawn["panels"]:
        assert np.size(panel.used.strikes) == 0
        assert set(panel.refused) == {"quote_crossed"}
    assert term_structure_picture(crossed, as_of=AS_OF) == NOTHING


def test_every_quote_out_of_the_money_is_used_or_refused(
    chain: pd.DataFrame, drawn: dict[str, Any]
) -> None:
    spoiled = chain.copy()
    spoiled.loc[spoiled.index[::3], "quote_defect"] = "quote_zero_bid"
    lost = spoiled.index[1::5]
    spoiled.loc[lost, "implied_volatility"] = np.nan
    spoiled.loc[lost, "iv_reason"] = "below_intrinsic"
    smile_picture(spoiled, as_of=AS_OF)
    panels: list[SmilePanel] = drawn["panels"]
    assert [panel.title for panel in panels] == [
        f"AAA {day:%d %b %Y}, {(day - AS_OF.date()).days} days" for day in sorted(EXPIRATIONS)
    ]
    shown = sum(
        np.size(quotes.strikes)
        for panel in panels
        for quotes in (panel.used, *panel.refused.values())
    )
    outside = spoiled["right"] * (spoiled["strike"] - spoiled["forward"]) >= 0
    assert shown == outside.sum()
    for panel in panels:
        assert set(panel.refused) == {"quote_zero_bid", "below_intrinsic"}
        assert np.isnan(panel.refused["below_intrinsic"].implied_volatilities).all()
        assert np.isfinite(panel.refused["quote_zero_bid"].implied_volatilities).any()


def test_term_structure_says_which_expirations_were_used(
    chain: pd.DataFrame, drawn: dict[str, Any]
) -> None:
    chain = chain.copy()
    last = chain["expiration"] == pd.Timestamp(max(EXPIRATIONS))
    chain.loc[last, "quote_defect"] = "quote_stale"
    term_structure_picture(chain, as_of=AS_OF)
    panel: TermPanel
    (panel,) = drawn["panels"]
    days = np.asarray(panel.days)
    assert len(days) == len(EXPIRATIONS)
    used = [kind == USED for kind in panel.kinds]
    assert panel.kinds[-1] == "no_usable_quote"
    assert panel.target[0] == 30.0
    assert np.isfinite(panel.target[1])
    assert 1 <= sum(used) <= 2
    for day, kind in zip(days[:-1], panel.kinds[:-1], strict=True):
        assert (kind == TOO_NEAR) == (day < 7)
        assert kind in (USED, NOT_USED, TOO_NEAR)


def test_of_many_underlyings_the_most_quoted_are_drawn_and_it_says_so(
    drawn: dict[str, Any],
) -> None:
    names = [f"N{chr(65 + place)}" for place in range(PANELS + 2)]
    many = valued(*names)
    few = many["underlying"].isin(names[:2]) & (many["strike"] > 100)
    term_structure_picture(many[~few], as_of=AS_OF)
    assert [panel.title for panel in drawn["panels"]] == names[2:]
    assert drawn["subtitle"].startswith(f"{PANELS} of {PANELS + 2} underlyings, the most quoted; ")
    smile_picture(many[~few], as_of=AS_OF)
    assert len(drawn["panels"]) == PANELS


def test_the_moment_of_a_picture_is_in_utc(chain: pd.DataFrame, drawn: dict[str, Any]) -> None:
    """The word UTC stood under New York times."""
    local = AS_OF.astimezone(NEW_YORK)
    smile_picture(chain, as_of=local)
    assert drawn["subtitle"].endswith("05 Jan 2026 17:00 UTC")
    term_structure_picture(chain, as_of=local)
    assert drawn["subtitle"].endswith("05 Jan 2026 17:00 UTC")


def test_metrics_have_a_table_and_a_picture(chain: pd.DataFrame) -> None:
    metrics = volatility_metrics(chain, NO_BARS, underlyings=["AAA"], sessions=SESSIONS)
    table = metrics_table(metrics)
    assert "| AAA |" in table
    assert "no_bars" in table
    assert is_picture(premium_picture(metrics))
    nobody = volatility_metrics(chain, NO_BARS, underlyings=["ZZZ"], sessions=SESSIONS)
    assert premium_picture(nobody) == NOTHING
    assert f"{MaturityMethod.NO_USABLE_EXPIRATION}, no_expiration, no_bars" in metrics_table(nobody)


def test_a_long_table_is_cut_and_says_so(chain: pd.DataFrame) -> None:
    names = ["AAA", *(f"Z{place}" for place in range(TABLE_ROWS))]
    metrics = volatility_metrics(chain, NO_BARS, underlyings=names, sessions=SESSIONS)
    assert metrics_table(metrics).endswith("\n\n1 more are in the table of the lake.")
