"""Expirations: what lapses, what is paid, what is delivered, and when it is told."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.settlement import settle
from mahler_pipelines.exchange.wire.errors import WireRefusal
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from tests.exchange.fakes import NEAR, HandMadeMarket, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

EXPIRY_CLOSE = datetime(2026, 11, 20, 16, tzinfo=NEW_YORK)
SATURDAY = datetime(2026, 11, 21, 12, tzinfo=NEW_YORK)


def value(price: str) -> SettlementValue:
    return SettlementValue(Decimal(price), "test")


def put_spread(root: str) -> list[dict[str, object]]:
    return [
        leg(put(95, NEAR, root), "sell", "open"),
        leg(put(90, NEAR, root), "buy", "open"),
    ]


def rows_of(exchange: Exchange, kind: ActivityKind) -> list[Activity]:
    rows = exchange.store.activities("main", until=exchange.now)
    return [row for row in rows if row.kind is kind]


def test_out_of_the_money_lapses_and_is_told_the_next_calendar_day(tmp_path: Path) -> None:
    market = HandMadeMarket(settlements={("XYZ", NEAR): value("97")})
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("XYZ"), "-0.10", qty=2))
        cash = exchange.figures("main").cash
        exchange.advance(EXPIRY_CLOSE)
        assert exchange.store.positions("main") == ()
        assert exchange.figures("main").equity == cash
        assert rows_of(exchange, ActivityKind.EXPIRATION) == []
        exchange.advance(SATURDAY)
        rows = rows_of(exchange, ActivityKind.EXPIRATION)
        assert {row.body["symbol"]: row.body["qty"] for row in rows} == {
            put(95, NEAR): "2",
            put(90, NEAR): "-2",
        }
        assert {row.body["date"] for row in rows} == {"2026-11-20"}


def test_afternoon_index_is_paid_in_cash_at_its_intrinsic_value(tmp_path: Path) -> None:
    market = HandMadeMarket(settlements={("SPXW", NEAR): value("91.40")})
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("SPXW"), "-0.10", qty=3))
        before = exchange.figures("main").cash
        exchange.advance(SATURDAY)
        assert exchange.figures("main").cash == before - Decimal("3.60") * 300
        assert exchange.store.positions("main") == ()
        (paid,) = rows_of(exchange, ActivityKind.CASH_SETTLEMENT)
        assert (paid.body["price"], paid.body["net_amount"], paid.body["qty"]) == (
            "3.60",
            "-1080.00",
            "3",
        )
        assert len(rows_of(exchange, ActivityKind.EXPIRATION)) == 1


def test_morning_index_stops_trading_the_session_before(tmp_path: Path) -> None:
    market = HandMadeMarket(settlements={("SPX", NEAR): value("100")})
    with exchange_on(market, tmp_path) as exchange:
        exchange.advance(datetime(2026, 11, 19, 15, tzinfo=NEW_YORK))
        send(exchange, spread(put_spread("SPX"), "-0.10"))
        exchange.advance(datetime(2026, 11, 20, 10, tzinfo=NEW_YORK))
        with pytest.raises(WireRefusal, match="not active"):
            send(exchange, single(put(90, NEAR, "SPX"), "buy", "9.00"))
        assert len(exchange.store.positions("main")) == 2
        exchange.advance(EXPIRY_CLOSE)
        assert exchange.store.positions("main") == ()


def test_shares_are_delivered_at_the_strike(tmp_path: Path) -> None:
    """Between the strikes the short put is assigned alone: shares come in."""
    market = HandMadeMarket(settlements={("XYZ", NEAR): value("93")})
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("XYZ"), "-0.10", qty=2))
        before = exchange.figures("main").cash
        exchange.advance(SATURDAY)
        (shares,) = exchange.store.positions("main")
        assert (shares.symbol, shares.quantity, shares.average_price) == ("XYZ", 200, Decimal(95))
        assert exchange.figures("main").cash == before - 95 * 200
        (assigned,) = rows_of(exchange, ActivityKind.ASSIGNMENT)
        (stock,) = rows_of(exchange, ActivityKind.STOCK_DELIVERY)
        assert (assigned.body["qty"], assigned.body["net_amount"]) == ("2", "0")
        assert (stock.body["qty"], stock.body["net_amount"]) == ("200", "-19000.00")
        assert stock.body["group_id"] == assigned.body["group_id"]


def test_exercise_and_assignment_of_a_whole_spread_leave_no_shares(tmp_path: Path) -> None:
    market = HandMadeMarket(settlements={("XYZ", NEAR): value("80")})
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("XYZ"), "-0.10"))
        before = exchange.figures("main").cash
        exchange.advance(SATURDAY)
        assert exchange.store.positions("main") == ()
        assert exchange.figures("main").cash == before - 500
        assert len(rows_of(exchange, ActivityKind.EXERCISE)) == 1


def test_unknown_settlement_keeps_the_position_and_is_counted(tmp_path: Path) -> None:
    market = HandMadeMarket()
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("XYZ"), "-0.10"))
        exchange.advance(EXPIRY_CLOSE)
        assert exchange.status()["unsettled"] == [put(90, NEAR), put(95, NEAR)]
        market.settlements[("XYZ", NEAR)] = value("99")
        exchange.advance(datetime(2026, 11, 23, 16, tzinfo=NEW_YORK))
        assert exchange.status()["unsettled"] == []
        assert exchange.store.positions("main") == ()


def test_delivered_shares_can_be_sold_and_dividends_are_paid(tmp_path: Path) -> None:
    market = HandMadeMarket(
        settlements={("XYZ", NEAR): value("93")},
        paid={"XYZ": ((date(2026, 11, 24), Decimal("0.37")),)},
    )
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, spread(put_spread("XYZ"), "-0.10"))
        exchange.advance(SATURDAY)
        cash = exchange.figures("main").cash
        exchange.advance(datetime(2026, 11, 24, 10, tzinfo=NEW_YORK))
        assert exchange.figures("main").cash == cash + Decimal("37.00")
        send(exchange, single("XYZ", "sell", None, qty=100))
        assert exchange.store.positions("main") == ()
        assert exchange.figures("main").cash == cash + Decimal("37.00") + Decimal("9998.00")


def test_equity_at_the_close_becomes_last_equity(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        send(exchange, single(call(105), "buy", None, qty=3))
        exchange.advance(datetime(2026, 11, 2, 16, tzinfo=NEW_YORK))
        account = exchange.store.account("main")
        assert account is not None
        assert account.last_equity == exchange.figures("main").equity != 100_000


@given(
    strike=st.integers(50, 150),
    right=st.sampled_from(list(Right)),
    quantity=st.integers(-37, 37).filter(bool),
    price=st.integers(4000, 16000).map(lambda c: Decimal(c) / 100),
    root=st.sampled_from(["XYZ", "SPXW"]),
)
def test_settlement_is_worth_the_intrinsic_value(
    strike: int, right: Right, quantity: int, price: Decimal, root: str
) -> None:
    """Cash plus delivered shares at the settlement price is the payoff, however it settles."""
    contract = OptionContract(root, NEAR, right, Decimal(strike))
    outcome = settle(contract, quantity, SettlementValue(price, "test"))
    shares = outcome.delivery.shares if outcome.delivery else 0
    payoff = max(int(right) * (price - strike), Decimal(0)) * 100 * quantity
    assert outcome.cash + shares * price == payoff
    assert int(outcome.rows[0].quantity) == -quantity
