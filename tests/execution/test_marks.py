"""Marks and money: cash is realised plus open value, to the cent."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.execution.marks import PartialClose, mark_trades
from mahler_pipelines.execution.trades import realised_pnl
from mahler_pipelines.options.structures import dollars
from tests.execution.fakes import utc
from tests.execution.scenes import LONG, NOW, SHORT, later_copy, quote_table, trade

cents = st.integers(min_value=1, max_value=2_000)


def test_mark_is_the_mid_cost_with_its_snapshot_and_days_left() -> None:
    quotes = quote_table({SHORT.symbol: (0.60, 0.70), LONG.symbol: (0.20, 0.25)})
    (mark,) = mark_trades([trade()], quotes, {"SPY": Decimal(601)}, as_of=NOW, snapshot_hash="abc")
    assert mark.cost_to_close == Decimal("0.425")
    assert mark.natural_cost_to_close == Decimal("0.50")
    assert mark.unrealised_pnl_usd == Decimal("172.50")
    assert (mark.underlying_price, mark.dte, mark.snapshot_hash) == (Decimal(601), 39, "abc")


def test_days_left_are_counted_in_new_york() -> None:
    """Half past midnight in London is still the evening before in New York."""
    (mark,) = mark_trades([trade()], quote_table({}), {}, as_of=utc(2026, 1, 13, hour=0, minute=30))
    assert mark.dte == 39


def test_unusable_quote_is_no_value_and_never_zero() -> None:
    quotes = quote_table({SHORT.symbol: (float("nan"), 0.70), LONG.symbol: (0.20, 0.25)})
    (mark,) = mark_trades([trade()], quotes, {}, as_of=NOW)
    assert (mark.cost_to_close, mark.unrealised_pnl_usd) == (None, None)
    assert (mark.problem, mark.underlying_price) == ("quote_one_sided", None)


def test_one_bad_trade_leaves_the_others_marked() -> None:
    quotes = quote_table({SHORT.symbol: (0.60, 0.70)})
    short_only = later_copy(
        trade(), structure=type(trade().structure)("x", trade().structure.legs[:1])
    )
    bad, good = mark_trades([trade(), short_only], quotes, {}, as_of=NOW)
    assert bad.cost_to_close is None
    assert good.cost_to_close == Decimal("0.65")


@given(
    credit=cents, bid=cents, spread=cents, contracts=st.integers(1, 51), data=st.data(), fees=cents
)
def test_cash_is_realised_plus_open_value_to_the_cent(
    credit: int, bid: int, spread: int, contracts: int, data: st.DataObject, fees: int
) -> None:
    """What was received, less what was paid for the closed part and would be for the rest."""
    closed = data.draw(st.integers(0, contracts))
    paid = data.draw(cents)
    held = later_copy(
        trade(credit=str(Decimal(credit) / 100), contracts=contracts), fees_usd=Decimal(fees) / 100
    )
    quotes = quote_table(
        {SHORT.symbol: (bid / 100, (bid + spread) / 100), LONG.symbol: (0.0, 0.01)}
    )
    part = PartialClose(closed, Decimal(paid) / 100)
    (mark,) = mark_trades([held], quotes, {}, as_of=NOW, closed={held.id: part})
    assert mark.cost_to_close is not None
    assert mark.unrealised_pnl_usd is not None
    cash = Decimal(credit * contracts) - Decimal(paid * closed) - held.fees_usd
    open_value = -dollars(mark.cost_to_close, contracts - closed)
    assert mark.unrealised_pnl_usd == cash + open_value


@given(credit=cents, debit=cents, contracts=st.integers(1, 51))
def test_realised_result_is_the_cash_that_moved(credit: int, debit: int, contracts: int) -> None:
    result = realised_pnl(
        entry_credit=Decimal(credit) / 100,
        exit_debit=Decimal(debit) / 100,
        contracts=contracts,
        fees_usd=Decimal(0),
    )
    assert result == Decimal((credit - debit) * contracts)
