"""Early assignment: whom it hits, of how many contracts, what changes at once, what is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.assignment import (
    CALL_LIKELIHOOD,
    PUT_LIKELIHOOD,
    Night,
    drawn,
    likelihood,
)
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.matching import TopOfBook
from mahler_pipelines.exchange.orders import WireStatus
from mahler_pipelines.exchange.simulated.market import SimulatedMarket
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from tests.exchange.fakes import CALENDAR, FAR, HandMadeMarket, Quote, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

EVE, EX_DATE = date(2026, 11, 4), date(2026, 11, 5)
WEEKNIGHT = Night(date(2026, 11, 2), date(2026, 11, 3), Decimal(0))
EVE_NIGHT = Night(EVE, EX_DATE, Decimal("0.50"))


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=NEW_YORK)


def book(bid: str, ask: str) -> TopOfBook:
    return TopOfBook(Decimal(bid), Decimal(ask), 10, 10)


def option(right: Right, strike: int = 100, root: str = "XYZ") -> OptionContract:
    return OptionContract(root, FAR, right, Decimal(strike))


def rows_of(exchange: Exchange, *kinds: ActivityKind) -> list[Activity]:
    rows = exchange.store.activities("main", until=exchange.now)
    return [row for row in rows if row.kind in kinds]


def held(exchange: Exchange) -> dict[str, int]:
    return {row.symbol: row.quantity for row in exchange.store.positions("main")}


@pytest.mark.parametrize(
    ("contract", "quote", "price", "night", "expected"),
    [
        # A call is exercised for a dividend above its time value, and for nothing else.
        (option(Right.CALL), book("10.00", "10.00"), "110", EVE_NIGHT, CALL_LIKELIHOOD),
        (option(Right.CALL), book("10.20", "10.30"), "110", EVE_NIGHT, CALL_LIKELIHOOD / 2),
        (option(Right.CALL), book("10.45", "10.55"), "110", EVE_NIGHT, 0.0),
        (option(Right.CALL), book("10.00", "10.00"), "110", WEEKNIGHT, 0.0),
        # A put is exercised for the interest on 100 dollars: a cent and a tenth for one night.
        (option(Right.PUT), book("10.00", "10.00"), "90", WEEKNIGHT, PUT_LIKELIHOOD),
        (option(Right.PUT), book("10.00", "10.04"), "90", WEEKNIGHT, 0.0),
        # Over a weekend it earns three times that.
        (
            option(Right.PUT),
            book("10.00", "10.04"),
            "90",
            Night(date(2026, 11, 6), date(2026, 11, 9), Decimal(0)),
            PUT_LIKELIHOOD * (1 - 0.02 / (100 * 0.04 * 3 / 365)),
        ),
        # Nobody gives a put away on the eve of a dividend.
        (option(Right.PUT), book("10.00", "10.00"), "90", EVE_NIGHT, 0.0),
        # Out of the money, European, or a quote that is older than the share's price: never.
        (option(Right.PUT), book("0.00", "0.01"), "100", WEEKNIGHT, 0.0),
        (option(Right.PUT, root="SPXW"), book("10.00", "10.00"), "90", WEEKNIGHT, 0.0),
        (option(Right.CALL, root="SPX"), book("10.00", "10.00"), "110", EVE_NIGHT, 0.0),
        (option(Right.PUT), book("9.80", "9.90"), "90", WEEKNIGHT, 0.0),
        (option(Right.PUT), book("10.10", "9.90"), "90", WEEKNIGHT, 0.0),
    ],
)
def test_chance_is_what_giving_up_the_time_value_gains(
    contract: OptionContract, quote: TopOfBook, price: str, night: Night, expected: float
) -> None:
    assert likelihood(contract, quote, Decimal(price), night) == pytest.approx(expected)


@given(
    right=st.sampled_from(list(Right)),
    moneyness=st.integers(1, 4000),
    cents=st.integers(0, 200),
    dividend=st.integers(0, 300).map(lambda value: Decimal(value) / 100),
    nights=st.integers(1, 4),
)
def test_chance_never_grows_with_time_value(
    right: Right, moneyness: int, cents: int, dividend: Decimal, nights: int
) -> None:
    night = Night(EVE, EVE + timedelta(days=nights), dividend)
    contract = option(right)
    price = contract.strike + right * Decimal(moneyness) / 100
    intrinsic = Decimal(moneyness) / 100
    chances = [
        likelihood(contract, TopOfBook(mid, mid, 1, 1), price, night)
        for mid in (intrinsic + Decimal(cents) / 100, intrinsic + Decimal(cents + 1) / 100)
    ]
    assert 1 > chances[0] >= chances[1] >= 0


def test_lots_are_the_same_in_every_run_and_fall_on_single_contracts() -> None:
    def lots(day: date, *, account: str = "main", symbol: str = call(95), count: int = 7) -> int:
        return drawn(count, 0.5, market="m", account=account, symbol=symbol, session=day)

    days = CALENDAR.sessions(date(2026, 11, 2), date(2027, 1, 29))
    found = [lots(day) for day in days]
    assert found == [lots(day) for day in days]
    assert len(set(found)) > 3, "parts of a holding are assigned"
    assert found != [lots(day, account="other") for day in days]
    assert found != [lots(day, symbol=call(100)) for day in days]
    assert 4800 < lots(EVE, count=10_000) < 5200
    assert drawn(9, 0.0, market="m", account="a", symbol="s", session=EVE) == 0


def deep_calls(share_price: float = 110.0) -> HandMadeMarket:
    """Calls at 100 without time value, on the eve of half a dollar's dividend."""
    return HandMadeMarket(
        share_price=share_price,
        overrides={call(100): Quote(9.99, 10.01), call(105): Quote(6.0, 6.2)},
        paid={"XYZ": ((EX_DATE, Decimal("0.50")),)},
    )


