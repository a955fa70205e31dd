"""Bad input, one kind after the other, through every door it could come in by.

Each kind gives its code or its error, naming what and where, and nothing is lost on the way: what
is kept and what is refused add up to what was there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_pipelines.errors import (
    BadInput,
    CorruptData,
    MalformedSymbol,
    MissingData,
    UnknownSession,
    UnreadableFile,
)
from mahler_pipelines.execution.quotes import quote_structure
from mahler_pipelines.market.chains import ChainSnapshot, Scan, conform_quotes, empty_quotes
from mahler_pipelines.market.data import BAR_COLUMNS, STOCK_QUOTE_COLUMNS
from mahler_pipelines.market.liquidity import quote_defects, relative_spread
from mahler_pipelines.market.observation import NotObservable, require_observable
from mahler_pipelines.market.rank_stand_ins import rank_with_stand_ins
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.regimes import PROBABILITY_COLUMNS, regimes
from mahler_pipelines.market.volatility import (
    atm_volatility,
    constant_maturity_volatility,
    implied_volatilities,
)
from mahler_pipelines.market.volatility_history import empty_history
from mahler_pipelines.options.contracts import Right, occ_symbol, parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.storage.ingest import ingest
from mahler_pipelines.storage.lake import ParquetLake
from mahler_pipelines.strategies.limits import ScreenLimits
from mahler_pipelines.strategies.screening import Screen, screen
from mahler_pipelines.strategies.underlyings import underlying_table
from tests.market.volatility_cases import CALENDAR
from tests.strategies.chains import AS_OF, IN_RANGE, MODEL_COLUMNS, model_chain, underlyings

NAN, INFINITY = float("nan"), float("inf")
AGE = timedelta(minutes=15)
LOOSE = ScreenLimits(
    open_interest_min=None,
    option_volume_min=None,
    option_spread_max=None,
    short_delta_min=0.05,
    short_delta_max=0.95,
    width_min=None,
    width_max=None,
    credit_min=None,
)
STRIKES = 21


@dataclass(frozen=True, slots=True)
class Bad:
    """One kind of bad quote: what it does to a row, and the code everything must call it by."""

    code: str
    changes: dict[str, Any]


KINDS = {
    "crossed": Bad("quote_crossed", {"bid": 2.2, "ask": 2.1}),
    "locked": Bad("quote_locked", {"bid": 2.1, "ask": 2.1}),
    "zero bid": Bad("quote_zero_bid", {"bid": 0.0, "ask": 0.05}),
    "no number": Bad("quote_missing", {"bid": NAN, "ask": NAN}),
    "negative bid": Bad("quote_negative", {"bid": -0.1, "ask": 0.1}),
    "negative ask": Bad("quote_negative", {"bid": 0.1, "ask": -0.1}),
    "negative infinity": Bad("quote_negative", {"bid": -INFINITY, "ask": 1.0}),
    "stale": Bad("quote_stale", {"quote_time": pd.Timestamp(AS_OF) - timedelta(minutes=16)}),
    "of unknown time": Bad("quote_stale", {"quote_time": pd.NaT}),
    "no bid": Bad("quote_one_sided", {"bid": NAN, "ask": 2.1}),
    "no ask": Bad("quote_one_sided", {"bid": 2.1, "ask": NAN}),
    "nothing asked": Bad("quote_one_sided", {"bid": 2.1, "ask": 0.0}),
    "infinite bid": Bad("quote_one_sided", {"bid": INFINITY, "ask": 2.0}),
    "infinite ask": Bad("quote_one_sided", {"bid": 2.0, "ask": INFINITY}),
}
every_kind = pytest.mark.parametrize("bad", KINDS.values(), ids=KINDS)


def clean(names: Sequence[str] = ("AAA",)) -> pd.DataFrame:
    """Chains in which every quote can be used; columns of `QUOTE_COLUMNS` only."""
    chain = model_chain(list(names), spot=100.0, strikes=STRIKES, expirations=[IN_RANGE])
    chain = conform_quotes(chain.drop(columns=[*MODEL_COLUMNS, "mid", "quote_defect"]))
    chain["bid"] = np.maximum(chain["bid"], 0.05)
    chain["ask"] = np.maximum(chain["ask"], chain["bid"] + 0.05)
    return chain


def spoiled(chain: pd.DataFrame, row: int, bad: Bad) -> pd.DataFrame:
    """The chain with one bad quote in it."""
    changed = chain.copy()
    for column, value in bad.changes.items():
        changed.loc[row, column] = value
    return changed


def valued(chain: pd.DataFrame) -> pd.DataFrame:
    """The chain as the graph hands it to the screen."""
    flat = RateCurve.flat(0.0)
    rows = implied_volatilities(
        chain, as_of=AS_OF, rates=flat, dividend_yields={}, calendar=CALENDAR
    )
    rows["quote_defect"] = quote_defects(chain, as_of=AS_OF, max_age=AGE)
    return rows


def screened(chain: pd.DataFrame, names: Sequence[str] = ("AAA",), **changes: Any) -> Screen:
    inputs: dict[str, Any] = {
        "as_of": AS_OF,
        "limits": LOOSE,
        "strategies": ["bull_put_spread", "bear_call_spread"],
        "use_previous_volume": False,
    }
    return screen(valued(chain), underlyings(*names), **(inputs | changes))


def adds_up(found: Screen, chain: pd.DataFrame) -> bool:
    """Whether kept and refused pairs are exactly the n(n-1)/2 pairs of each group's n legs."""
    sizes = chain.groupby(["underlying", "root", "expiration", "right"]).size()
    pairs = int((sizes * (sizes - 1) // 2).sum())
    refused = sum(found.refused_by_code.values())
    by_row = found.pairs["considered"] == found.pairs["kept"] + found.pairs["refused"]
    return bool(by_row.all()) and found.considered == pairs == found.kept + refused


def leg_codes(found: Screen) -> dict[str, str]:
    rows = found.refusals[found.refusals["level"] == "leg"]
    return dict(zip(rows["subject"], rows["code"], strict=True))


# One bad quote


@every_kind
@pytest.mark.parametrize("row", [0, 10, STRIKES + 10])
def test_a_bad_quote_is_refused_by_its_code_and_nothing_else_changes(bad: Bad, row: int) -> None:
    before, chain = clean(), spoiled(clean(), row, bad)
    symbol = chain["symbol"][row]
    found, untouched = screened(chain), screened(before)
    assert leg_codes(found)[symbol] == bad.code
    assert adds_up(found, chain)
    # Its volatility never spoke for the others: their refusals are those of the clean chain.
    others = {name: code for name, code in leg_codes(found).items() if name != symbol}
    clean_codes = {name: code for name, code in leg_codes(untouched).items() if name != symbol}
    assert others == clean_codes
    kept = found.candidates
    assert symbol not in set(kept["short_symbol"]) | set(kept["long_symbol"])
    assert found.refused_by_code.get(bad.code, 0) > 0


@every_kind
def test_a_bad_quote_keeps_its_row_in_the_market_room(bad: Bad) -> None:
    chain = spoiled(clean(), 10, bad)
    rows = valued(chain)
    assert rows["symbol"].to_list() == chain["symbol"].to_list()
    assert rows["quote_defect"][10] == bad.code
    assert (rows["quote_defect"] != "").sum() == 1
    assert set(rows.loc[rows["implied_volatility"].isna(), "iv_reason"]) <= {
        *("below_intrinsic", "above_maximum", "not_finite", "non_positive_input")
    }
    assert (rows["iv_reason"].eq("") == rows["implied_volatility"].notna()).all()
    assert len(relative_spread(chain)) == len(chain)


@every_kind
def test_a_bad_quote_does_not_move_the_volatility_of_the_underlying(bad: Bad) -> None:
    """At the money, where it would count most."""
    at_the_money = STRIKES // 2
    before = constant_maturity_volatility(atm_volatility(valued(clean())))
    after = constant_maturity_volatility(
        atm_volatility(valued(spoiled(clean(), at_the_money, bad)))
    )
    assert after["implied_volatility"][0] == pytest.approx(
        before["implied_volatility"][0], abs=0.01
    )


@pytest.mark.parametrize("name", [name for name in KINDS if "stale" not in KINDS[name].code])
def test_a_structure_with_a_bad_quote_has_no_price_to_open_at(name: str) -> None:
    """Just before an order is sent the same quotes are looked at once more; a locked one trades."""
    chain = spoiled(clean(), STRIKES + 10, KINDS[name])
    short, long = (parse_occ(str(chain["symbol"][row])) for row in (STRIKES + 10, STRIKES + 8))
    spread = Structure("bull_put_spread", (Leg(short, Side.SELL), Leg(long, Side.BUY)))
    quote = quote_structure(spread, chain)
    if name in ("locked", "zero bid"):
        assert quote.natural_credit is not None
        return
    assert quote.natural_credit is None
    assert quote.mid is None
    assert quote.problem.startswith("quote_")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4 * STRIKES - 1), st.sampled_from(sorted(KINDS))), max_size=60
    )
)
def test_any_mixture_of_bad_quotes_adds_up(places: list[tuple[int, str]]) -> None:
    """However many are bad, every pair is kept or refused once, and every bad leg is named."""
    chain = clean(("AAA", "BBB"))
    for row, kind in places:
        chain = spoiled(chain, row, KINDS[kind])
    found = screened(chain, ("AAA", "BBB"))
    assert adds_up(found, chain)
    defects = quote_defects(chain, as_of=AS_OF, max_age=AGE)
    named = leg_codes(found)
    for symbol, defect in zip(chain["symbol"], defects, strict=True):
        if defect:
            assert named[symbol] == defect


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_chain_of_nothing_but_bad_quotes_is_refused_leg_by_leg(kind: str) -> None:
    bad, chain = KINDS[kind], clean()
    for row in range(len(chain)):
        chain = spoiled(chain, row, bad)
    found = screened(chain)
    assert set(leg_codes(found).values()) == {bad.code}
    assert len(leg_codes(found)) == len(chain)
    assert found.refused_by_code == {bad.code: found.considered}
    assert found.kept == 0
    volatility = constant_maturity_volatility(atm_volatility(valued(chain)))
    if bad.code != "quote_stale":
        assert volatility["implied_volatility"].isna().all()


