"""The screen against a double loop in exact decimals, and each of its promises by itself."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.regimes import PROBABILITY_COLUMNS, Regime
from mahler_pipelines.strategies.limits import NotAvailablePolicy, ScreenLimits
from mahler_pipelines.strategies.screening import Screen, screen
from mahler_pipelines.strategies.spread_screening import PAIR_CODES
from tests.strategies.chains import (
    AS_OF,
    IN_RANGE,
    NAN,
    TOO_NEAR,
    chain,
    contract,
    count_pairs,
    empty_chain,
    model_chain,
    underlyings,
)

BOTH = ("bull_put_spread", "bear_call_spread")
PUTS = ("bull_put_spread",)


def screened(
    quotes: pd.DataFrame,
    table: pd.DataFrame | None = None,
    *,
    limits: ScreenLimits | None = None,
    strategies: tuple[str, ...] = PUTS,
    use_previous_volume: bool = False,
    as_of: datetime = AS_OF,
) -> Screen:
    return screen(
        quotes,
        underlyings("XYZ") if table is None else table,
        as_of=as_of,
        limits=limits or ScreenLimits(),
        strategies=strategies,
        use_previous_volume=use_previous_volume,
    )


def codes_of(found: Screen, level: str) -> dict[str, str]:
    rows = found.refusals[found.refusals["level"] == level]
    return dict(zip(rows["subject"], rows["code"], strict=True))


def passing_pair(**long_changes: Any) -> pd.DataFrame:
    """A pair with a width of 5, a mid credit of 1.00 and a natural credit of 0.94."""
    long = {"bid": 0.99, "ask": 1.01, "delta": -0.12} | long_changes
    return chain(contract(95.0, bid=1.95, ask=2.05), contract(90.0, **long))


def assert_accounted(found: Screen) -> None:
    """Kept and refused add up to n(n-1)/2, in every group and over all."""
    pairs = found.pairs
    by_code = pairs[[code.value for code in PAIR_CODES]].sum(axis=1)
    assert (pairs["considered"] == pairs["legs"] * (pairs["legs"] - 1) // 2).all()
    assert (pairs["refused"] == by_code).all()
    assert (pairs["kept"] + pairs["refused"] == pairs["considered"]).all()
    assert found.kept + sum(found.refused_by_code.values()) == found.considered
    assert found.kept == len(found.candidates)


PRICES = st.sampled_from([NAN, -0.05, 0.0, 0.05, 0.38, 0.40, 0.42, 0.95, 1.0, 1.05, 1.30, 2.4])
LEG = st.fixed_dictionaries(
    {
        "bid": PRICES,
        "ask": PRICES,
        "open_interest": st.sampled_from([NAN, 0.0, 100.0, 101.0, 101.0]),
        "volume": st.sampled_from([NAN, 0.0, 50.0, 51.0, 51.0]),
        "previous_volume": st.sampled_from([NAN, 50.0, 51.0]),
        "delta": st.sampled_from([NAN, -0.19, -0.20, -0.25, 0.25, 0.30, 0.31]),
        "quote_time": st.sampled_from(
            [pd.NaT, AS_OF, AS_OF - timedelta(seconds=900), AS_OF - timedelta(seconds=901)]
        ),
    }
)
WELL_QUOTED = st.fixed_dictionaries(
    {
        "bid": st.sampled_from([0.38, 0.95, 1.0, 1.3, 2.4]),
        "delta": st.sampled_from([-0.20, -0.25, 0.30, 0.31]),
    }
).map(lambda row: row | {"ask": round(row["bid"] + 0.02, 2)})
STRIKES = st.sampled_from([88.0, 90.0, 92.5, 94.999, 95.0, 97.5, 100.0, 100.001, 105.0, 110.0])
PLACES = st.tuples(
    st.sampled_from(["XYZ", "XYZW"]),
    st.sampled_from([TOO_NEAR, IN_RANGE, date(2026, 2, 13)]),
    st.sampled_from([1, -1]),
    STRIKES,
)


@st.composite
def random_chains(draw: st.DrawFn) -> pd.DataFrame:
    places = draw(st.lists(PLACES, min_size=1, max_size=22, unique=True))
    rows = [
        contract(strike, root=root, expiration=expiration, right=right)
        | draw(st.one_of(WELL_QUOTED, WELL_QUOTED, LEG))
        for root, expiration, right, strike in places
    ]
    return chain(*rows)


LIMITS = st.builds(
    ScreenLimits,
    open_interest_min=st.sampled_from([None, 100.0]),
    option_volume_min=st.sampled_from([None, 50.0]),
    option_spread_max=st.sampled_from([None, 0.10]),
    dte_min=st.sampled_from([None, 25]),
    short_delta_min=st.sampled_from([None, 0.20]),
    short_delta_max=st.sampled_from([None, 0.30]),
    width_min=st.sampled_from([None, 2.5, 5.0]),
    width_max=st.sampled_from([None, 10.0]),
    credit_min=st.sampled_from([None, 0.30]),
    max_quote_age_seconds=st.sampled_from([None, 900.0]),
    open_interest_not_available=st.sampled_from(NotAvailablePolicy),
    option_volume_not_available=st.sampled_from(NotAvailablePolicy),
)


@settings(max_examples=100, deadline=None)
@given(quotes=random_chains(), limits=LIMITS, use_previous_volume=st.booleans())
def test_screen_agrees_with_a_double_loop_over_every_pair(
    quotes: pd.DataFrame, limits: ScreenLimits, use_previous_volume: bool
) -> None:
    """Counts come from cumulative sums; the loop asks each pair each gate in exact decimals."""
    volume = "previous_volume" if use_previous_volume else "volume"
    expected = count_pairs(quotes, limits, rights=(-1, 1), volume=volume)
    found = screened(
        quotes, limits=limits, strategies=BOTH, use_previous_volume=use_previous_volume
    )
    assert_accounted(found)
    kept = set(zip(found.candidates["short_symbol"], found.candidates["long_symbol"], strict=True))
    assert kept == expected.kept
    assert Counter(found.refused_by_code) == expected.codes
    for row in found.pairs.to_dict("records"):
        counted = {code.value: row[code.value] for code in PAIR_CODES} | {"kept": row["kept"]}
        key = (row["root"], row["expiration"].date(), row["right"])
        assert Counter(counted) == expected.by_group.get(key, Counter())
    assert codes_of(found, "leg") == expected.leg_rows
    pair_rows = {(*subject.split("/"), code) for subject, code in codes_of(found, "pair").items()}
    assert pair_rows == expected.pair_rows


@settings(max_examples=20, deadline=None)
@given(quotes=random_chains(), seed=st.integers(0, 2**16))
def test_row_order_does_not_change_the_screen(quotes: pd.DataFrame, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(quotes))
    one, other = (screened(table, strategies=BOTH) for table in (quotes, quotes.iloc[order]))
    pd.testing.assert_frame_equal(one.candidates, other.candidates)
    pd.testing.assert_frame_equal(one.refusals, other.refusals)
    pd.testing.assert_frame_equal(one.pairs, other.pairs)


def test_a_whole_market_is_accounted_for() -> None:
    """Twenty underlyings of 480 contracts: sums of many groups stay exact."""
    names = [f"U{chr(65 + number)}" for number in range(20)]
    quotes = model_chain(names, spot=100.0, strikes=60, expirations=[TOO_NEAR, IN_RANGE])
    found = screened(quotes, underlyings(*names), strategies=BOTH)
    assert found.considered == 20 * 4 * 60 * 59 // 2
    assert_accounted(found)
    assert found.kept > 0
    expected = count_pairs(
        quotes[quotes["underlying"] == "UA"], ScreenLimits(), rights=(-1, 1), volume="volume"
    )
    own = found.candidates[found.candidates["underlying"] == "UA"]
    assert set(zip(own["short_symbol"], own["long_symbol"], strict=True)) == expected.kept


def test_a_pair_inside_every_limit_becomes_a_candidate() -> None:
    found = screened(passing_pair())
    (row,) = found.candidates.to_dict("records")
    assert (row["strategy"], row["width"], row["dte"]) == ("bull_put_spread", 5.0, 32)
    assert (row["credit_mid"], row["credit_natural"]) == (1.0, 0.94)
    assert (row["short_strike"], row["long_strike"]) == (95.0, 90.0)
    assert (row["underlying_price"], row["iv_rank"], row["iv_rank_basis"]) == (
        *(100.0, 50.0),
        "own history",
    )
    assert found.refused_by_code == {}
    assert codes_of(found, "leg") == {"XYZ260206P00090000": "short_delta_out_of_range"}


def test_calls_pair_with_the_long_leg_above() -> None:
    quotes = chain(
        contract(105.0, right=1, delta=0.25, bid=1.95, ask=2.05),
        contract(110.0, right=1, delta=0.12, bid=0.99, ask=1.01),
    )
    found = screened(quotes, strategies=BOTH)
    (row,) = found.candidates.to_dict("records")
    assert (row["strategy"], row["short_strike"], row["long_strike"]) == (
        *("bear_call_spread", 105.0),
        110.0,
    )


def test_ids_are_the_same_for_the_same_scan_and_differ_between_scans() -> None:
    ids = [
        screened(passing_pair(), as_of=moment).candidates["candidate_id"].item()
        for moment in (AS_OF, AS_OF, AS_OF + timedelta(minutes=10))
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": NAN}, "underlying_price_missing"),
        ({"price": 0.0}, "underlying_price_missing"),
        ({"price": 19.99}, "underlying_price_out_of_range"),
        ({"price": 500.01}, "underlying_price_out_of_range"),
        ({"share_volume": 1e6}, "share_volume_too_low"),
        ({"share_volume": NAN}, "share_volume_not_available"),
        ({"share_spread": 0.01}, "share_spread_too_wide"),
        ({"share_spread": NAN}, "share_spread_not_available"),
        ({"iv_rank": 25.0}, "iv_rank_too_low"),
        ({"iv_rank": NAN}, "iv_rank_not_available"),
    ],
)
def test_an_underlying_is_refused_as_a_whole(changes: dict[str, float], code: str) -> None:
    """The limits themselves are on the refused side, except the price range's."""
    found = screened(passing_pair(), underlyings("XYZ", **changes))
    assert found.underlyings_refused == {code: 1}
    assert (found.considered, found.kept) == (0, 0)
    assert len(found.refusals) == 1


