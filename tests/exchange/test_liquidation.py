"""The broker's sweep on expiry day: what it closes, what it leaves, and how it shows."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.exchange.accounts import Configuration
from mahler_pipelines.exchange.activities import ActivityKind
from mahler_pipelines.exchange.carrying import Ending, standing_after
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.liquidation import (
    LIQUIDATION_PREFIX,
    Expiring,
    prices_near,
    quantities_to_close,
)
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.orders import Order, WireStatus
from mahler_pipelines.exchange.permissions import Standing
from mahler_pipelines.exchange.settlement import is_in_the_money
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from tests.exchange.fakes import (
    FAR,
    NEAR,
    OPENING,
    HandMadeMarket,
    Quote,
    call,
    exchange_on,
    put,
)
from tests.exchange.orders import leg, send, single, spread


def on_expiry(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, tzinfo=NEW_YORK)


def contract(symbol: str) -> OptionContract:
    found = option_contract(symbol)
    assert found is not None
    return found


def closed(
    holdings: dict[str, int], price: str, *, cash: int = 1_000_000, refused: str = ""
) -> dict[str, int]:
    """What is closed of the near contracts among some holdings, at one price of every share."""
    standing = Standing(Configuration(), Decimal(cash), holdings, ())
    expiring = [
        Expiring(contract(symbol), quantity, is_exercised=symbol != refused)
        for symbol, quantity in holdings.items()
        if option_contract(symbol) is not None and contract(symbol).expiration == NEAR
    ]
    return quantities_to_close(expiring, standing, lambda _: Decimal(price))


P90, P95, P100, P105 = (put(strike, NEAR) for strike in (90, 95, 100, 105))
C95, C100, C105, C110 = (call(strike, NEAR) for strike in (95, 100, 105, 110))


@pytest.mark.parametrize(
    ("holdings", "price", "cash", "expected"),
    [
        # A put spread that straddles the price: its shares are bought, or the short puts are.
        ({P95: -3, P90: 3}, "93", 28_500, {}),
        ({P95: -3, P90: 3}, "93", 28_499, {P95: 3}),
        # Wholly in or out of the money it delivers nothing in total.
        ({P95: -3, P90: 3}, "80", 2_000, {}),
        ({P95: -3, P90: 3}, "101", 2_000, {}),
        # Close to the money counts as in it: half a percent.
        ({P95: -3, P90: 3}, "95.40", 2_000, {P95: 3}),
        ({P95: -3, P90: 3}, "95.50", 2_000, {}),
        # Calls called away need shares, whatever the cash.
        ({C95: -7, C100: 7}, "98", 1_000_000, {C95: 7}),
        ({C95: -7, C100: 7, "XYZ": 250}, "98", 1_000_000, {C95: 5}),
        ({C95: -2, C100: 2, "XYZ": 200}, "98", 1_000, {}),
        # Shares that cover a later short call can't be called away as well.
        ({C95: -2, C100: 2, "XYZ": 200, call(110): -1}, "98", 1_000, {C95: 1}),
        # A long call without the cash for its shares is sold, one of a spread with its partner.
        ({C95: 2}, "98", 19_000, {}),
        ({C95: 2}, "98", 18_999, {C95: -2}),
        ({C95: 2, C100: -2}, "98", 5_000, {C100: 2, C95: -2}),
        # A long put without shares is sold; shares of the same day's assignment will do.
        ({P100: 3}, "98", 1_000_000, {P100: -3}),
        ({P100: 3, "XYZ": 300}, "98", 0, {}),
        ({P100: 3, P95: -3}, "98", 1_000_000, {P95: 3, P100: -3}),
        ({P100: 3, P105: -2}, "98", 0, {P100: -1}),
        # Three long calls, one of them covering a short one in the money: two are sold.
        ({C95: 3, C100: -1}, "104", 9_000, {C95: -2}),
        # A calendar's near leg has no cover on its day.
        ({C95: -1, call(95): 1}, "98", 1_000_000, {C95: 1}),
        # An iron condor has a side at a time.
        ({P95: -2, P90: 2, C105: -2, C110: 2}, "93", 2_000, {P95: 2}),
        ({P95: -2, P90: 2, C105: -2, C110: 2}, "107", 2_000, {C105: 2}),
        ({P95: -2, P90: 2, C105: -2, C110: 2}, "100", 2_000, {}),
    ],
)
def test_what_is_not_carried_is_closed(
    holdings: dict[str, int], price: str, cash: int, expected: dict[str, int]
) -> None:
    found = closed(holdings, price, cash=cash)
    assert found == expected
    assert list(found) == list(expected), "short contracts are bought back first"


def test_underlyings_share_the_cash_in_the_order_of_their_names() -> None:
    abc = put(95, NEAR, "ABC")
    holdings = {abc: -1, P95: -1}
    assert closed(holdings, "93", cash=19_000) == {}
    assert closed(holdings, "93", cash=18_999) == {abc: 1}
    assert closed(holdings, "93", cash=9_499) == {abc: 1, P95: 1}


def test_refused_exercise_delivers_nothing() -> None:
    assert closed({P100: 3}, "98") == {P100: -3}
    assert closed({P100: 3}, "98", refused=P100) == {}


def test_narrow_strikes_inside_the_band_are_looked_at_one_by_one() -> None:
    """Neither end of the band lies between the strikes; a price in between does."""
    low, high = Decimal("599.00"), Decimal("600.00")
    assert set(prices_near(Decimal(602), [low, high])) == {
        Decimal(602),
        Decimal("598.990"),
        Decimal("605.010"),
        *(Decimal(text) for text in ("599.01", "599.99", "600.01")),
    }


@given(
    quantities=st.dictionaries(
        st.sampled_from([P90, P95, P100, P105, C95, C100, C105, C110]),
        st.integers(-9, 9).filter(bool),
        min_size=1,
        max_size=4,
    ),
    shares=st.integers(0, 1200),
    cash=st.integers(0, 60_000),
    price=st.integers(8800, 11200).map(lambda cents: Decimal(cents) / 100),
)
def test_what_is_left_never_puts_out_shares_that_are_not_there(
    quantities: dict[str, int], shares: int, cash: int, price: Decimal
) -> None:
    """And never closes more than is held, or in the wrong direction."""
    holdings = quantities | ({"XYZ": shares} if shares else {})
    found = closed(holdings, str(price), cash=cash)
    left = {symbol: holdings[symbol] + found.get(symbol, 0) for symbol in quantities}
    for symbol, traded in found.items():
        assert traded * holdings[symbol] < 0
        assert abs(traded) <= abs(holdings[symbol])
    standing = Standing(Configuration(), Decimal(cash), holdings, ())
    for settled in prices_near(price, [contract(symbol).strike for symbol in quantities]):
        endings = [
            Ending(contract(symbol), quantity, is_in_the_money(contract(symbol), settled))
            for symbol, quantity in left.items()
        ]
        after = standing_after(standing, endings, lambda _: price)
        assert after.holdings.get("XYZ", 0) >= 0


def straddling(cash: int) -> tuple[HandMadeMarket, ExchangeTerms]:
    """Two accounts' worth of market: shares at 93 on the last day of 95/90 put spreads."""
    market = HandMadeMarket(settlements={("XYZ", NEAR): SettlementValue(Decimal(93), "test")})
    return market, ExchangeTerms(start_at=OPENING, starting_equity=Decimal(cash))


