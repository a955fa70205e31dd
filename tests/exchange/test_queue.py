"""Who gets a displayed size: price, then time, and the same size never twice."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mahler_pipelines.exchange.accounts import Credentials
from mahler_pipelines.exchange.changes import Change
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.matching import TopOfBook, at_limit
from mahler_pipelines.exchange.orders import Intent, LegTerms, Order
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

ONE_CALL = call(105)
SHORT, LONG = put(95), put(90)
RATIO = [leg(SHORT, "sell", "open"), leg(LONG, "buy", "open", 2)]
TWO = (Credentials("a", "a", "main"), Credentials("b", "b", "other"))


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket(overrides={ONE_CALL: Quote(2.00, 2.10, 50, 50)})


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Iterator[Exchange]:
    terms = ExchangeTerms(credentials=TWO, start_at=OPENING)
    with exchange_on(market, tmp_path, terms) as running:
        yield running


def show(exchange: Exchange, market: HandMadeMarket, minute: int, **quotes: Quote) -> None:
    market.overrides.update(quotes)
    exchange.advance(OPENING.replace(minute=minute))


def filled(exchange: Exchange, *orders: Order) -> list[int]:
    found = [exchange.store.order(order.id) for order in orders]
    return [0 if order is None else order.filled_quantity for order in found]


def test_an_order_inside_the_spread_rests_until_the_market_comes_to_it(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    """A mid price fills for nobody, however long it stands."""
    middle = send(exchange, single(ONE_CALL, "buy", "2.05", qty=3))
    spread_middle = send(exchange, spread(RATIO, "0.05", qty=3))
    for minute in (31, 32, 33):
        show(exchange, market, minute)
    assert filled(exchange, middle, spread_middle) == [0, 0]
    show(exchange, market, 34, **{ONE_CALL: Quote(1.95, 2.05)})
    assert filled(exchange, middle) == [3]


def test_a_displayed_size_is_sold_once_to_whichever_account(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    market.overrides[ONE_CALL] = Quote(2.00, 2.10, 50, 7)
    first = send(exchange, single(ONE_CALL, "buy", "2.10", qty=5))
    second = send(exchange, single(ONE_CALL, "buy", "2.10", qty=5), "other")
    assert filled(exchange, first, second) == [5, 2], "what is left goes to the next"
    show(exchange, market, 31)
    assert filled(exchange, first, second) == [5, 2], "the same quote is the same size"


@pytest.mark.parametrize(
    ("quote", "second"),
    [(Quote(2.00, 2.10, 50, 8), 8), (Quote(2.00, 2.09, 50, 7), 7), (Quote(1.9, 2.10, 50, 7), 0)],
    ids=["another size", "another price", "only the other side"],
)
def test_another_quote_shows_its_whole_size(
    exchange: Exchange, market: HandMadeMarket, quote: Quote, second: int
) -> None:
    market.overrides[ONE_CALL] = Quote(2.00, 2.10, 50, 7)
    order = send(exchange, single(ONE_CALL, "buy", "2.10", qty=20))
    assert filled(exchange, order) == [7]
    show(exchange, market, 31, **{ONE_CALL: quote})
    assert filled(exchange, order) == [7 + second]


def test_the_better_price_is_served_first_and_of_equals_the_earlier(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    orders = [
        send(exchange, single(ONE_CALL, "buy", price, qty=4))
        for price in ("1.80", "1.90", "1.80", "1.85")
    ]
    show(exchange, market, 31, **{ONE_CALL: Quote(1.70, 1.80, 50, 13)})
    assert filled(exchange, *orders) == [4, 4, 1, 4]


def test_orders_for_other_legs_keep_their_turn(exchange: Exchange, market: HandMadeMarket) -> None:
    """A single order and a ratio spread want the same offer: the one that came first gets it."""
    several = send(exchange, spread(RATIO, "-2.00", qty=3))
    alone = send(exchange, single(LONG, "buy", "0.40", qty=4))
    show(exchange, market, 31, **{SHORT: Quote(3.00, 3.10), LONG: Quote(0.30, 0.40, 50, 7)})
    assert filled(exchange, several, alone) == [3, 1]


def test_a_ratio_spread_takes_its_ratio_of_each_size_and_leaves_odd_contracts(
    exchange: Exchange, market: HandMadeMarket
) -> None:
    market.overrides |= {SHORT: Quote(3.00, 3.10), LONG: Quote(0.30, 0.40, 50, 7)}
    order = send(exchange, spread(RATIO, "-2.00", qty=5))
    assert filled(exchange, order) == [3], "seven contracts are three units of two"
    single_order = send(exchange, single(LONG, "buy", "0.40", qty=2))
    assert filled(exchange, single_order) == [1], "and one contract"


def test_a_replaced_order_loses_its_turn(exchange: Exchange, market: HandMadeMarket) -> None:
    early = send(exchange, single(ONE_CALL, "buy", "1.80", qty=4))
    late = send(exchange, single(ONE_CALL, "buy", "1.80", qty=4))
    new = exchange.trading.replace(early, Change(quantity=6))
    exchange.trading.attempt(new)
    show(exchange, market, 31, **{ONE_CALL: Quote(1.70, 1.80, 50, 5)})
    assert filled(exchange, late, new) == [4, 1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["1.80", "1.85", "1.90"])),
        min_size=1,
        max_size=6,
    ),
    sizes=st.lists(st.integers(0, 11), min_size=1, max_size=4),
)
def test_no_look_sells_more_than_it_displays(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[int, str]], sizes: list[int]
) -> None:
    """All orders together get what is displayed or what they want, whichever is less, at once."""
    market = HandMadeMarket(overrides={ONE_CALL: Quote(2.00, 2.10)})
    with exchange_on(market, tmp_path_factory.mktemp("queue")) as exchange:
        orders = [send(exchange, single(ONE_CALL, "buy", at, qty=n)) for n, at in wanted]
        total, left = 0, sum(quantity for quantity, _ in wanted)
        for minute, size in enumerate(sizes, start=31):
            # A price of its own makes each look another quote.
            ask = round(1.80 - minute / 100, 2)
            show(exchange, market, minute, **{ONE_CALL: Quote(1.00, ask, 50, size)})
            expected = min(size, left)
            total, left = total + expected, left - expected
            assert sum(filled(exchange, *orders)) == total


prices = st.integers(1, 900).map(lambda cents: Decimal(cents) / 100)


@given(mids=st.lists(prices, min_size=2, max_size=2), limit=st.integers(-500, 500))
def test_a_fill_at_the_limit_is_at_exactly_the_limit(mids: list[Decimal], limit: int) -> None:
    legs = (
        LegTerms(SHORT, Intent.SELL_TO_OPEN.side, 1, Intent.SELL_TO_OPEN),
        LegTerms(LONG, Intent.BUY_TO_OPEN.side, 2, Intent.BUY_TO_OPEN),
    )
    books = {
        one.symbol: TopOfBook(mid, mid, None, None) for one, mid in zip(legs, mids, strict=True)
    }
    wanted = Decimal(limit) / 100
    execution = at_limit(legs, 3, wanted, books)
    if execution is not None:
        net = sum(
            leg.side.sign * leg.ratio * price
            for leg, price in zip(legs, execution.prices, strict=True)
        )
        assert net == wanted
        assert min(execution.prices) >= 0
    else:
        assert wanted < 2 * mids[1] - mids[0], "only a credit that one leg alone can't give"