@pytest.mark.parametrize(
    "changes", [{"price": 20.0}, {"price": 500.0}, {"iv_rank": 25.01}, {"share_volume": 1e6 + 1}]
)
def test_an_underlying_on_the_passing_side_of_its_limit_is_screened(
    changes: dict[str, float],
) -> None:
    assert screened(passing_pair(), underlyings("XYZ", **changes)).kept == 1


@pytest.mark.parametrize("name", ["share_volume", "share_spread", "iv_rank"])
def test_the_policy_decides_what_is_not_available(name: str) -> None:
    accepting: dict[str, Any] = {f"{name}_not_available": NotAvailablePolicy.ACCEPT}
    table = underlyings("XYZ", **{name: NAN})
    assert screened(passing_pair(), table).kept == 0
    assert screened(passing_pair(), table, limits=ScreenLimits(**accepting)).kept == 1


STRESS_REFUSED = ScreenLimits(regimes_refused=(Regime.STRESSED,), regime_probability=0.6)


@pytest.mark.parametrize(("stressed", "kept"), [(0.59, 1), (0.6, 0), (1.0, 0)])
def test_a_refused_regime_refuses_from_its_probability_on(stressed: float, kept: int) -> None:
    """The value that was measured and the limit it met lie in the refusal."""
    table = underlyings("XYZ", probability_calm=0.0, probability_stressed=stressed)
    table["probability_normal"] = 1.0 - stressed
    found = screened(passing_pair(), table, limits=STRESS_REFUSED)
    assert found.kept == kept
    refused = [] if kept else [("XYZ", "regime_refused", stressed, 0.6)]
    whole = found.refusals[found.refusals["level"] == "underlying"]
    columns = ["underlying", "code", "value", "limit"]
    assert list(whole[columns].itertuples(index=False, name=None)) == refused


