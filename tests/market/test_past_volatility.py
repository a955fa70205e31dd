"""Past sessions: stored chains have the word, the market's closes the rest, nothing is guessed."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.market.chains import ChainSnapshot, Scan
from mahler_pipelines.market.past_volatility import (
    ARCHIVE_QUOTES,
    PastMarket,
    past_volatilities,
    session_volatility,
)
from mahler_pipelines.market.rates import RateCurve
from mahler_pipelines.market.volatility import implied_volatilities
from mahler_pipelines.market.volatility_history import (
    HistorySource,
    empty_history,
    missing_sessions,
)
from mahler_pipelines.storage import archive_merge
from mahler_pipelines.storage.ingest import ingest
from mahler_pipelines.storage.lake import ParquetLake
from tests.market.past_markets import SESSIONS, VOLATILITY, OptionBars, shares
from tests.market.volatility_cases import CALENDAR, model_chain

DAY = SESSIONS[5]
EXPIRATIONS = [DAY + timedelta(days=days) for days in (3, 10, 24, 38, 66, 94, 122)]
SPX_SESSIONS = CALENDAR.sessions(date(2019, 4, 25), date(2019, 7, 22))
FLAT = RateCurve.flat(0.04)
STRIKES = np.arange(50.0, 160.0, 2.5)


@pytest.fixture
def archive(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path / "archive")


@pytest.fixture
def past(tmp_path: Path, archive: ParquetLake) -> PastMarket:
    seen = ParquetLake(tmp_path / "lake")
    return PastMarket(seen, archive, OptionBars(), rates=pd.DataFrame(), flat_rate=0.04)


def chain(
    name: str, near: float, *, far: float | None = None, scan: Scan = Scan.CLOSE
) -> ChainSnapshot:
    """Quotes of a scan around one volatility, or one that rises towards `far` at 90 days."""
    as_of = CALENDAR.scan_time(DAY, scan)
    assert as_of is not None
    slope = 0.0 if far is None else (far - near) / 60.0
    quotes = model_chain(
        name,
        spot=100.0,
        as_of=as_of,
        strikes=STRIKES,
        expirations=EXPIRATIONS,
        smile=lambda strikes, years: np.full(strikes.shape, near + slope * (years * 365 - 30)),
        rate=0.04,
        dividend_yield=0.0,
    )
    return ChainSnapshot(DAY, scan.value, as_of, quotes)


def found_of(past: PastMarket, names: Sequence[str], days: Sequence[date] = (DAY,)) -> pd.DataFrame:
    missing = missing_sessions(empty_history(), underlyings=names, sessions=days)
    return past_volatilities(missing, past, shares("AAA", "BBB", "CCC"))


def test_an_ingested_chain_speaks_before_the_market_is_asked(
    past: PastMarket, archive: ParquetLake
) -> None:
    archive.write(ARCHIVE_QUOTES, chain("AAA", 0.33).quotes, session=DAY)
    found = found_of(past, ["AAA", "BBB"])
    assert found["source"].to_list() == [HistorySource.ARCHIVE, HistorySource.OPTION_BARS]
    assert found["implied_volatility"].to_list() == pytest.approx([0.33, VOLATILITY["BBB"]], 1e-3)
    market = past.market_data
    assert isinstance(market, OptionBars)
    assert {name for name, _ in market.listed} == {"BBB"}


def test_the_desks_own_last_scan_goes_before_an_archive(
    past: PastMarket, archive: ParquetLake
) -> None:
    archive.write(ARCHIVE_QUOTES, chain("AAA", 0.33).quotes, session=DAY)
    for scan, level in ((Scan.MORNING, 0.5), (Scan.AFTERNOON, 0.4)):
        past.seen.add_snapshot(chain("AAA", level, scan=scan))
    (row,) = found_of(past, ["AAA"]).to_dict("records")
    assert row["source"] == HistorySource.SCAN
    assert row["implied_volatility"] == pytest.approx(0.4, abs=1e-6)


def test_a_chain_knows_the_slope_of_its_term_structure(
    past: PastMarket, archive: ParquetLake
) -> None:
    archive.write(ARCHIVE_QUOTES, chain("AAA", 0.40, far=0.34).quotes, session=DAY)
    (row,) = found_of(past, ["AAA"]).to_dict("records")
    assert row["implied_volatility"] == pytest.approx(0.40, abs=2e-3)
    assert row["term_slope"] == pytest.approx(-0.06, abs=3e-3)


def test_leaving_out_what_is_far_changes_nothing(past: PastMarket, archive: ParquetLake) -> None:
    """Only part of a stored chain is valued, and it comes to what a scan makes of the whole."""
    shot = chain("AAA", 0.40, far=0.34)
    archive.write(ARCHIVE_QUOTES, shot.quotes, session=DAY)
    (row,) = found_of(past, ["AAA"]).to_dict("records")
    valued = implied_volatilities(
        shot.quotes,
        as_of=shot.as_of,
        rates=RateCurve.flat(0.04),
        dividend_yields={},
        calendar=CALENDAR,
    )
    (whole,) = session_volatility(valued).to_dict("records")
    for name in ("implied_volatility", "term_slope"):
        assert row[name] == pytest.approx(whole[name], abs=1e-9)


def test_a_chain_without_a_usable_quote_leaves_the_word_to_closes(
    past: PastMarket, archive: ParquetLake
) -> None:
    dead = chain("AAA", 0.33).quotes.assign(bid=0.0)
    archive.write(ARCHIVE_QUOTES, dead, session=DAY)
    (row,) = found_of(past, ["AAA"]).to_dict("records")
    assert row["source"] == HistorySource.OPTION_BARS
    assert row["implied_volatility"] == pytest.approx(VOLATILITY["AAA"], abs=1e-3)


def test_what_nobody_knows_is_a_row_that_says_so(past: PastMarket) -> None:
    found = found_of(past, ["CCC"], SESSIONS[:3])
    assert found["source"].to_list() == [HistorySource.NONE] * 3
    assert found[["implied_volatility", "term_slope"]].isna().all(axis=None)


def test_nothing_missing_is_nothing_to_do(past: PastMarket) -> None:
    assert found_of(past, []).empty


def test_archived_quotes_lie_where_ingest_puts_them() -> None:
    assert ARCHIVE_QUOTES == archive_merge.ARCHIVE_QUOTES


def test_real_spx_quotes_move_with_the_vix(
    past: PastMarket, tmp_path: Path, shared_data: Path
) -> None:
    """Ingested like a user's archive; the near part of each chain makes the test quick."""
    quotes = pd.read_parquet(shared_data / "chains_spx_2019q2.parquet")
    away = (quotes["strike"] / quotes["underlying"] - 1).abs()
    days_left = (
        pd.to_datetime(quotes["expiration"]) - pd.to_datetime(quotes["quote_date"])
    ).dt.days
    near = tmp_path / "chains.parquet"
    quotes[(away < 0.02) & days_left.between(14, 50)].to_parquet(near)
    ingest([near], past.archive)
    days = [day for day in SPX_SESSIONS if past.archive.has(ARCHIVE_QUOTES, session=day)]
    found = found_of(past, ["SPX"], days).set_index("session")
    assert len(found) == 56
    assert set(found["source"]) == {HistorySource.ARCHIVE}
    vix = pd.read_parquet(shared_data / "cboe_vol_indices.parquet")
    close = vix.assign(session=pd.to_datetime(vix["date"])).set_index("session")["VIX"]
    assert found["implied_volatility"].corr(close) > 0.96
