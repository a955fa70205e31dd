"""Which candidates the account has certainly no room for."""

from decimal import Decimal

import pandas as pd

from mahler_pipelines.risk.exposure import Exposure, ExposureItem
from mahler_pipelines.risk.gates import AccountView, GateCode, TradeRisk, evaluate
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.room import without_room
from mahler_pipelines.risk.trading_state import TradingState

COLUMNS = ["underlying", "short_symbol", "long_symbol"]
LIMITS = RiskLimits(positions_per_symbol=2)


def candidates(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS, index=range(10, 10 + len(rows))).astype("str")


def item(underlying: str, *symbols: str, working: bool = False) -> ExposureItem:
    return ExposureItem(underlying, Decimal(400), symbols, working=working)


ROWS = candidates(("AAA", "a1", "a2"), ("AAA", "a3", "a4"), ("BBB", "b1", "b2"))


def test_an_empty_account_has_room_for_everything() -> None:
    found = without_room(ROWS, Exposure(), LIMITS)
    assert found.to_list() == ["", "", ""]
    assert found.index.to_list() == [10, 11, 12]


def test_contracts_that_another_structure_holds_are_taken() -> None:
    """A broker nets positions per contract: one short leg would close another one's long."""
    found = without_room(ROWS, Exposure((item("AAA", "a2", "a9"),)), LIMITS)
    assert found.to_list() == [GateCode.DUPLICATE_POSITION.value, "", ""]


def test_a_full_underlying_has_no_room_and_working_orders_count() -> None:
    exposure = Exposure((item("AAA", "a1", "x"), item("AAA", "y", "z", working=True)))
    found = without_room(ROWS, exposure, LIMITS)
    assert found.to_list() == [GateCode.POSITIONS_PER_SYMBOL.value] * 2 + [""]


def test_what_has_no_room_would_fail_its_gate() -> None:
    """The short cut may only leave out what the gates would have refused anyway."""
    exposure = Exposure((item("AAA", "a1", "a2"), item("BBB", "x", "y"), item("BBB", "v", "w")))
    view = AccountView(
        equity=Decimal(100_000),
        last_equity=Decimal(100_000),
        options_buying_power=Decimal(100_000),
        trading_state=TradingState.ACTIVE,
        entries_today=0,
        realised_pnl_today=Decimal(0),
        unrealised_pnl_today=Decimal(0),
        exposure=exposure,
    )
    found = without_room(ROWS, exposure, LIMITS)
    for (_, row), code in zip(ROWS.iterrows(), found, strict=True):
        risk = TradeRisk(
            row["underlying"], (row["short_symbol"], row["long_symbol"]), 1, Decimal(1)
        )
        failed = {result.code.value for result in evaluate(risk, view, LIMITS) if not result.passed}
        assert (code in failed) if code else not failed


def test_no_candidates_are_no_answers() -> None:
    found = without_room(candidates(), Exposure((item("AAA", "a1"),)), LIMITS)
    assert (len(found), str(found.dtype)) == (0, "str")
