"""The composition root: which market, which book, which limits, and what is refused."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from mahler_pipelines.composition import (
    ComposedDesk,
    MarketSource,
    compose,
    desk_terms,
    local_exchange,
    request_limits,
)
from mahler_pipelines.errors import (
    BadInput,
    BrokerUnavailable,
    MissingData,
    SettingsError,
    UnreadableFile,
)
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS
from mahler_pipelines.execution.repricing import NATURAL_AT_ONCE, WalkTerms
from mahler_pipelines.execution.request_budget import Api, RequestLimits, Urgency
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.past_volatility import ARCHIVE_QUOTES
from mahler_pipelines.risk.halts import HaltTerms
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.settings import PAPER_UNIVERSE, Settings
from mahler_pipelines.storage.request_budget import SharedRequestBudget
from mahler_pipelines.strategies.limits import ScreenLimits

GOLDEN = Path(__file__).parent / "storage" / "golden"
KEYED = {"ALPACA_API_KEY": "key", "ALPACA_SECRET_KEY": "hush"}


def settings(
    folder: Path, overrides: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> Settings:
    """Settings that no file and no variable of this machine can change."""
    given = {"home": str(folder / "home")} | (overrides or {})
    return Settings.load(given, directory=folder, environ=environ or {})


def desk(folder: Path, environ: dict[str, str] | None = None, **overrides: Any) -> ComposedDesk:
    return compose(settings(folder, overrides, environ))


# Markets and books


@pytest.mark.parametrize(("text", "seed"), [("sim:7", 7), ("sim:0", 0), ("sim:007", 7)])
def test_a_simulated_market_is_named_by_its_seed(text: str, seed: int) -> None:
    source = MarketSource.parse(text)
    assert (source.kind, source.seed, source.book) == ("sim", seed, f"sim-{seed}")
    assert source.files == ()


def test_an_archive_is_named_by_its_paths() -> None:
    source = MarketSource.parse("archive:a.csv, ~/b")
    assert source.given == (Path("a.csv"), Path("~/b").expanduser())


@pytest.mark.parametrize(
    "text",
    [
        *("", "sim", "sim:", "sim:x", "sim:-1", "sim:1.5", "sim:²", "archive", "archive:"),
        *("archive:a,,b", "archive: ", "zip:a", "SIM:7", "7"),
    ],
)
def test_any_other_market_is_refused_with_what_was_given(text: str) -> None:
    """An empty path is the working folder, and would ingest whatever lies there."""
    with pytest.raises(BadInput, match="neither sim:SEED nor archive:PATH") as raised:
        MarketSource.parse(text)
    assert raised.value.value == text


def test_an_archives_book_is_its_content(tmp_path: Path) -> None:
    """The same files are the same book wherever they lie; companions beside them belong to it."""
    chain, bars = (GOLDEN / "chain_rows.csv").read_bytes(), (GOLDEN / "bars.csv").read_bytes()
    books = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.csv").write_bytes(chain)
        (folder / "bars.csv").write_bytes(bars)
        source = MarketSource.parse(f"archive:{folder / name}.csv")
        assert [path.name for path in source.files] == [f"{name}.csv", "bars.csv"]
        books.append(source.book)
    assert books[0] == books[1]
    assert books[0].startswith("archive-")
    alone = tmp_path / "alone.csv"
    alone.write_bytes(chain)
    assert MarketSource.parse(f"archive:{alone}").book != books[0]


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"gone\.csv"):
        desk(tmp_path, market=f"archive:{tmp_path / 'gone.csv'}")


def test_every_mode_has_a_book_of_its_own(tmp_path: Path) -> None:
    local = desk(tmp_path, market="sim:3")
    paper = desk(tmp_path, KEYED, mode="paper", account="second")
    assert (local.paths.book, paper.paths.book) == ("sim-3", "paper-second")
    assert local.paths.root.parent == paper.paths.root.parent == tmp_path / "home" / "books"
    assert paper.source is None


def test_composing_opens_nothing(tmp_path: Path) -> None:
    made = desk(tmp_path)
    assert not (tmp_path / "home").exists()
    assert made.paths.book == "sim-7"


# Terms


@pytest.mark.parametrize("profile", ["equities", "index", "thin-data"])
def test_every_profile_becomes_the_rooms_own_limits(tmp_path: Path, profile: str) -> None:
    """Every setting arrives: a name that a room does not know would not be taken."""
    given = settings(tmp_path, {"profile": profile})
    terms = desk_terms(given, universe=("SPY",))
    written = given.screen.model_dump()
    for name in (
        *("strategies", "iv_lookback_sessions"),
        *("iv_history_minimum", "iv_history_coverage"),
    ):
        written.pop(name)
    assert terms.screen == ScreenLimits(**written)
    assert terms.strategies == given.screen.strategies
    assert (terms.rank_lookback, terms.rank_minimum) == (252, 20)
    assert terms.risk == RiskLimits(**given.risk.model_dump())
    assert terms.approval.expires_after == timedelta(minutes=30)
    assert terms.exits.time_exit_dte == given.exits.time_exit_dte
    assert terms.halts == HaltTerms()
    assert isinstance(terms.fee_per_contract, Decimal)
    assert terms.universe == ("SPY",)


def test_profiles_switch_off_what_their_market_does_not_have(tmp_path: Path) -> None:
    of = {
        name: desk_terms(settings(tmp_path, {"profile": name}), universe=()).screen
        for name in ("equities", "index", "thin-data")
    }
    assert of["equities"].share_volume_min == 1_000_000.0
    assert of["equities"].iv_rank_min == 25.0
    assert of["index"].share_volume_min is None
    assert of["index"].width_max == 25.0
    assert of["thin-data"].iv_rank_min is None
    assert of["thin-data"].option_spread_max == 0.60


def test_a_live_looking_desk_scans_three_times_and_an_archive_at_its_close(
    tmp_path: Path,
) -> None:
    simulated = desk(tmp_path, universe=["AAA"])
    archived = desk(tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}", universe=["SPX"])
    assert simulated.terms.scans == (Scan.MORNING, Scan.MIDDAY, Scan.AFTERNOON)
    assert archived.terms.scans == (Scan.CLOSE,)
    assert archived.terms.chain_days > simulated.terms.chain_days


def test_limits_walk_by_the_settings_and_an_archive_has_no_quotes_to_step_by(
    tmp_path: Path,
) -> None:
    walk = {"start_fraction": "0.25", "steps": 3, "step_seconds": 10, "patience_seconds": 60}
    simulated = desk(tmp_path, market="sim:7", execution=walk)
    assert simulated.terms.walk == WalkTerms(Decimal("0.25"), 3, 10.0, 60.0)
    assert desk(tmp_path, market="sim:7").terms.walk.walks
    off = desk(tmp_path, market="sim:7", execution={"start_fraction": "1"})
    assert not off.terms.walk.walks
    archived = desk(
        tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}", universe=["SPX"], execution=walk
    )
    assert archived.terms.walk == NATURAL_AT_ONCE


def test_walk_that_ends_before_its_last_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="execution"):
        desk(tmp_path, market="sim:7", execution={"steps": 20, "step_seconds": 60})


def test_limits_that_halt_arrive_and_an_archive_is_not_asked_for_fresh_quotes(
    tmp_path: Path,
) -> None:
    written = {"daily_loss": "0.02", "losing_streak": "off", "stale_data_minutes": 0}
    assert desk(tmp_path, universe=["AAA"], halts=written).terms.halts == HaltTerms(
        daily_loss=Decimal("0.02"), losing_streak=None, stale_data_minutes=0
    )
    archived = desk(tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}", universe=["SPX"])
    assert archived.terms.halts == HaltTerms(stale_data_minutes=None)


def test_the_universe_is_what_was_set_else_what_the_market_lists(tmp_path: Path) -> None:
    assert desk(tmp_path, universe=["spy", "qqq"]).universe == ("SPY", "QQQ")
    assert "BRIO" in desk(tmp_path).universe
    assert desk(tmp_path, KEYED, mode="paper").universe == PAPER_UNIVERSE


# Refusals


def test_paper_without_keys_is_refused_in_words(tmp_path: Path) -> None:
    made = desk(tmp_path, mode="paper")
    for port in ("broker", "market_data"):
        with pytest.raises(BadInput, match="ALPACA_API_KEY and ALPACA_SECRET_KEY") as raised:
            getattr(made, port)
        assert raised.value.value == "paper"


@pytest.mark.parametrize("missing", sorted(KEYED))
def test_half_a_pair_of_keys_is_none(tmp_path: Path, missing: str) -> None:
    given = {name: value for name, value in KEYED.items() if name != missing}
    with pytest.raises(BadInput, match="needs ALPACA_API_KEY") as raised:
        _ = desk(tmp_path, given, mode="paper").broker
    assert "hush" not in str(raised.value)


def test_paper_with_keys_asks_the_vendor_and_never_the_local_exchange(tmp_path: Path) -> None:
    made = desk(tmp_path, KEYED, mode="paper")
    connection = made._connection
    assert (connection.paper, connection.trading_url, connection.key_id) == (True, None, "key")
    assert "hush" not in repr(connection)
    with pytest.raises(BadInput, match="local mode"):
        local_exchange(made, begin=pd.Timestamp("2026-01-05 09:30", tz="America/New_York"))


def test_requests_are_counted_as_the_settings_say_and_by_every_process(tmp_path: Path) -> None:
    paper = settings(tmp_path, {"mode": "paper"}, KEYED)
    assert request_limits(paper) == RequestLimits(trading=180, data=180, reserved=0.2)
    mine, other = (desk(tmp_path, KEYED, mode="paper")._connection.budget for _ in range(2))
    assert isinstance(mine, SharedRequestBudget)
    assert isinstance(other, SharedRequestBudget)
    while mine.take(Api.DATA, Urgency.ORDER).is_mine:
        pass
    assert not other.take(Api.DATA, Urgency.ORDER).is_mine
    assert other.take(Api.TRADING, Urgency.SCAN).is_mine
    mine.close()
    other.close()
    off = {"alpaca.requests_per_minute_trading": "off", "alpaca.requests_per_minute_data": "off"}
    assert desk(tmp_path, KEYED, mode="paper", **off)._connection.budget is None


def test_a_local_desk_counts_where_its_exchange_does(tmp_path: Path) -> None:
    assert request_limits(settings(tmp_path)) == RequestLimits(None, None, 0.2)
    limited = compose(settings(tmp_path, {"exchange.requests_per_minute": 40}))
    with local_exchange(limited, begin=pd.Timestamp("2025-03-03 10:00", tz="America/New_York")):
        assert limited._connection.budget is not None
        assert limited.broker.clock().is_open
        assert limited.paths.requests.exists()
        headers = {"APCA-API-KEY-ID": LOCAL_CREDENTIALS.key_id}
        headers["APCA-API-SECRET-KEY"] = LOCAL_CREDENTIALS.secret
        answer = httpx.get(f"{limited.exchange_url()}/v2/clock", headers=headers, trust_env=False)
        assert answer.headers["X-RateLimit-Limit"] == "40"


def test_a_local_desk_without_its_exchange_says_how_to_start_it(tmp_path: Path) -> None:
    made = desk(tmp_path)
    with pytest.raises(BrokerUnavailable, match="start `mahler dev`"):
        made.exchange_url()
    made.paths.create()
    told = made.paths.exchange / "exchange.json"
    for broken in ("", "{}", "[]", '{"port": "x"}'):
        told.write_text(broken)
        with pytest.raises(BrokerUnavailable, match="no local exchange runs for sim-7"):
            made.exchange_url()
    told.write_text(json.dumps({"port": 4711}))
    assert made.exchange_url() == "http://127.0.0.1:4711"
    assert made._connection.trading_url == made._connection.data_url == made.exchange_url()
    assert made._connection.key_id == LOCAL_CREDENTIALS.key_id
    assert made._connection.secret_key == LOCAL_CREDENTIALS.secret


def test_an_archive_that_was_not_ingested_serves_nobody(tmp_path: Path) -> None:
    made = desk(tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}")
    assert made.archive_sessions() == frozenset()
    with pytest.raises(MissingData, match="ingest archive:"):
        local_exchange(made, begin=pd.Timestamp("2019-05-13 09:30", tz="America/New_York"))


def test_a_brokers_book_takes_an_archive_beside_what_it_sees(tmp_path: Path) -> None:
    """Past chains, VIX and rates of a paper desk can come from nowhere else."""
    market = f"archive:{GOLDEN / 'cboe_eod.csv'}"
    made = desk(tmp_path, KEYED, mode="paper", market=market)
    report = made.ingest()
    assert made.paths.book == "paper-main"
    assert made.reference_lake is made.lake
    (chain,) = (file for file in report.files if file.name == "cboe_eod.csv")
    assert chain.first_session is not None
    assert made.lake.has(ARCHIVE_QUOTES, session=chain.first_session)
    assert not made.lake.read_reference("rates").empty, "it lay beside the chain"
    assert made.archive_sessions() == frozenset(), "its market is the broker's all the same"


def test_only_an_archive_is_ingested(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no archive"):
        desk(tmp_path).ingest()


# A fresh start


def test_a_fresh_start_keeps_the_archive_and_nothing_else(tmp_path: Path) -> None:
    """Ingesting takes minutes; what a run computed is what the next one replaces."""
    made = desk(tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}")
    made.ingest()
    sessions = made.archive_sessions()
    assert date(2019, 5, 13) in sessions
    assert set(made.universe) >= {"SPX", "SPY"}
    with made.ledger.transaction("main") as book:
        assert book.trades() == ()
    (made.paths.lake / "iv_ranks").mkdir()
    (made.paths.root / "stray.txt").write_text("left over")
    again = desk(tmp_path, market=f"archive:{GOLDEN / 'chain_rows.csv'}")
    again.start_afresh()
    assert again.archive_sessions() == sessions
    assert not again.paths.ledger.exists()
    assert not (again.paths.root / "stray.txt").exists()
    assert list(again.paths.lake.iterdir()) == []
    assert {path.name for path in again.paths.root.iterdir()} == {
        *("archive", "lake", "dagster", "exchange", "reports")
    }


def test_a_fresh_start_leaves_other_books_alone(tmp_path: Path) -> None:
    other = desk(tmp_path, market="sim:8")
    other.paths.create()
    (other.paths.lake / "kept").write_text("")
    desk(tmp_path, market="sim:7").start_afresh()
    assert (other.paths.lake / "kept").exists()


def test_a_fresh_start_of_a_book_that_never_was_makes_it(tmp_path: Path) -> None:
    made = desk(tmp_path)
    made.start_afresh()
    assert made.paths.lake.is_dir()


def test_a_shared_database_is_not_emptied(tmp_path: Path) -> None:
    """The rows of other books and people are in it."""
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    made = desk(tmp_path, database_url=url)
    made.paths.create()
    (made.paths.lake / "kept").write_text("")
    with pytest.raises(BadInput, match="unset it for runs") as raised:
        made.start_afresh()
    assert "shared.sqlite" not in str(raised.value)
    assert (made.paths.lake / "kept").exists()


@pytest.mark.parametrize("mode", ["paper"])
def test_a_real_account_is_never_started_afresh(tmp_path: Path, mode: str) -> None:
    made = desk(tmp_path, KEYED, mode=mode)
    made.paths.create()
    (made.paths.lake / "kept").write_text("")
    with pytest.raises(BadInput, match="only a local book"):
        made.start_afresh()
    assert (made.paths.lake / "kept").exists()