# What is not there


def test_an_empty_chain_is_refused_as_such_and_the_others_go_on() -> None:
    found = screened(clean(), ("AAA", "BBB"))
    assert found.underlyings_refused == {"chain_empty": 1}
    assert found.kept > 0
    refused = found.refusals[found.refusals["level"] == "underlying"].iloc[0]
    assert (refused["underlying"], refused["subject"]) == ("BBB", "BBB")


def test_no_chains_at_all_go_through_every_room() -> None:
    rows = valued(empty_quotes())
    assert rows.empty
    assert atm_volatility(rows).empty
    assert constant_maturity_volatility(atm_volatility(rows)).empty
    found = screened(empty_quotes(), ("AAA", "BBB"))
    assert found.underlyings_refused == {"chain_empty": 2}
    assert (found.considered, len(found.candidates)) == (0, 0)


def test_no_bars_are_no_regimes_and_no_ranks() -> None:
    bars = pd.DataFrame({name: pd.Series(dtype="float64") for name in BAR_COLUMNS}).astype(
        {"underlying": "str", "session": "datetime64[us]"}
    )
    assert regimes(bars, empty_history(), as_of=AS_OF).empty
    ranked = rank_with_stand_ins(
        empty_history(),
        empty_history(),
        pd.DataFrame(),
        stand_ins={"SPX": "VIX"},
        lookback=252,
        minimum=20,
        coverage=0.8,
    )
    assert ranked.empty


