"""The archived market: snapshots as they were, holes, listings, settlement on the right bar."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from mahler_pipelines.errors import MissingData
from mahler_pipelines.exchange.archive import ArchivedMarket
from mahler_pipelines.exchange.engine import ExchangeTerms
from mahler_pipelines.exchange.orders import WireStatus
from mahler_pipelines.market.chains import QUOTE_COLUMNS, conform_quotes
from mahler_pipelines.market.sessions import NEW_YORK, TradingCalendar
from mahler_pipelines.options.contracts import parse_occ
from tests.exchange.fakes import exchange_on
from tests.exchange.orders import leg, send, spread

CALENDAR = TradingCalendar()
FIRST, HOLE, LAST = date(2019, 5, 9), date(2019, 5, 10), date(2019, 5, 17)
PM, PM_WING = "SPXW190517P02800000", "SPXW190517P02790000"
AM, LATE = "SPX190517P02800000", "SPXW190517C02900000"
SHARE = "YPF190517P00015000"


def row(symbol: str, session: date, bid: float, ask: float, price: float) -> dict[str, object]:
    contract = parse_occ(symbol)
    return {
        "underlying": contract.underlying,
        "symbol": symbol,
        "root": contract.root,
        "expiration": pd.Timestamp(contract.expiration),
        "right": int(contract.right),
        "strike": float(contract.strike),
        "bid": bid,
        "ask": ask,
        "last": bid,
        "volume": 7.0,
        "open_interest": 11.0,
        "quote_time": pd.Timestamp(CALENDAR.close(session)),
        "underlying_price": price,
    }


def bar(
    underlying: str,
    session: date,
    source: str,
    prices: tuple[float, float],
    *,
    adjusted: bool | None,
) -> dict[str, object]:
    opened, closed = prices
    return {
        "underlying": underlying,
        "session": pd.Timestamp(session),
        "open": opened,
        "high": max(prices),
        "low": min(prices),
        "close": closed,
        "volume": 1.0,
        "source": source,
        "adjusted": adjusted,
    }


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    root = tmp_path / "lake"
    for session in CALENDAR.sessions(FIRST, LAST):
        if session == HOLE:
            continue
        rows = [
            row(PM, session, 20.0, 20.5, 2850.0),
            row(PM_WING, session, 17.0, 17.4, 2850.0),
            row(AM, session, 21.0, 21.5, 2850.0),
            row(SHARE, session, 0.5, 0.9, 14.25),
        ]
        if session > HOLE:
            rows.append(row(LATE, session, 3.0, 3.2, 2850.0))
        folder = root / "archive_quotes" / f"session={session}"
        folder.mkdir(parents=True)
        conform_quotes(pd.DataFrame(rows)).to_parquet(folder / "part.parquet")
    return root


def with_bars(lake: Path, *bars: dict[str, object]) -> ArchivedMarket:
    (lake / "reference").mkdir(exist_ok=True)
    pd.DataFrame(list(bars)).to_parquet(lake / "reference" / "daily_bars.parquet")
    return ArchivedMarket(lake)


def test_empty_lake_is_missing_data(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no archived quotes"):
        ArchivedMarket(tmp_path)


def test_snapshot_is_seen_from_its_moment_and_not_before(lake: Path) -> None:
    market = ArchivedMarket(lake)
    taken = market.snapshot_time(FIRST)
    assert taken == CALENDAR.close(FIRST) - timedelta(minutes=1)
    assert market.quotes("SPX", taken - timedelta(seconds=1)).empty
    seen = market.quotes("SPX", taken)
    assert list(seen.columns) == list(QUOTE_COLUMNS)
    assert set(seen["symbol"]) == {PM, PM_WING, AM}
    assert (seen["quote_time"] <= pd.Timestamp(taken)).all()
    assert seen["bid_size"].isna().all()


def test_hole_is_a_session_with_empty_quotes(lake: Path) -> None:
    market = ArchivedMarket(lake)
    at = market.snapshot_time(HOLE)
    assert not market.has_session(HOLE)
    assert market.quotes("SPX", at).empty
    assert market.stock_quote("SPX", at) is None
    assert set(market.listed_contracts("SPX", at)["symbol"]) == {PM, PM_WING, AM}


def test_listing_knows_nothing_of_the_future(lake: Path) -> None:
    market = ArchivedMarket(lake)
    before = market.listed_contracts("SPX", market.snapshot_time(FIRST))
    assert LATE not in set(before["symbol"])
    after = market.listed_contracts("SPX", market.snapshot_time(date(2019, 5, 14)))
    assert LATE in set(after["symbol"])
    assert after.set_index("symbol").loc[PM, "close"] == 20.0
    assert after.set_index("symbol").loc[PM, "open_interest"] == 11.0
    assert market.listed_contracts("SPX", datetime(2019, 5, 20, 16, tzinfo=NEW_YORK)).empty
    expired = market.expired_contracts("SPX", date(2019, 5, 1), LAST)
    assert set(expired["symbol"]) == {PM, PM_WING, AM, LATE}


def test_only_what_the_latest_snapshot_has_is_listed(lake: Path) -> None:
    """Archives are cut by moneyness: what has left a file would be a pair that no file has."""
    later = date(2019, 5, 14)
    path = lake / "archive_quotes" / f"session={later}" / "part.parquet"
    quotes = pd.read_parquet(path)
    quotes[quotes["symbol"] != PM_WING].to_parquet(path)
    market = ArchivedMarket(lake)
    assert PM_WING in set(market.listed_contracts("SPX", market.snapshot_time(FIRST))["symbol"])
    assert PM_WING not in set(market.listed_contracts("SPX", market.snapshot_time(later))["symbol"])


def test_morning_root_settles_on_the_open_and_afternoon_root_on_the_close(lake: Path) -> None:
    market = with_bars(lake, bar("SPX", LAST, "heliar", (2850.11, 2859.53), adjusted=False))
    morning, afternoon = market.settlement("SPX", LAST), market.settlement("SPXW", LAST)
    assert morning is not None
    assert afternoon is not None
    assert morning.value == Decimal("2850.11")
    assert "bar open (stand-in for the settlement value)" in morning.source
    assert afternoon.value == Decimal("2859.53")


def test_index_without_a_bar_is_not_guessed_and_a_share_takes_its_chains_price(lake: Path) -> None:
    market = ArchivedMarket(lake)
    assert market.settlement("SPXW", LAST) is None
    share = market.settlement("YPF", LAST)
    assert share is not None
    assert share.value == Decimal("14.25")
    assert "chain" in share.source
    assert market.settlement("YPF", HOLE) is None


def test_adjusted_bars_never_settle_strikes(lake: Path) -> None:
    market = with_bars(
        lake,
        bar("YPF", LAST, "heliar", (7.0, 7.1), adjusted=True),
        bar("YPF", LAST, "lean", (14.0, 14.2), adjusted=False),
        bar("YPF", LAST, "aaa", (1.0, 1.0), adjusted=None),
    )
    settled = market.settlement("YPF", LAST)
    assert settled is not None
    assert (settled.value, settled.source) == (Decimal("14.2"), "lean bar close")


def test_bars_come_from_one_source_only(lake: Path) -> None:
    sessions = CALENDAR.sessions(FIRST, LAST)
    lean = [bar("SPX", day, "lean", (1.0, 1.0), adjusted=False) for day in sessions]
    heliar = [bar("SPX", day, "heliar", (2.0, 2.0), adjusted=False) for day in sessions[2:]]
    market = with_bars(lake, *lean, *heliar)
    assert set(market.daily_bars("SPX", FIRST, LAST)["close"]) == {1.0}
    both = with_bars(
        lake, *lean, *[bar("SPX", d, "heliar", (2.0, 2.0), adjusted=False) for d in sessions]
    )
    assert set(both.daily_bars("SPX", FIRST, LAST)["close"]) == {2.0}
    assert both.daily_bars("NONE", FIRST, LAST).empty


def test_option_bars_are_of_traded_days(lake: Path) -> None:
    bars = ArchivedMarket(lake).option_daily_bars([PM], FIRST, HOLE + timedelta(days=3))
    assert list(bars["session"].dt.date) == [FIRST, date(2019, 5, 13)]
    assert set(bars["close"]) == {20.0}


def test_name_is_given_or_made_from_the_content(lake: Path) -> None:
    assert ArchivedMarket(lake, name="archive-3fa9").name == "archive-3fa9"
    assert ArchivedMarket(lake).name == ArchivedMarket(lake).name
    assert ArchivedMarket(lake).name.startswith("archive-")


def test_trade_lives_from_its_credit_to_its_cash_settlement(lake: Path, tmp_path: Path) -> None:
    market = with_bars(lake, bar("SPX", LAST, "heliar", (2795.0, 2796.0), adjusted=False))
    with exchange_on(market, tmp_path / "state", ExchangeTerms()) as exchange:
        exchange.advance(market.snapshot_time(FIRST))
        legs = [leg(PM, "sell", "open"), leg(PM_WING, "buy", "open")]
        assert send(exchange, spread(legs, "-2.60", qty=3)).status is WireStatus.FILLED
        exchange.advance(CALENDAR.close(LAST))
        assert exchange.store.positions("main") == ()
        assert exchange.figures("main").cash == 100_000 + Decimal("2.60") * 300 - 400 * 3


def test_order_in_a_hole_does_not_fill(lake: Path, tmp_path: Path) -> None:
    market = ArchivedMarket(lake)
    with exchange_on(market, tmp_path / "state", ExchangeTerms()) as exchange:
        exchange.advance(market.snapshot_time(HOLE))
        legs = [leg(PM, "sell", "open"), leg(PM_WING, "buy", "open")]
        assert send(exchange, spread(legs, "-2.60")).status is WireStatus.NEW
