"""Fills against displayed quotes, and what they do to cash and equity."""

import math
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mahler_pipelines.exchange.activities import ActivityKind
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.matching import FeeSchedule, TopOfBook, match
from mahler_pipelines.exchange.orders import Intent, LegTerms, WireStatus
from mahler_pipelines.exchange.wire.errors import WireRefusal
from mahler_pipelines.options.structures import Side
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

SHORT, LONG = put(95), put(90)
CREDIT_SPREAD = [leg(SHORT, "sell", "open"), leg(LONG, "buy", "open")]


def book(bid: str, ask: str, size: int | None = None) -> TopOfBook:
    return TopOfBook(Decimal(bid), Decimal(ask), size, size)


def terms(symbol: str, intent: Intent, ratio: int = 1) -> LegTerms:
    return LegTerms(symbol, intent.side, ratio, intent)


OPEN_SPREAD = (terms(SHORT, Intent.SELL_TO_OPEN), terms(LONG, Intent.BUY_TO_OPEN))


def test_bought_leg_pays_the_ask_and_sold_leg_gets_the_bid() -> None:
    books = {SHORT: book("2.00", "2.10"), LONG: book("0.80", "0.90")}
    execution = match(OPEN_SPREAD, 3, Decimal("-1.10"), books)
    assert execution is not None
    assert execution.units == 3
    assert execution.prices == (Decimal("2.00"), Decimal("0.90"))


def test_credit_better_than_the_natural_price_is_not_given() -> None:
    books = {SHORT: book("2.00", "2.10"), LONG: book("0.80", "0.90")}
    assert match(OPEN_SPREAD, 1, Decimal("-1.11"), books) is None
    assert match(OPEN_SPREAD, 1, Decimal("-1.00"), books) is not None


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(TopOfBook(None, Decimal("2.1"), None, None), id="no bid number"),
        pytest.param(TopOfBook(Decimal("2.0"), None, None, None), id="no ask number"),
        pytest.param(book("2.10", "2.00"), id="crossed"),
        pytest.param(book("0", "0"), id="zero ask"),
    ],
)
def test_unusable_quote_never_fills(bad: TopOfBook) -> None:
    assert match(OPEN_SPREAD, 1, None, {SHORT: bad, LONG: book("0.80", "0.90")}) is None


def test_missing_quote_never_fills() -> None:
    assert match(OPEN_SPREAD, 1, None, {SHORT: book("2.00", "2.10")}) is None


def test_size_limits_a_fill_to_whole_units() -> None:
    legs = (terms(SHORT, Intent.SELL_TO_OPEN), terms(LONG, Intent.BUY_TO_OPEN, ratio=2))
    books = {SHORT: book("2.00", "2.10", 9), LONG: book("0.80", "0.90", 7)}
    execution = match(legs, 10, None, books)
    assert execution is not None
    assert execution.units == 3
    assert match(legs, 10, None, {**books, LONG: book("0.80", "0.90", 1)}) is None


def test_worthless_wing_is_given_away_only_when_it_closes_with_others() -> None:
    """A spread whose long leg has no bid must stay closable; nobody opens into an absent bid."""
    closing = (terms(SHORT, Intent.BUY_TO_CLOSE), terms(LONG, Intent.SELL_TO_CLOSE))
    books = {SHORT: book("0.05", "0.10"), LONG: book("0", "0.05", 0)}
    execution = match(closing, 2, Decimal("0.10"), {**books, SHORT: book("0.05", "0.10")})
    assert execution is not None
    assert execution.prices == (Decimal("0.10"), Decimal(0))
    assert match((closing[1],), 1, None, {LONG: book("0", "0.05")}) is None
    opening = (terms(LONG, Intent.SELL_TO_OPEN), terms(SHORT, Intent.BUY_TO_OPEN))
    assert match(opening, 1, None, books) is None


def test_fill_books_cash_positions_and_one_activity_per_leg(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "-0.50", qty=3))
        assert order.status is WireStatus.FILLED
        held = {p.symbol: p.quantity for p in exchange.store.positions("main")}
        assert held == {SHORT: -3, LONG: 3}
        bid, ask = order.legs[0].average_price, order.legs[1].average_price
        assert bid is not None
        assert ask is not None
        assert exchange.figures("main").cash == 100_000 + (bid - ask) * 300
        assert order.average_price == ask - bid
        rows = exchange.store.activities("main", until=exchange.now)
        assert [row.kind for row in rows] == [ActivityKind.FILL] * 2
        assert rows[0].body["leaves_qty"] == "0"
        assert rows[0].body["order_id"] == order.legs[0].id


def test_partial_fill_rests_until_more_is_displayed(tmp_path: Path) -> None:
    market = HandMadeMarket(overrides={SHORT: Quote(5.0, 5.1, 4, 4)})
    with exchange_on(market, tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "-0.50", qty=10))
        assert (order.status, order.filled_quantity) == (WireStatus.PARTIALLY_FILLED, 4)
        again = exchange.trading.attempt(order)
        assert again.filled_quantity == 4, "displayed size is taken once"
        exchange.advance(OPENING.replace(hour=10))
        unchanged = exchange.store.order(order.id)
        assert unchanged is not None
        assert unchanged.filled_quantity == 4, "the same quote at another moment shows no more"
        market.overrides[SHORT] = Quote(5.0, 5.1, 7, 4)
        exchange.advance(OPENING.replace(hour=11))
        rested = exchange.store.order(order.id)
        assert rested is not None
        assert (rested.status, rested.filled_quantity) == (WireStatus.FILLED, 10)
        kinds = [row.body["type"] for row in exchange.store.activities("main", until=exchange.now)]
        assert kinds[:2] == ["partial_fill", "partial_fill"]
        assert kinds[-2:] == ["fill", "fill"]