def test_refused_regimes_count_together() -> None:
    """Neither is likely alone; one of them is."""
    both = ScreenLimits(regimes_refused=(Regime.CALM, Regime.STRESSED), regime_probability=0.5)
    found = screened(passing_pair(), underlyings("XYZ"), limits=both)
    assert found.underlyings_refused == {"regime_refused": 1}
    assert found.refusals["value"].iloc[0] == pytest.approx(0.5)


def test_regimes_have_no_effect_until_one_is_refused() -> None:
    unknown = underlyings("XYZ", **dict.fromkeys(PROBABILITY_COLUMNS, NAN))
    stressed = underlyings("XYZ", probability_stressed=1.0)
    for table in (unknown, stressed):
        assert screened(passing_pair(), table).kept == 1


def test_the_policy_decides_what_is_done_without_a_regime() -> None:
    unknown = underlyings("XYZ", **dict.fromkeys(PROBABILITY_COLUMNS, NAN))
    found = screened(passing_pair(), unknown, limits=STRESS_REFUSED)
    assert found.underlyings_refused == {"regime_not_available": 1}
    accepting = replace(STRESS_REFUSED, regime_not_available=NotAvailablePolicy.ACCEPT)
    assert screened(passing_pair(), unknown, limits=accepting).kept == 1