@contextmanager
def after_the_eve(tmp_path: Path, quantity: int = 7) -> Iterator[tuple[Exchange, int]]:
    """An account whose short 100 calls were called on the eve of the ex-date; and how many."""
    with exchange_on(deep_calls(), tmp_path) as exchange:
        legs = [leg(call(100), "sell", "open"), leg(call(105), "buy", "open")]
        send(exchange, spread(legs, "-3.00", qty=quantity))
        exchange.advance(at(EVE, 15, 59))
        assert held(exchange) == {call(100): -quantity, call(105): quantity}
        exchange.advance(at(EVE, 16))
        yield exchange, quantity + held(exchange).get(call(100), 0)


def test_short_calls_are_assigned_on_the_eve_of_a_dividend(tmp_path: Path) -> None:
    """Positions and cash change at once; the rows come the next calendar day."""
    with after_the_eve(tmp_path) as (exchange, assigned):
        assert 0 < assigned <= 7
        assert held(exchange)["XYZ"] == -100 * assigned
        assert held(exchange)[call(105)] == 7
        opened = Decimal(100_000) + Decimal("3.79") * 700
        assert exchange.figures("main").cash == opened + Decimal(10_000) * assigned
        kinds = (ActivityKind.ASSIGNMENT, ActivityKind.STOCK_DELIVERY)
        assert rows_of(exchange, *kinds) == []
        exchange.advance(at(EX_DATE, 0, 10))
        option_row, stock = rows_of(exchange, *kinds)
        assert (option_row.kind, option_row.body["qty"]) == (kinds[0], str(assigned))
        assert (option_row.body["net_amount"], option_row.body["date"]) == ("0", str(EVE))
        assert (stock.body["qty"], stock.body["price"]) == (str(-100 * assigned), "100")
        assert stock.body["net_amount"] == str(Decimal("10000.00") * assigned)
        assert stock.body["group_id"] == option_row.body["group_id"]


def test_short_shares_pay_the_dividend_and_tie_up_margin(tmp_path: Path) -> None:
    with after_the_eve(tmp_path) as (exchange, assigned):
        cash = exchange.figures("main").cash
        exchange.advance(at(EX_DATE, 9, 30))
        assert exchange.figures("main").cash == cash - Decimal("50.00") * assigned
        spreads_left = (7 - assigned) * 500
        assert exchange.figures("main").margin == Decimal(16_500) * assigned + spreads_left
        exchange.advance(at(EX_DATE + timedelta(days=1), 1))
        (paid,) = rows_of(exchange, ActivityKind.DIVIDEND)
        assert paid.body["net_amount"] == str(Decimal("-50.00") * assigned)
        assert paid.body["per_share_amount"] == "0.50"


def test_short_shares_are_bought_in_whatever_the_buying_power(tmp_path: Path) -> None:
    """Three of seven first, in one order; then the odd rest; nothing is left to pay for them."""
    terms = ExchangeTerms(start_at=at(date(2026, 11, 2), 9, 30), starting_equity=Decimal(4000))
    with exchange_on(deep_calls(), tmp_path, terms) as exchange:
        legs = [leg(call(100), "sell", "open"), leg(call(105), "buy", "open")]
        send(exchange, spread(legs, "-3.00", qty=7))
        exchange.advance(at(EX_DATE, 9, 45))
        short = -held(exchange)["XYZ"]
        assert exchange.figures("main").options_buying_power == 0
        send(exchange, single("XYZ", "buy", None, qty=137))
        send(exchange, single("XYZ", "buy", "110.02", qty=short - 137))
        exchange.advance(at(EX_DATE, 10))
        assert "XYZ" not in held(exchange)
        bought = sum(int(row.body["qty"]) for row in rows_of(exchange, ActivityKind.FILL)[2:])
        assert bought == short


