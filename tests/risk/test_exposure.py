"""What open trades and working orders can lose."""

from decimal import Decimal

from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.risk.exposure import Exposure, exposure_of
from mahler_pipelines.strategies.bear_call_spread import BEAR_CALL_SPREAD
from mahler_pipelines.strategies.bull_put_spread import BULL_PUT_SPREAD

PUTS = BULL_PUT_SPREAD.structure(parse_occ("XYZ260206P00095000"), parse_occ("XYZ260206P00090000"))
CALLS = BEAR_CALL_SPREAD.structure(parse_occ("ABC260206C00105000"), parse_occ("ABC260206C00115000"))
WEEKLY = BULL_PUT_SPREAD.structure(
    parse_occ("SPXW260206P05500000"), parse_occ("SPXW260206P05490000")
)


def test_heat_is_the_sum_of_maximum_losses_for_all_contracts() -> None:
    exposure = Exposure(
        (
            exposure_of(PUTS, contracts=3, entry_credit=Decimal("1.25")),
            exposure_of(CALLS, contracts=2, entry_credit=Decimal("2.10"), working=True),
        )
    )
    assert exposure.heat_usd == Decimal("1125.00") + Decimal("1580.00")
    assert exposure.by_symbol == {"XYZ": Decimal("1125.00"), "ABC": Decimal("1580.00")}
    assert exposure.heat_of("XYZ") == Decimal("1125.00")
    assert exposure.heat_of("QQQ") == 0
    assert exposure.positions_in("ABC") == 1
    assert exposure.symbols == {*PUTS.symbols, *CALLS.symbols}


def test_a_weekly_root_counts_towards_its_index() -> None:
    item = exposure_of(WEEKLY, contracts=1, entry_credit=Decimal("2.00"))
    assert item.underlying == "SPX"


def test_a_structure_opened_for_a_debit_can_lose_more_than_its_width() -> None:
    """A fill below zero credit happens; its loss is not cut off at the width."""
    item = exposure_of(PUTS, contracts=1, entry_credit=Decimal("-0.10"))
    assert item.max_loss_usd == Decimal("510.00")


def test_nothing_open_is_no_heat() -> None:
    assert Exposure().heat_usd == 0
    grown = Exposure().plus([exposure_of(PUTS, contracts=1, entry_credit=Decimal(1))])
    assert grown.heat_usd == Decimal("400.00")
