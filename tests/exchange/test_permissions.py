"""What the exchange refuses, in its words, and how much margin it asks."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.exchange.accounts import Configuration
from mahler_pipelines.exchange.changes import Change
from mahler_pipelines.exchange.engine import Exchange
from mahler_pipelines.exchange.margin import spread_margin
from mahler_pipelines.exchange.market import SettlementValue
from mahler_pipelines.exchange.orders import TimeInForce, WireStatus
from mahler_pipelines.exchange.wire.errors import WireRefusal
from tests.exchange.fakes import FAR, NEAR, OPENING, HandMadeMarket, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

CREDIT_SPREAD = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]
LONG_CALENDAR = [leg(put(100, NEAR), "sell", "open"), leg(put(100, FAR), "buy", "open")]


def refusal(exchange: Exchange, body: dict[str, Any]) -> WireRefusal:
    with pytest.raises(WireRefusal) as caught:
        send(exchange, body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        pytest.param(
            spread([leg(put(95), "sell", "open", 2), leg(put(90), "buy", "open", 2)], "-1"),
            422,
            42210000,
            "leg ratio quantities should be relatively prime: GCD[2 2] = 2",
            id="ratios",
        ),
        pytest.param(spread([CREDIT_SPREAD[0]], "-1"), 422, 42210000, "2 to 4 legs", id="one leg"),
        pytest.param(
            spread([CREDIT_SPREAD[1]] * 2, "1"), 422, 42210000, "unique symbols", id="repeated"
        ),
        pytest.param(
            spread([leg("XYZ", "buy", "open"), leg(put(95), "buy", "open")], "1"),
            422,
            42210000,
            "equity legs",
            id="equity leg",
        ),
        pytest.param(
            spread([CREDIT_SPREAD[0], leg(put(90, FAR, "SPXW"), "buy", "open")], "-1"),
            422,
            42210000,
            "underlying asset mismatch",
            id="two underlyings",
        ),
        pytest.param(
            spread([CREDIT_SPREAD[0], leg(call(105), "buy", "open")], "-1"),
            403,
            40310000,
            "account not eligible to trade uncovered option contracts",
            id="uncovered",
        ),
        pytest.param(
            spread([leg(put(95, FAR), "sell", "open"), leg(put(90, NEAR), "buy", "open")], "-1"),
            403,
            40310000,
            "uncovered",
            id="cover that expires first",
        ),
        pytest.param(
            single(call(105), "sell", "1.00"), 403, 40310000, "uncovered", id="naked call"
        ),
        pytest.param(
            spread([{**CREDIT_SPREAD[0], "position_intent": None}, CREDIT_SPREAD[1]], "-1"),
            422,
            42210000,
            "leg.0 position intent is required",
            id="no intent",
        ),
        pytest.param(
            single(put(95), "buy", "1.00", position_intent="buy_to_close"),
            422,
            42210000,
            "position intent mismatch, inferred: buy_to_open, specified: buy_to_close",
            id="nothing to close",
        ),
        pytest.param(
            single(put(95), "buy", "1.00", position_intent="sell_to_open"),
            422,
            42210000,
            "position intent mismatch",
            id="side against intent",
        ),
        pytest.param(
            single(put(95), "buy", "1", qty=0), 422, 42210000, "qty must be > 0", id="qty"
        ),
        pytest.param(
            {**single(put(95), "buy", "1"), "qty": "1.5"},
            422,
            42210000,
            "qty must be integer for options trading",
            id="half a contract",
        ),
        pytest.param(
            single(put(95), "buy", "1.001"),
            422,
            42210000,
            "invalid limit_price 1.001. sub-penny increment does not fulfill minimum pricing",
            id="sub-penny",
        ),
        pytest.param(
            single(put(95), "buy", "1", time_in_force="ioc"),
            422,
            42210000,
            "invalid time in force",
            id="tif",
        ),
        pytest.param(
            single(put(95), "buy", "1", type="trailing_stop"),
            422,
            42210000,
            "order type",
            id="type",
        ),
        pytest.param(
            single(put(95), "buy", "1", client_order_id="x" * 129),
            422,
            40010001,
            "128",
            id="long client id",
        ),
        pytest.param(
            single(put(95), "buy", "1", notional="5"), 422, 42210000, "notional", id="notional"
        ),
        pytest.param(
            single(put(95), "buy", "1", extended_hours=True), 422, 42210000, "extended", id="hours"
        ),
        pytest.param(single(put(91), "buy", "1"), 422, 42210000, "not found", id="not listed"),
        pytest.param(single("NOPE", "buy", "1"), 422, 42210000, "not found", id="unknown"),
        pytest.param(single("SPX", "buy", "100"), 422, 42210000, "not found", id="an index"),
        pytest.param(single("XYZ", "sell", "100"), 403, 40310000, "insufficient qty", id="short"),
        pytest.param(
            spread(CREDIT_SPREAD, "-0.10", qty=205),
            403,
            40310000,
            "insufficient options buying power (required: 100450.00, available: 100000.00)",
            id="power",
        ),
    ],
)
def test_refusals_carry_status_code_and_message(
    tmp_path: Path, body: dict[str, Any], status: int, code: int, words: str
) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        refused = refusal(exchange, body)
        assert (refused.status, refused.code) == (status, code)
        assert words in refused.message
        assert exchange.store.orders() == ()


def test_client_order_id_is_taken_for_ever(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        order = send(exchange, single(put(95), "buy", "0.10", client_order_id="once"))
        exchange.trading.cancel(order)
        refused = refusal(exchange, single(put(95), "buy", "0.10", client_order_id="once"))
        assert (refused.status, refused.code) == (422, 40010001)
        assert refused.message == "client_order_id must be unique"


def test_levels_below_three_refuse_what_they_do_not_allow(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        for level, body, words in (
            (2, spread(CREDIT_SPREAD, "-1"), "not eligible to trade spreads"),
            (1, single(put(95), "buy", "0.10"), "not eligible for level2"),
            (0, single(put(95), "sell", "9.00"), "not authorized to trade options"),
        ):
            account = exchange.store.account("main")
            assert account is not None
            exchange.configure(account, Configuration(max_options_trading_level=level))
            assert words in refusal(exchange, body).message
        account = exchange.store.account("main")
        assert account is not None
        exchange.configure(account, Configuration(suspend_trade=True))
        assert "by user request" in refusal(exchange, spread(CREDIT_SPREAD, "-1")).message


def test_closing_takes_no_more_than_is_held_and_not_being_closed(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        send(exchange, spread(CREDIT_SPREAD, "-0.10", qty=3))
        closing = [leg(put(95), "buy", "close"), leg(put(90), "sell", "close")]
        assert send(exchange, spread(closing, "0.01", qty=2)).status is WireStatus.NEW
        refused = refusal(exchange, spread(closing, "0.01", qty=2))
        assert "insufficient qty available for order (requested: 2, available: 1)" in str(refused)
        assert refused.extra["held_for_orders"] == "2"
        assert send(exchange, spread(closing, "9.00")).status is WireStatus.FILLED


def test_long_wing_alone_can_not_be_closed_by_a_multi_leg_order_without_its_short(
    tmp_path: Path,
) -> None:
    """A closing order that leaves a long leg out is refused, as on paper."""
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        condor = [*CREDIT_SPREAD, leg(call(105), "sell", "open"), leg(call(110), "buy", "open")]
        send(exchange, spread(condor, "-0.10"))
        shorts = [leg(put(95), "buy", "close"), leg(call(105), "buy", "close")]
        assert "uncovered" in refusal(exchange, spread(shorts, "20")).message
        assert "uncovered" in refusal(exchange, single(call(110), "sell", "0.10")).message


def test_expiring_contract_is_not_opened_in_the_last_half_hour(tmp_path: Path) -> None:
    legs = [leg(put(95, NEAR), "sell", "open"), leg(put(90, NEAR), "buy", "open")]
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        exchange.advance(OPENING.replace(day=20, hour=15, minute=29))
        assert send(exchange, spread(legs, "-0.10")).status is WireStatus.FILLED
        exchange.advance(OPENING.replace(day=20, hour=15, minute=30))
        refused = refusal(exchange, spread(legs, "-0.10"))
        assert refused.message == (
            f'contract "{put(95, NEAR)}" expires soon, unable to open new positions'
        )
        closing = [leg(put(95, NEAR), "buy", "close"), leg(put(90, NEAR), "sell", "close")]
        assert send(exchange, spread(closing, "9.00")).status is WireStatus.FILLED


def test_short_put_is_secured_by_cash_and_short_call_by_shares(tmp_path: Path) -> None:
    market = HandMadeMarket(settlements={("XYZ", NEAR): SettlementValue(Decimal(90), "test")})
    with exchange_on(market, tmp_path) as exchange:
        send(exchange, single(put(100, NEAR), "sell", "0.10"))
        assert exchange.figures("main").margin == 10_000
        exchange.advance(OPENING.replace(day=23))
        assert [p.quantity for p in exchange.store.positions("main")] == [100]
        send(exchange, single(call(105), "sell", "0.10"))
        assert exchange.figures("main").margin == 0
        refused = refusal(exchange, single(call(105), "sell", "0.10"))
        assert "insufficient underlying qty available for covered call" in refused.message
        assert "uncovered" in refusal(exchange, single("XYZ", "sell", "90", qty=100)).message


def test_resting_orders_hold_buying_power_until_they_end(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        order = send(exchange, spread(CREDIT_SPREAD, "-4.00", qty=10))
        assert exchange.figures("main").options_buying_power == 100_000 - 10 * (500 - 400)
        exchange.trading.cancel(order)
        assert exchange.figures("main").options_buying_power == 100_000


def test_single_leg_order_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        old = send(exchange, single(call(105), "buy", "0.10"))
        change = Change(limit_price=Decimal("9.00"), time_in_force=TimeInForce.GTC)
        new = exchange.trading.replace(old, change)
        replaced = exchange.store.order(old.id)
        assert replaced is not None
        assert (replaced.status, replaced.replaced_by) == (WireStatus.REPLACED, new.id)
        assert exchange.trading.attempt(new).status is WireStatus.FILLED


def test_margin_of_the_documents_example_is_the_width() -> None:
    assert spread_margin({call(100): -1, call(110): 1}) == 1000
    assert spread_margin({put(95): -2, put(90): 2, call(105): -2, call(110): 2}) == 1000
    assert spread_margin({put(100, NEAR): -1, put(100, FAR): 1}) == 0
    assert spread_margin({put(100, NEAR): 1, put(100, FAR): -1}) == 10_000
    assert spread_margin({call(100): -1}) is None
    assert spread_margin({call(100): -1, "XYZ": 100}) == 0