def test_a_name_nobody_knows_has_no_price_and_is_refused_for_it() -> None:
    shares = pd.DataFrame(columns=list(STOCK_QUOTE_COLUMNS)).astype({"underlying": "str"})
    ranks = pd.DataFrame(columns=["underlying", "iv_rank", "iv_percentile", "iv_rank_basis"])
    table = underlying_table(
        ["NOPE"],
        share_quotes=shares,
        chains=clean().assign(underlying="NOPE", underlying_price=NAN),
        bars=pd.DataFrame(columns=list(BAR_COLUMNS)),
        ranks=ranks.assign(iv30=pd.Series(dtype="float64")),
        regimes=pd.DataFrame(columns=["underlying", *PROBABILITY_COLUMNS]),
        volume_sessions=20,
    )
    found = screen(
        valued(clean()).assign(underlying="NOPE"),
        table,
        as_of=AS_OF,
        limits=LOOSE,
        strategies=["bull_put_spread"],
        use_previous_volume=False,
    )
    assert found.underlyings_refused == {"underlying_price_missing": 1}


def test_a_chain_of_an_underlying_nobody_asked_for_is_corrupt() -> None:
    with pytest.raises(CorruptData, match="AAA"):
        screened(clean(), ("BBB",))


def test_contracts_without_a_quote_have_no_structure_price() -> None:
    legs = [
        Leg(parse_occ(occ_symbol("ZZZ", IN_RANGE, Right.PUT, strike)), side)
        for strike, side in ((95.0, Side.SELL), (90.0, Side.BUY))
    ]
    quote = quote_structure(Structure("bull_put_spread", tuple(legs)), clean())
    assert (quote.natural_credit, quote.problem) == (None, "quote_missing")


@pytest.mark.parametrize(
    "symbol",
    [
        *("", "SPY", "SPY 261218P00600000", "spy261218P00600000", "SPY261318P00600000"),
        *(
            "SPY261218X00600000",
            "SPY261218P00000000",
            "SPY261218P0060000",
            "TOOLONGX261218P00600000",
        ),
    ],
)
def test_what_is_no_contract_is_named(symbol: str) -> None:
    with pytest.raises(MalformedSymbol) as raised:
        parse_occ(symbol)
    assert repr(symbol) in str(raised.value)