def test_refusing_every_regime_is_refused() -> None:
    with pytest.raises(BadInput, match="refuse everything"):
        ScreenLimits(regimes_refused=tuple(Regime))


def test_an_underlying_without_a_chain_is_refused() -> None:
    found = screened(passing_pair(), underlyings("XYZ", "ABC"))
    assert codes_of(found, "underlying") == {"ABC": "chain_empty"}
    assert found.kept == 1


def test_an_empty_chain_gives_an_empty_screen_with_every_column() -> None:
    found, full = screened(empty_chain()), screened(passing_pair())
    assert found.underlyings_refused == {"chain_empty": 1}
    for name in ("candidates", "refusals", "pairs"):
        empty, rows = getattr(found, name), getattr(full, name)
        assert list(empty.columns) == list(rows.columns)
        assert empty.dtypes.equals(rows.dtypes)
    assert found.candidates.empty
    assert found.pairs.empty


def test_no_underlying_at_all_gives_an_empty_screen() -> None:
    found = screened(empty_chain(), underlyings("XYZ").head(0))
    assert (found.considered, found.kept, len(found.refusals)) == (0, 0, 0)


def test_one_strike_has_no_pair_but_is_listed() -> None:
    found = screened(chain(contract(95.0)))
    (row,) = found.pairs.to_dict("records")
    assert (row["legs"], row["considered"], row["kept"]) == (1, 0, 0)


def test_an_expiration_out_of_range_takes_its_pairs_and_spares_its_legs_a_row() -> None:
    rows = [contract(strike, expiration=TOO_NEAR, bid=NAN) for strike in (90.0, 95.0, 100.0)]
    found = screened(chain(*rows))
    assert found.refused_by_code == {"dte_out_of_range": 3}
    (row,) = found.refusals.to_dict("records")
    assert (row["level"], row["subject"]) == ("expiration", "XYZ 2026-01-16")
    assert (row["value"], row["limit"]) == (11.0, 25.0)