def broker_orders(exchange: Exchange) -> list[Order]:
    return [
        order
        for order in exchange.store.orders("main")
        if order.client_order_id.startswith(LIQUIDATION_PREFIX)
    ]


def held(exchange: Exchange) -> dict[str, int]:
    return {row.symbol: row.quantity for row in exchange.store.positions("main")}


def short_puts(exchange: Exchange, quantity: int) -> None:
    legs = [leg(P95, "sell", "open"), leg(P90, "buy", "open")]
    send(exchange, spread(legs, "-0.10", qty=quantity))


def test_spread_that_straddles_the_price_is_swept_at_a_quarter_past_three(tmp_path: Path) -> None:
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 3)
        market.share_price = 93.0
        exchange.advance(on_expiry(15, 14))
        assert held(exchange) == {P95: -3, P90: 3}
        cash = exchange.figures("main").cash
        exchange.advance(on_expiry(15, 15))
        assert held(exchange) == {P90: 3}
        (order,) = broker_orders(exchange)
        assert (order.status, order.filled_quantity) == (WireStatus.FILLED, 3)
        assert order.client_order_id == f"{LIQUIDATION_PREFIX}20261120-{P95}-1"
        ask = market.quotes("XYZ", exchange.now).set_index("symbol").loc[P95, "ask"]
        assert exchange.figures("main").cash == cash - Decimal(str(ask)) * 300
        fills = [
            row
            for row in exchange.store.activities("main", until=exchange.now)
            if row.kind is ActivityKind.FILL and row.order_id == order.id
        ]
        assert [(row.body["symbol"], row.body["qty"]) for row in fills] == [(P95, "3")]
        exchange.advance(on_expiry(16))
        assert held(exchange) == {}, "the long puts lapse; nobody is assigned"


def test_account_that_can_pay_is_left_to_be_assigned(tmp_path: Path) -> None:
    market, terms = straddling(40_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 3)
        market.share_price = 93.0
        exchange.advance(on_expiry(16))
        assert broker_orders(exchange) == []
        assert held(exchange) == {"XYZ": 300}


def test_what_displayed_size_leaves_is_closed_at_the_next_look(tmp_path: Path) -> None:
    """Nine contracts of a book that shows four; a later quote shows more."""
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 9)
        market.share_price = 93.0
        market.overrides[P95] = Quote(2.20, 2.30, 4, 4)
        exchange.advance(on_expiry(15, 15))
        assert held(exchange)[P95] == -5
        market.overrides[P95] = Quote(2.10, 2.20, 50, 50)
        exchange.advance(on_expiry(15, 30))
        assert P95 not in held(exchange)
        (order,) = broker_orders(exchange)
        assert order.filled_quantity == 9