# What contradicts itself


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda rows: pd.concat([rows, rows.iloc[[3]]], ignore_index=True), "twice"),
        (lambda rows: rows.assign(strike=rows["strike"].where(rows.index != 3, NAN)), "strike"),
        (lambda rows: rows.assign(strike=rows["strike"].where(rows.index != 3, 0.0)), "strike"),
        (lambda rows: rows.assign(right=rows["right"].where(rows.index != 3, 0)), "right"),
        (lambda rows: rows.drop(columns="quote_defect"), "quote_defect"),
    ],
    ids=["twice", "no strike", "strike of zero", "neither call nor put", "a column"],
)
def test_rows_that_contradict_themselves_stop_the_screen_by_name(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], named: str
) -> None:
    rows = spoil(valued(clean()))
    with pytest.raises((CorruptData, BadInput), match=named) as raised:
        screen(
            rows,
            underlyings("AAA"),
            as_of=AS_OF,
            limits=LOOSE,
            strategies=["bull_put_spread"],
            use_previous_volume=False,
        )
    assert named == "quote_defect" or str(rows["symbol"][3]) in str(raised.value)


def test_a_quote_table_without_an_identifying_column_is_refused() -> None:
    for name in ("underlying", "symbol", "root", "expiration", "right", "strike"):
        with pytest.raises(BadInput, match=name):
            conform_quotes(clean().drop(columns=name))


# Partitions and sessions


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path / "lake")


MONDAY, SUNDAY, HOLIDAY = date(2026, 1, 5), date(2026, 1, 4), date(2026, 1, 1)


def test_a_partition_without_data_says_which(lake: ParquetLake) -> None:
    for ask in (
        lambda: lake.read("iv_ranks", session=MONDAY, scan="morning"),
        lambda: lake.snapshot(session=MONDAY, scan="morning"),
    ):
        with pytest.raises(MissingData, match=r"session=2026-01-05 scan=morning"):
            ask()
    with pytest.raises(MissingData, match="0" * 64):
        lake.snapshot(content_hash="0" * 64)


def test_a_partition_without_rows_is_data_like_any_other(lake: ParquetLake) -> None:
    seen = ChainSnapshot(MONDAY, Scan.MORNING.value, AS_OF, empty_quotes())
    lake.add_snapshot(seen)
    found = lake.snapshot(session=MONDAY, scan="morning")
    assert found.content_hash == seen.content_hash
    assert found.quotes.dtypes.to_dict() == empty_quotes().dtypes.to_dict()
    assert screened(found.quotes).underlyings_refused == {"chain_empty": 1}


@pytest.mark.parametrize(
    ("day", "reason"), [(SUNDAY, "weekend"), (HOLIDAY, "holiday"), (date(2036, 1, 2), "calendar")]
)
def test_a_closed_session_is_named_with_its_reason(day: date, reason: str) -> None:
    with pytest.raises(UnknownSession, match=reason) as raised:
        CALENDAR.scan_time(day, Scan.MORNING)
    assert day.isoformat() in str(raised.value) or repr(day) in str(raised.value)


def test_a_closed_session_is_not_observed() -> None:
    noon = datetime(2026, 1, 4, 17, 0, tzinfo=UTC)
    with pytest.raises(NotObservable, match="2026-01-04"):
        require_observable(SUNDAY, Scan.MIDDAY, noon, CALENDAR)


# Archives