def test_orders_for_what_was_assigned_are_withdrawn(tmp_path: Path) -> None:
    with exchange_on(deep_calls(), tmp_path) as exchange:
        legs = [leg(call(100), "sell", "open"), leg(call(105), "buy", "open")]
        send(exchange, spread(legs, "-3.00", qty=7))
        back = [leg(call(100), "buy", "close"), leg(call(105), "sell", "close")]
        closing = send(exchange, spread(back, "1.00", qty=7, time_in_force="gtc"))
        exchange.advance(at(EVE, 16))
        assert -7 < held(exchange).get(call(100), 0) <= 0
        order = exchange.store.order(closing.id)
        assert order is not None
        assert order.status is WireStatus.CANCELED


def test_deep_puts_are_assigned_before_they_expire_the_same_in_every_run(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        market = HandMadeMarket(share_price=80.0, overrides={put(110): Quote(29.99, 30.01)})
        terms = ExchangeTerms(
            start_at=at(date(2026, 11, 2), 9, 30), starting_equity=Decimal(200_000)
        )
        with exchange_on(market, tmp_path / name, terms) as exchange:
            send(exchange, single(put(110), "sell", None, qty=9))
            seen = []
            for day in CALENDAR.sessions(date(2026, 11, 2), date(2026, 11, 13)):
                exchange.advance(at(day, 16))
                seen.append(held(exchange).get("XYZ", 0))
            runs.append(seen)
    assert runs[0] == runs[1]
    assert runs[0] == sorted(runs[0])
    assert 0 < runs[0][-1] <= 900
    assert any(0 < shares < 900 for shares in runs[0])


def test_market_of_snapshots_assigns_on_the_quotes_of_its_snapshot(tmp_path: Path) -> None:
    market = HandMadeMarket(
        snapshot_only=True, share_price=80.0, overrides={put(110): Quote(29.99, 30.01)}
    )
    terms = ExchangeTerms(start_at=at(date(2026, 11, 2), 15, 59), starting_equity=Decimal(200_000))
    with exchange_on(market, tmp_path, terms) as exchange:
        send(exchange, single(put(110), "sell", None, qty=9))
        exchange.advance(at(date(2026, 11, 13), 15, 59))
        assert held(exchange)["XYZ"] > 0
        assert held(exchange)["XYZ"] // 100 - held(exchange).get(put(110), 0) == 9


def test_index_options_and_long_ones_are_never_assigned(tmp_path: Path) -> None:
    market = HandMadeMarket(
        share_price=80.0,
        overrides={
            put(110): Quote(29.99, 30.01),
            put(110, FAR, "SPXW"): Quote(29.99, 30.01),
            put(105, FAR, "SPXW"): Quote(24.99, 25.01),
        },
    )
    with exchange_on(market, tmp_path) as exchange:
        legs = [
            leg(put(110, FAR, "SPXW"), "sell", "open"),
            leg(put(105, FAR, "SPXW"), "buy", "open"),
        ]
        send(exchange, spread(legs, "-4.90", qty=3))
        send(exchange, single(put(110), "buy", None, qty=2))
        before = held(exchange)
        exchange.advance(at(date(2026, 12, 11), 16))
        assert held(exchange) == before


def test_simulated_dividends_call_deep_calls_away(tmp_path: Path) -> None:
    """The seeded market's own dividends, quotes and shares: a covered call goes with its shares."""
    market = SimulatedMarket(7)
    first, last = market.sessions()
    symbol, ex_date = min(
        (
            (name, paid)
            for name in market.underlyings
            for paid, _ in market.dividends(name, first + timedelta(days=7), last)
        ),
        key=lambda one: (one[1], one[0]),
    )
    eve = CALENDAR.previous(ex_date)
    terms = ExchangeTerms(start_at=at(eve, 15, 50), starting_equity=Decimal(10_000_000))
    with exchange_on(market, tmp_path, terms) as exchange:
        chain = market.quotes(symbol, exchange.now)
        near = chain.loc[chain["expiration"] > str(eve + timedelta(days=4))]
        calls = near.loc[(near["right"] == 1) & (near["bid"] > 0)]
        first_expiry = calls.loc[calls["expiration"] == calls["expiration"].min()]
        deep = first_expiry.sort_values("strike").iloc[0]["symbol"]
        quote = exchange.view.stock(symbol)
        assert quote is not None
        for _ in range(3):
            send(exchange, single(symbol, "buy", None, qty=100))
        exchange.advance(at(eve, 15, 55))
        shares = held(exchange)[symbol] // 100
        send(exchange, single(deep, "sell", None, qty=shares))
        sold = -held(exchange)[deep]
        exchange.advance(at(eve, 16))
        left = -held(exchange).get(deep, 0)
        assert left < sold
        assert held(exchange).get(symbol, 0) == shares * 100 - (sold - left) * 100