def test_market_without_sizes_fills_whole(tmp_path: Path) -> None:
    quotes = {name: Quote(5.0, 5.1, math.nan, math.nan) for name in (SHORT, LONG)}
    with exchange_on(HandMadeMarket(overrides=quotes), tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "0.10", qty=177))
        assert order.filled_quantity == 177


def test_market_order_takes_the_natural_price_in_market_hours_only(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        order = send(exchange, single(call(105), "buy", None))
        assert order.status is WireStatus.FILLED
        exchange.advance(OPENING.replace(hour=16))
        with pytest.raises(WireRefusal, match="only allowed during market hours"):
            send(exchange, single(call(105), "buy", None))


def test_yesterdays_quote_does_not_fill(tmp_path: Path) -> None:
    """Before its snapshot an archive still shows the previous session."""

    class Stale(HandMadeMarket):
        def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
            return super().quotes(underlying, min(when, OPENING))

    with exchange_on(Stale(), tmp_path) as exchange:
        exchange.advance(OPENING.replace(day=3, hour=10))
        order = send(exchange, spread(CREDIT_SPREAD, "-0.10"))
        assert order.status is WireStatus.NEW


def test_fees_come_out_of_cash_and_have_their_own_row(tmp_path: Path) -> None:
    stated = ExchangeTerms(start_at=OPENING, fees=FeeSchedule(per_contract=Decimal("0.65")))
    with exchange_on(HandMadeMarket(), tmp_path, stated) as exchange:
        order = send(exchange, single(call(105), "buy", None, qty=3))
        price = order.average_price
        assert price is not None
        assert exchange.figures("main").cash == 100_000 - price * 300 - Decimal("1.95")
        exchange.advance(OPENING.replace(day=3, hour=10))
        fees = [
            row.body["net_amount"]
            for row in exchange.store.activities("main", until=exchange.now)
            if row.kind is ActivityKind.FEE
        ]
        assert fees == ["-1.95"]


cents = st.integers(1, 3000).map(lambda c: c / 100)
widths = st.integers(0, 50).map(lambda c: c / 100)
quote = st.builds(lambda bid, width: Quote(bid, round(bid + width, 2), 5000, 5000), cents, widths)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    trades=st.lists(
        st.tuples(
            st.sampled_from(["put", "call", "condor", "ratio", "long"]),
            st.integers(1, 37),
            st.lists(quote, min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
    fee=st.sampled_from([Decimal("0.00"), Decimal("0.65"), Decimal("0.035")]),
)
def test_cash_moves_by_price_times_quantity_to_the_cent(
    trades: list[tuple[str, int, list[Quote]]], fee: Decimal
) -> None:
    """Whatever is traded, at whatever odd quantity: cash is the sum of the fills less fees, equity
    is cash plus market value, and no leg trades outside its quote."""
    market = HandMadeMarket()
    plenty = ExchangeTerms(
        start_at=OPENING, starting_equity=Decimal(50_000_000), fees=FeeSchedule(per_contract=fee)
    )
    with TemporaryDirectory() as folder, exchange_on(market, Path(folder), plenty) as exchange:
        expected = Decimal(50_000_000)
        for kind, quantity, quotes in trades:
            legs = _legs(kind)
            for one, shown in zip(legs, quotes, strict=False):
                market.overrides[str(one["symbol"])] = shown
            exchange.advance(exchange.now.replace(microsecond=exchange.now.microsecond + 1))
            expected += _trade(exchange, market, legs, quantity, fee)
        figures = exchange.figures("main")
        assert figures.cash == expected
        value = sum((p.market_value for p in exchange.store.positions("main")), Decimal(0))
        assert figures.equity == figures.cash + value


def _legs(kind: str) -> list[dict[str, object]]:
    return {
        "put": [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")],
        "call": [leg(call(105), "sell", "open"), leg(call(110), "buy", "open")],
        "condor": [
            leg(put(95), "sell", "open"),
            leg(put(90), "buy", "open"),
            leg(call(105), "sell", "open"),
            leg(call(110), "buy", "open"),
        ],
        "ratio": [leg(put(95), "sell", "open", 2), leg(put(90), "buy", "open", 3)],
        "long": [leg(call(110), "buy", "open")],
    }[kind]


def _trade(
    exchange: Exchange,
    market: HandMadeMarket,
    legs: list[dict[str, object]],
    quantity: int,
    fee: Decimal,
) -> Decimal:
    """Send a marketable order; return what cash should move by, from quotes and sizes alone."""
    if len(legs) == 1:
        order = send(exchange, single(str(legs[0]["symbol"]), "buy", None, qty=quantity))
    else:
        order = send(exchange, spread(legs, None, qty=quantity))
    moved = Decimal(0)
    for filled in order.legs:
        if not filled.filled_quantity:
            continue
        shown = market.overrides[filled.terms.symbol]
        price = filled.average_price
        assert price is not None
        assert Decimal(str(shown.bid)) <= price <= Decimal(str(shown.ask))
        wanted = shown.ask if filled.terms.side is Side.BUY else shown.bid
        assert price == Decimal(str(wanted))
        moved -= filled.terms.side.sign * price * 100 * filled.filled_quantity
        moved -= fee * filled.filled_quantity
    return moved
