"""The exchange's clock: forward only, kept over restarts, events in order."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.exchange.clock import ClockRefusal, ExchangeClock, Moment, Timeline
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.orders import WireStatus
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import (
    CALENDAR,
    LAST,
    OPENING,
    HandMadeMarket,
    Quote,
    exchange_on,
    put,
)
from tests.exchange.orders import leg, send, spread


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


MONDAY, TUESDAY = date(2026, 11, 2), date(2026, 11, 3)
CREDIT_SPREAD = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]


def test_clock_never_runs_backwards() -> None:
    clock = ExchangeClock(OPENING)
    clock.stand_at(OPENING + timedelta(hours=1))
    with pytest.raises(ClockRefusal, match="before"):
        clock.stand_at(OPENING)
    with pytest.raises(ClockRefusal, match="time zone"):
        clock.stand_at(datetime(2026, 11, 3))  # noqa: DTZ001


def test_clock_moves_at_its_rate_and_stands_at_rate_zero() -> None:
    real = [100.0]
    clock = ExchangeClock(OPENING, real_seconds=lambda: real[0])
    real[0] += 60
    assert clock.due() == OPENING
    clock.set_rate(30.0)
    real[0] += 2
    assert clock.due() == OPENING + timedelta(minutes=1)
    with pytest.raises(ClockRefusal):
        clock.set_rate(-1.0)


def test_exchange_stands_where_the_last_run_left_it(tmp_path: Path) -> None:
    noon = at(MONDAY, 12)
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        exchange.advance(noon)
    later = ExchangeTerms(start_at=at(TUESDAY, 10), starting_equity=Decimal(5))
    with exchange_on(HandMadeMarket(), tmp_path, later) as exchange:
        assert exchange.now == noon
        assert exchange.figures("main").cash == Decimal("100000.00")


def test_state_folder_of_another_market_is_refused(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path):
        pass
    with pytest.raises(BadInput, match="belongs to hand-made"):
        Exchange(HandMadeMarket(name="another"), tmp_path, ExchangeTerms())


def test_running_clock_catches_up_and_stops_after_the_last_session(tmp_path: Path) -> None:
    real = [0.0]
    exchange = Exchange(
        HandMadeMarket(),
        tmp_path,
        ExchangeTerms(start_at=at(LAST, 15)),
        real_seconds=lambda: real[0],
    )
    exchange.set_rate(60.0)
    real[0] = 30.0
    exchange.catch_up()
    assert exchange.now == at(LAST, 15, 30)
    real[0] = 3600.0 * 24
    exchange.catch_up()
    assert exchange.now == at(LAST, 16)
    assert exchange.clock.rate == 0
    exchange.close()


def test_timeline_names_opens_looks_sweeps_and_closes_in_order() -> None:
    timeline = Timeline(HandMadeMarket(), CALENDAR)
    passed = list(timeline.between(at(MONDAY, 14, 50), at(TUESDAY, 9, 50)))
    assert [(moment.astimezone(NEW_YORK), kind) for moment, kind in passed] == [
        (at(MONDAY, 15), Moment.LOOK),
        (at(MONDAY, 15, 15), Moment.SWEEP),
        (at(MONDAY, 15, 30), Moment.SWEEP),
        (at(MONDAY, 15, 45), Moment.SWEEP),
        (at(MONDAY, 16), Moment.CLOSE),
        (at(TUESDAY, 9, 30), Moment.OPEN),
        (at(TUESDAY, 9, 45), Moment.LOOK),
    ]


def test_market_of_snapshots_looks_once_a_session() -> None:
    timeline = Timeline(HandMadeMarket(snapshot_only=True), CALENDAR)
    looks = [
        moment
        for moment, kind in timeline.between(at(MONDAY, 9), at(TUESDAY, 17))
        if kind is Moment.LOOK
    ]
    assert looks == [at(MONDAY, 15, 59), at(TUESDAY, 15, 59)]
    assert timeline.sweeps(MONDAY) == (at(MONDAY, 15, 59) + timedelta(seconds=30),)
    assert timeline.next_scan(at(MONDAY, 10)) == (Scan.CLOSE, at(MONDAY, 15, 59))


def test_market_of_snapshots_knows_sessions_only(tmp_path: Path) -> None:
    """A hole in the data is a session all the same; a Saturday is none."""
    market = HandMadeMarket(snapshot_only=True, holes={TUESDAY})
    with exchange_on(market, tmp_path) as exchange:
        with pytest.raises(ClockRefusal, match="weekend"):
            exchange.advance(at(date(2026, 11, 7), 12))
        with pytest.raises(ClockRefusal, match="snapshot"):
            exchange.set_rate(1.0)
        exchange.advance(at(TUESDAY, 15, 59))
        assert exchange.status()["session_has_data"] is False
        with pytest.raises(ClockRefusal, match="the market has"):
            exchange.advance(at(date(2027, 3, 1), 12))


def test_day_order_expires_at_the_close_of_its_session(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "-4.90"))
        assert order.status is WireStatus.NEW
        exchange.advance(at(MONDAY, 16))
        ended = exchange.store.order(order.id)
        assert ended is not None
        assert ended.status is WireStatus.EXPIRED
        assert ended.expired_at == at(MONDAY, 16)


def test_resting_order_fills_on_the_way_when_the_market_comes_to_it(tmp_path: Path) -> None:
    market = HandMadeMarket()
    with exchange_on(market, tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "-2.50"))
        market.overrides[put(95)] = Quote(5.00, 5.10)
        exchange.advance(at(MONDAY, 15))
        filled = exchange.store.order(order.id)
        assert filled is not None
        assert filled.status is WireStatus.FILLED
        assert filled.filled_at == at(MONDAY, 9, 45)


def test_order_sent_after_the_close_waits_for_the_next_session(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        exchange.advance(at(MONDAY, 17))
        order = send(exchange, spread(CREDIT_SPREAD, "-0.10"))
        assert order.status is WireStatus.ACCEPTED
        assert order.expires_at == at(TUESDAY, 16)
        exchange.advance(at(TUESDAY, 9, 31))
        filled = exchange.store.order(order.id)
        assert filled is not None
        assert filled.filled_at == at(TUESDAY, 9, 30)


def test_killed_step_leaves_the_clock_at_the_last_whole_moment(tmp_path: Path) -> None:
    """A step is one transaction: what fails in it never happened."""

    class Breaking(HandMadeMarket):
        def settlement(self, root: str, expiration: date) -> SettlementValue | None:
            raise KeyboardInterrupt(f"{root} {expiration}")

    market = Breaking()
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread([leg(put(95), "sell", "open"), leg(put(90), "buy", "open")], "-0.10"))
        exchange.advance(at(date(2026, 12, 18), 15))
        before = exchange.figures("main")
        with pytest.raises(KeyboardInterrupt):
            exchange.advance(at(date(2026, 12, 18), 17))
        assert exchange.now == at(date(2026, 12, 18), 15, 45)
        assert exchange.figures("main") == before
