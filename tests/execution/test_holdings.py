"""Holdings: lots close oldest first, and count at risk for what they can lose alone."""

from decimal import Decimal

import pytest

from mahler_pipelines.execution.broker_books import Holding, HoldingSource
from mahler_pipelines.execution.holdings import Receipt, exposure_of_holding, receive
from mahler_pipelines.options.contracts import OptionContract, Right
from tests.execution.fakes import FakeBook
from tests.execution.scenes import EXPIRATION, NOW, SHORT

CALL = OptionContract("SPY", EXPIRATION, Right.CALL, Decimal(620)).symbol


def receipt(quantity: int, price: str, *, fees: str = "0", symbol: str = "SPY") -> Receipt:
    amount = Decimal(price)
    source = HoldingSource.ADOPTED
    return Receipt(symbol, quantity, amount, amount, source, "t-1", NOW, Decimal(fees))


def lots(*receipts: Receipt) -> list[Holding]:
    book = FakeBook()
    for one in receipts:
        with book.transaction("main") as ledger:
            receive(ledger, one)
    return list(book.rows.holdings.values())


def test_the_oldest_lot_closes_first_and_the_rest_is_a_lot_of_its_own() -> None:
    first, second, third = lots(receipt(100, "10"), receipt(50, "12"), receipt(-170, "13"))
    assert (first.quantity, first.realised_usd, first.closed_at) == (0, Decimal(300), NOW)
    assert (second.quantity, second.realised_usd) == (0, Decimal(50))
    assert (third.quantity, third.average_price) == (-20, Decimal(13))


def test_contracts_count_a_hundredfold_and_fees_stay_with_the_lot() -> None:
    (lot,) = lots(
        receipt(-3, "4.10", symbol=SHORT.symbol),
        receipt(2, "4.18", symbol=SHORT.symbol, fees="1.30"),
    )
    assert (lot.quantity, lot.realised_usd, lot.fees_usd) == (-1, Decimal(-16), Decimal("1.30"))


@pytest.mark.parametrize(
    ("symbol", "quantity", "price", "loss"),
    [
        ("SPY", 300, "575.90", "172770.00"),
        ("SPY", -300, "575.90", "172770.00"),
        (SHORT.symbol, 3, "4.10", "1230.00"),
        (SHORT.symbol, -3, "4.10", "172770.00"),
        (CALL, -2, "1.50", "123700.00"),
    ],
    ids=[
        "shares at nothing",
        "short shares doubled",
        "a premium",
        "a put at nothing",
        "a call doubled",
    ],
)
def test_risk_of_a_lot_alone(symbol: str, quantity: int, price: str, loss: str) -> None:
    (lot,) = lots(receipt(quantity, price, symbol=symbol))
    assert exposure_of_holding(lot).max_loss_usd == Decimal(loss)