def test_price_that_comes_close_later_is_met_by_a_later_sweep(tmp_path: Path) -> None:
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 3)
        exchange.advance(on_expiry(15, 40))
        assert broker_orders(exchange) == []
        market.share_price = 93.0
        exchange.advance(on_expiry(15, 45))
        assert held(exchange) == {P90: 3}


def test_early_close_moves_the_sweep(tmp_path: Path) -> None:
    """The day after Thanksgiving closes at 13:00: the sweep comes at 12:15."""
    friday = date(2026, 11, 27)
    near = OptionContract("XYZ", friday, Right.PUT, Decimal(95))
    far = OptionContract("XYZ", friday, Right.PUT, Decimal(90))

    class Weekly(HandMadeMarket):
        def contracts(self, underlying: str) -> list[OptionContract]:
            more = [near, far] if underlying == "XYZ" else []
            return [*super().contracts(underlying), *more]

    market, terms = Weekly(), straddling(9_000)[1]
    with exchange_on(market, tmp_path, terms) as exchange:
        legs = [leg(near.symbol, "sell", "open"), leg(far.symbol, "buy", "open")]
        send(exchange, spread(legs, "-0.10", qty=3))
        market.share_price = 93.0
        exchange.advance(datetime(2026, 11, 27, 12, 14, tzinfo=NEW_YORK))
        assert len(held(exchange)) == 2
        exchange.advance(datetime(2026, 11, 27, 12, 15, tzinfo=NEW_YORK))
        assert held(exchange) == {far.symbol: 3}


def test_own_orders_for_what_the_broker_closes_are_cancelled(tmp_path: Path) -> None:
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 3)
        market.share_price = 93.0
        exchange.advance(on_expiry(15))
        back = [leg(P95, "buy", "close"), leg(P90, "sell", "close")]
        own = send(exchange, spread(back, "0.01", qty=3))
        exchange.advance(on_expiry(15, 15))
        assert held(exchange) == {P90: 3}
        found = exchange.store.order(own.id)
        assert found is not None
        assert found.status is WireStatus.CANCELED


def test_index_options_are_never_swept(tmp_path: Path) -> None:
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        legs = [
            leg(put(95, NEAR, "SPXW"), "sell", "open"),
            leg(put(90, NEAR, "SPXW"), "buy", "open"),
        ]
        send(exchange, spread(legs, "-0.10", qty=3))
        market.share_price = 93.0
        exchange.advance(on_expiry(15, 59))
        assert broker_orders(exchange) == []
        assert len(held(exchange)) == 2


def test_long_put_without_a_buyer_and_without_shares_is_not_exercised(tmp_path: Path) -> None:
    """Nobody bids: the sweep can't sell it, and the broker refuses its exercise."""
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        send(exchange, single(P100, "buy", None, qty=3))
        send(exchange, single("XYZ", "buy", None, qty=50))
        market.share_price = 93.0
        market.overrides[P100] = Quote(0.0, 9.00)
        cash = exchange.figures("main").cash
        exchange.advance(on_expiry(16))
        (order,) = broker_orders(exchange)
        assert order.status is WireStatus.EXPIRED
        assert held(exchange) == {"XYZ": 50}
        assert exchange.figures("main").cash == cash
        exchange.advance(datetime(2026, 11, 21, 12, tzinfo=NEW_YORK))
        rows = exchange.store.activities("main", until=exchange.now)
        (lapsed,) = [row for row in rows if row.kind is ActivityKind.EXPIRATION]
        assert (lapsed.body["qty"], lapsed.body["description"]) == (
            "-3",
            "not exercised: no shares",
        )


def test_long_puts_are_exercised_as_far_as_shares_go(tmp_path: Path) -> None:
    """The price falls after the last sweep: two of three puts find their shares."""
    market, terms = straddling(90_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        send(exchange, single(P95, "buy", None, qty=3))
        send(exchange, single("XYZ", "buy", None, qty=250))
        exchange.advance(on_expiry(16))
        assert held(exchange) == {"XYZ": 50}


def test_market_of_snapshots_is_swept_between_its_snapshot_and_the_close(tmp_path: Path) -> None:
    market, _ = straddling(0)
    market.snapshot_only = True
    terms = ExchangeTerms(
        start_at=OPENING.replace(hour=15, minute=59), starting_equity=Decimal(9_000)
    )
    with exchange_on(market, tmp_path, terms) as exchange:
        short_puts(exchange, 3)
        market.share_price = 93.0
        exchange.advance(on_expiry(15, 59))
        assert held(exchange) == {P95: -3, P90: 3}, "whoever acts at the snapshot comes first"
        exchange.advance(on_expiry(16))
        (order,) = broker_orders(exchange)
        assert order.status is WireStatus.FILLED
        assert held(exchange) == {}


def test_later_expirations_are_left_alone(tmp_path: Path) -> None:
    market, terms = straddling(9_000)
    with exchange_on(market, tmp_path, terms) as exchange:
        legs = [leg(put(95, FAR), "sell", "open"), leg(put(90, FAR), "buy", "open")]
        send(exchange, spread(legs, "-0.10", qty=3))
        market.share_price = 93.0
        exchange.advance(on_expiry(16))
        assert len(held(exchange)) == 2