@pytest.mark.parametrize(
    ("expiration", "kept"),
    [
        (date(2026, 1, 29), 0),
        (date(2026, 1, 30), 1),
        (date(2026, 2, 19), 1),
        (date(2026, 2, 20), 0),
    ],
)
def test_days_to_expiry_are_inclusive_and_counted_in_new_york(expiration: date, kept: int) -> None:
    """Late on 5 January in New York it is the sixth in UTC."""
    late = datetime(2026, 1, 6, 1, 0, tzinfo=UTC)
    quotes = passing_pair().assign(
        expiration=pd.Series([pd.Timestamp(expiration)] * 2, dtype="datetime64[us]"),
        quote_time=pd.Series([pd.Timestamp(late)] * 2, dtype="datetime64[us, UTC]"),
    )
    assert screened(quotes, as_of=late).kept == kept


@pytest.mark.parametrize(
    ("changes", "code", "value", "limit"),
    [
        ({"bid": NAN, "ask": NAN}, "quote_missing", NAN, 0.0),
        ({"bid": NAN}, "quote_one_sided", 1.01, 0.0),
        ({"bid": -0.01}, "quote_negative", -0.01, 0.0),
        ({"bid": 0.0}, "quote_zero_bid", 0.0, 0.0),
        ({"bid": 1.02}, "quote_crossed", -0.01, 0.0),
        ({"bid": 1.01}, "quote_locked", 0.0, 0.0),
        ({"quote_time": AS_OF - timedelta(minutes=16)}, "quote_stale", 960.0, 900.0),
        ({"quote_time": pd.NaT}, "quote_stale", NAN, 900.0),
        ({"open_interest": 100.0}, "open_interest_too_low", 100.0, 100.0),
        ({"open_interest": NAN}, "open_interest_not_available", NAN, 100.0),
        ({"volume": 50.0}, "option_volume_too_low", 50.0, 50.0),
        ({"volume": NAN}, "option_volume_not_available", NAN, 50.0),
        ({"bid": 0.95, "ask": 1.05}, "option_spread_too_wide", 0.1, 0.1),
        ({"delta": NAN}, "delta_not_available", NAN, NAN),
    ],
)
def test_a_leg_keeps_its_first_failing_gate_with_value_and_limit(
    changes: dict[str, Any], code: str, value: float, limit: float
) -> None:
    found = screened(passing_pair(**changes))
    assert found.refused_by_code == {code: 1}
    rows = found.refusals[found.refusals["subject"] == "XYZ260206P00090000"]
    (row,) = rows.to_dict("records")
    assert (row["level"], row["code"]) == ("leg", code)
    assert row["value"] == pytest.approx(value, nan_ok=True)
    assert row["limit"] == pytest.approx(limit, nan_ok=True)


def test_a_mid_that_is_not_a_number_is_never_passed_over() -> None:
    """Whoever wrote the defects may have missed it: NaN compares false with everything."""
    quotes = passing_pair()
    quotes.loc[1, "mid"] = NAN
    assert screened(quotes).refused_by_code == {"quote_missing": 1}


def test_the_volume_gate_reads_the_session_it_is_told() -> None:
    quotes = passing_pair(volume=0.0, previous_volume=51.0)
    assert screened(quotes).refused_by_code == {"option_volume_too_low": 1}
    found = screened(quotes, use_previous_volume=True)
    assert found.kept == 1
    assert found.candidates["long_volume"].item() == 51.0


@pytest.mark.parametrize("delta", [-0.20, -0.30, 0.20])
def test_short_delta_is_inclusive_and_absolute(delta: float) -> None:
    quotes = passing_pair()
    quotes.loc[0, "delta"] = delta
    assert screened(quotes).kept == 1


