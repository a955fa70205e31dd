"""Every gate at, below and above its limit, and all of them always."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.risk.exposure import Exposure, ExposureItem
from mahler_pipelines.risk.gates import (
    AccountView,
    GateCode,
    GateOutcome,
    GateResult,
    TradeRisk,
    all_passed,
    evaluate,
    gate_refusals,
)
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState

TRADE = TradeRisk("XYZ", ("XYZ260206P00095000", "XYZ260206P00090000"), 2, Decimal("800.00"))
QUIET = AccountView(
    equity=Decimal(100_000),
    last_equity=Decimal(100_000),
    options_buying_power=Decimal(50_000),
    trading_state=TradingState.ACTIVE,
    entries_today=0,
    realised_pnl_today=Decimal(0),
    unrealised_pnl_today=Decimal(0),
)


def held(underlying: str, loss: str, *symbols: str) -> ExposureItem:
    return ExposureItem(underlying, Decimal(loss), symbols)


def answers(account: AccountView, limits: RiskLimits | None = None) -> dict[GateCode, GateResult]:
    return {result.code: result for result in evaluate(TRADE, account, limits or RiskLimits())}


def test_a_quiet_account_passes_every_gate() -> None:
    results = evaluate(TRADE, QUIET, RiskLimits())
    assert all_passed(results)
    assert [result.code for result in results] == list(GateCode)
    assert gate_refusals(results) == ()


@pytest.mark.parametrize(
    ("code", "at_limit", "beyond"),
    [
        (GateCode.TRADES_PER_DAY, {"entries_today": 9}, {"entries_today": 10}),
        (
            GateCode.DAILY_LOSS,
            {"realised_pnl_today": Decimal(-4000), "unrealised_pnl_today": Decimal("-999.99")},
            {"realised_pnl_today": Decimal(-4000), "unrealised_pnl_today": Decimal(-1000)},
        ),
        (GateCode.PER_TRADE, {"equity": Decimal(4000)}, {"equity": Decimal("3999.99")}),
        (
            GateCode.POSITIONS_PER_SYMBOL,
            {"exposure": Exposure((held("XYZ", "1"),))},
            {"exposure": Exposure((held("XYZ", "1"), held("XYZ", "1")))},
        ),
        (
            GateCode.PORTFOLIO_HEAT,
            {"exposure": Exposure((held("A", "9200"), held("B", "20000")))},
            {"exposure": Exposure((held("A", "9200.01"), held("B", "20000")))},
        ),
        (
            GateCode.CONCENTRATION,
            {"exposure": Exposure((held("XYZ", "29200"),))},
            {"exposure": Exposure((held("XYZ", "29200.01"),))},
        ),
        (
            GateCode.BUYING_POWER,
            {"options_buying_power": Decimal(800)},
            {"options_buying_power": Decimal("799.99")},
        ),
        (
            GateCode.DUPLICATE_POSITION,
            {"exposure": Exposure((held("XYZ", "1", "XYZ260206P00085000"),))},
            {"exposure": Exposure((held("XYZ", "1", "XYZ260206P00090000"),))},
        ),
        (
            GateCode.UNKNOWN_ORDER_ON_UNDERLYING,
            {"unknown_orders": {"ABC": ("o-1",)}},
            {"unknown_orders": {"ABC": ("o-1",), "XYZ": ("o-2",)}},
        ),
        (GateCode.TRADING_STATE, {}, {"trading_state": TradingState.REDUCING}),
        (GateCode.TRADING_STATE, {}, {"trading_state": TradingState.HALTED}),
    ],
)
def test_a_gate_passes_at_its_limit_and_fails_beyond(
    code: GateCode, at_limit: dict[str, Any], beyond: dict[str, Any]
) -> None:
    """The daily loss alone fails at its limit: it says when to stop, not what fits."""
    assert answers(replace(QUIET, **at_limit))[code].outcome is GateOutcome.PASSED
    failed = answers(replace(QUIET, **beyond))[code]
    assert (failed.outcome, failed.passed) == (GateOutcome.FAILED, False)


def test_values_are_measured_with_the_trade_in_them() -> None:
    account = replace(QUIET, exposure=Exposure((held("XYZ", "1200"),)), entries_today=3)
    found = answers(account)
    assert found[GateCode.PORTFOLIO_HEAT].value == Decimal("0.02")
    assert found[GateCode.TRADES_PER_DAY].value == 4
    assert found[GateCode.POSITIONS_PER_SYMBOL].value == 2
    assert found[GateCode.BUYING_POWER].value == Decimal("800.00")


def test_an_order_nobody_knows_about_is_named() -> None:
    results = evaluate(TRADE, replace(QUIET, unknown_orders={"XYZ": ("o-1", "o-2")}), RiskLimits())
    (refusal,) = gate_refusals(results)
    assert (refusal.value, refusal.limit) == ("2", "0")
    assert refusal.context == {"outcome": "failed", "orders": "o-1 o-2"}


def test_a_gain_is_no_daily_loss() -> None:
    found = answers(replace(QUIET, realised_pnl_today=Decimal(9000)))
    assert found[GateCode.DAILY_LOSS].value == 0


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"unrealised_pnl_today": None}, {GateCode.DAILY_LOSS}),
        ({"last_equity": None}, {GateCode.DAILY_LOSS}),
        ({"last_equity": Decimal(0)}, {GateCode.DAILY_LOSS}),
        ({"options_buying_power": None}, {GateCode.BUYING_POWER}),
        (
            {"equity": Decimal(0)},
            {GateCode.PER_TRADE, GateCode.PORTFOLIO_HEAT, GateCode.CONCENTRATION},
        ),
    ],
)
def test_a_gate_without_its_input_says_so_and_the_profile_decides(
    changes: dict[str, Any], codes: set[GateCode]
) -> None:
    account = replace(QUIET, **changes)
    results = evaluate(TRADE, account, RiskLimits())
    silent = {result.code for result in results if result.outcome is GateOutcome.NOT_AVAILABLE}
    assert silent == codes
    assert {refusal.code for refusal in gate_refusals(results)} == codes
    assert all_passed(evaluate(TRADE, account, RiskLimits(refuse_not_available=False)))


@given(
    state=st.sampled_from(TradingState),
    equity=st.decimals("-1000", "100000", places=2),
    entries=st.integers(0, 20),
    pnl=st.one_of(st.none(), st.decimals("-20000", "20000", places=2)),
)
def test_no_gate_is_ever_skipped(
    state: TradingState, equity: Decimal, entries: int, pnl: Decimal | None
) -> None:
    """A card shows every number, however early the first gate failed."""
    account = replace(
        QUIET,
        trading_state=state,
        equity=equity,
        entries_today=entries,
        unrealised_pnl_today=pnl,
    )
    results = evaluate(TRADE, account, RiskLimits())
    assert [result.code for result in results] == list(GateCode)
    for result in results:
        assert result.passed is (result.outcome is GateOutcome.PASSED)
        assert all(isinstance(text, str) for text in result.as_row().values())


def test_rows_are_plain_text() -> None:
    account = replace(QUIET, equity=Decimal(30_000), options_buying_power=None)
    rows = {code: result.as_row() for code, result in answers(account).items()}
    assert rows[GateCode.PER_TRADE]["value"] == "0.026667"
    assert rows[GateCode.BUYING_POWER] == {
        "code": "buying_power",
        "outcome": "not_available",
        "passed": "false",
        "value": "",
        "limit": "unknown",
    }