HEAD = "quote_date,symbol,root,expiration,type,strike,bid,ask,last,volume,open_interest,underlying"
GOOD = "2019-05-13,SPY,SPY,2019-06-21,P,{strike},1.10,1.20,1.15,5,10,281.2"
QUOTES = {
    "1.2,1.1": "quote_crossed",
    "1.2,1.2": "quote_locked",
    "0,0.05": "quote_zero_bid",
    ",": "quote_missing",
    "1.2,": "quote_one_sided",
    ",1.2": "quote_one_sided",
    "1.2,0": "quote_one_sided",
}
ROWS = {
    "2019-05-12,SPY,SPY,2019-06-21,P,290,1,1.1,1,1,1,281": "session_closed",
    "2019-05-27,SPY,SPY,2019-06-21,P,290,1,1.1,1,1,1,281": "session_closed",
    "someday,SPY,SPY,2019-06-21,P,290,1,1.1,1,1,1,281": "date_unreadable",
    "2019-05-13,SPY,SPY,never,P,290,1,1.1,1,1,1,281": "expiration_unreadable",
    "2019-05-13,SPY,SPY,2019-05-10,P,290,1,1.1,1,1,1,281": "expired_before_quote",
    "2019-05-13,SPY,SPY,2019-06-21,X,290,1,1.1,1,1,1,281": "right_unknown",
    "2019-05-13,SPY,SPY,2019-06-21,P,-5,1,1.1,1,1,1,281": "strike_unreadable",
    "2019-05-13,SPY,SPY,2019-06-21,P,290,-1,1.1,1,1,1,281": "price_negative",
    "2019-05-13,SPY,SPY,2019-06-21,P,290,1,inf,1,1,1,281": "price_not_finite",
    "2019-05-13,SPY,SPY,2019-06-21,P,290,1,much,1,1,1,281": "number_unreadable",
    "2019-05-13,SPY,SPY,2019-06-21,P,290,1,1.1,1,-1,1,281": "count_negative",
    "2019-05-13,???,???,2019-06-21,P,290,1,1.1,1,1,1,281": "root_unreadable",
    "2019-05-13,SPY,SPY,2019-06-21,P,290,1": "columns_missing",
}


def archive(folder: Path, *rows: str) -> Path:
    path = folder / "archive.csv"
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


@pytest.mark.parametrize(("sides", "code"), QUOTES.items())
def test_an_archived_bad_quote_is_kept_counted_and_refused_by_the_same_code(
    lake: ParquetLake, tmp_path: Path, sides: str, code: str
) -> None:
    bad = f"2019-05-13,SPY,SPY,2019-06-21,P,282,{sides},1.15,5,10,281.2"
    path = archive(tmp_path, GOOD.format(strike=281), bad, GOOD.format(strike=283))
    (file,) = ingest([path], lake).files
    assert (file.rows, file.kept, file.quarantined, dict(file.defects)) == (3, 3, {}, {code: 1})
    quotes = lake.read("archive_quotes", session=date(2019, 5, 13))
    close = datetime(2019, 5, 13, 19, 59, tzinfo=UTC)
    defects = quote_defects(quotes, as_of=close, max_age=None)
    assert dict(zip(quotes["strike"], defects, strict=True)) == {281.0: "", 282.0: code, 283.0: ""}


@pytest.mark.parametrize(("row", "reason"), ROWS.items(), ids=ROWS.values())
def test_an_archived_row_that_cannot_be_is_set_aside_with_its_place(
    lake: ParquetLake, tmp_path: Path, row: str, reason: str
) -> None:
    path = archive(tmp_path, GOOD.format(strike=281), row, GOOD.format(strike=283))
    (file,) = ingest([path], lake).files
    assert (file.rows, file.kept, dict(file.quarantined)) == (3, 2, {reason: 1})
    aside = lake.read_reference("quarantine").iloc[0]
    assert (aside["source_file"], aside["row_number"], aside["reason"]) == (
        "archive.csv",
        2,
        reason,
    )
    assert row.split(",")[1] in aside["raw"]


def test_everything_at_once_adds_up(lake: ParquetLake, tmp_path: Path) -> None:
    good = [GOOD.format(strike=strike) for strike in (281, 282.5)]
    path = archive(tmp_path, *good, *ROWS, good[0])
    (file,) = ingest([path], lake).files
    assert file.rows == len(ROWS) + 3
    assert file.rows == file.kept + sum(file.quarantined.values())
    assert file.kept == 2
    assert file.quarantined["repeated_row"] == 1
    assert len(lake.read_reference("quarantine")) == len(ROWS) + 1


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x00\x01\x02", HEAD.encode()])
def test_a_file_that_is_no_archive_is_named_and_the_others_are_read(
    lake: ParquetLake, tmp_path: Path, content: bytes
) -> None:
    good, bad = archive(tmp_path, GOOD.format(strike=281)), tmp_path / "bad.csv"
    bad.write_bytes(content)
    report = ingest([bad, good, tmp_path / "gone.csv"], lake)
    assert [file.name for file in report.files] == ["archive.csv"]
    assert all(isinstance(error, UnreadableFile) for error in report.unreadable)
    named = " ".join(str(error) for error in report.unreadable)
    assert "bad.csv" in named
    assert "gone.csv" in named
    assert report.kept == 1


def test_money_never_comes_from_a_bad_number() -> None:
    """The door from float quotes to Decimal lets nothing through that is not a price."""
    from mahler_pipelines.execution.quotes import to_price

    for value in (NAN, INFINITY, -INFINITY):
        assert to_price(value) is None
    assert to_price(1.1) == Decimal("1.10")