@pytest.mark.parametrize(
    ("short", "long", "strike", "code"),
    [
        ((1.95, 2.05), (0.99, 1.01), 90.001, "width_out_of_range"),
        ((1.95, 2.05), (0.99, 1.01), 84.999, "width_out_of_range"),
        ((1.00, 1.04), (0.98, 1.00), 90.0, "natural_credit_not_positive"),
        ((1.28, 1.30), (1.0, 1.0 + 0.02), 90.0, "credit_too_low"),
        ((6.95, 7.05), (0.99, 1.01), 90.0, "credit_exceeds_width"),
    ],
)
def test_a_pair_gate_names_the_pair(
    short: tuple[float, float], long: tuple[float, float], strike: float, code: str
) -> None:
    quotes = chain(
        contract(95.0, bid=short[0], ask=short[1]),
        contract(strike, bid=long[0], ask=long[1]),
    )
    found = screened(quotes)
    assert found.refused_by_code == {code: 1}
    (subject,) = codes_of(found, "pair")
    assert subject == f"XYZ260206P00095000/{quotes['symbol'][1]}"


def test_a_mid_credit_of_exactly_the_minimum_passes_despite_binary_noise() -> None:
    """1.15 - 0.85 is 0.29999999999999993 in binary."""
    quotes = chain(contract(95.0, bid=1.14, ask=1.16), contract(90.0, bid=0.84, ask=0.86))
    assert screened(quotes).kept == 1


@pytest.mark.parametrize("width", [5.0, 10.0])
def test_width_is_inclusive(width: float) -> None:
    quotes = chain(contract(95.0, bid=1.95, ask=2.05), contract(95.0 - width, bid=0.99, ask=1.01))
    assert screened(quotes).kept == 1


def test_legs_of_different_roots_are_never_paired() -> None:
    quotes = chain(
        contract(95.0, bid=1.95, ask=2.05), contract(90.0, root="XYZW", bid=0.99, ask=1.01)
    )
    assert screened(quotes).considered == 0


def test_a_contract_that_appears_twice_is_corrupt() -> None:
    quotes = passing_pair()
    with pytest.raises(CorruptData, match="XYZ260206P00095000 appears twice"):
        screened(pd.concat([quotes, quotes.head(1)], ignore_index=True))


def test_two_symbols_of_one_strike_are_corrupt() -> None:
    quotes = passing_pair()
    quotes.loc[1, "strike"] = 95.0
    with pytest.raises(CorruptData, match="repeats the strike"):
        screened(quotes)


@pytest.mark.parametrize(
    ("column", "value"), [("strike", NAN), ("expiration", pd.NaT), ("right", 0)]
)
def test_a_contract_without_its_terms_is_corrupt(column: str, value: Any) -> None:
    quotes = passing_pair()
    quotes.loc[1, column] = value
    with pytest.raises(CorruptData, match="XYZ260206P00090000"):
        screened(quotes)


def test_an_unknown_defect_is_corrupt() -> None:
    quotes = passing_pair()
    quotes.loc[1, "quote_defect"] = "quote_odd"
    with pytest.raises(CorruptData, match="quote_odd"):
        screened(quotes)


def test_a_chain_that_no_underlying_row_names_is_corrupt() -> None:
    with pytest.raises(CorruptData, match="XYZ"):
        screened(passing_pair(), underlyings("ABC"))


def test_wrong_arguments_are_named() -> None:
    quotes = passing_pair()
    with pytest.raises(BadInput, match="iron_condor"):
        screened(quotes, strategies=("iron_condor",))
    with pytest.raises(BadInput, match="at least one strategy"):
        screened(quotes, strategies=())
    with pytest.raises(BadInput, match="quote_defect"):
        screened(quotes.drop(columns="quote_defect"))
    with pytest.raises(BadInput, match="time zone"):
        screened(quotes, as_of=datetime(2026, 1, 5, 12, 0))  # noqa: DTZ001
    with pytest.raises(BadInput, match="width_max"):
        ScreenLimits(width_min=10.0, width_max=5.0)
    with pytest.raises(BadInput, match="share_volume_sessions"):
        ScreenLimits(share_volume_sessions=0)
