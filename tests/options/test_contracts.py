"""OCC symbols: what is written is read back, and what is malformed is refused."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput, MalformedSymbol
from mahler_pipelines.options.contracts import (
    ExerciseStyle,
    OptionContract,
    Right,
    SettlementKind,
    exercise_style,
    occ_symbol,
    parse_occ,
    settlement_kind,
    underlying_of,
)


@given(
    root=st.from_regex(r"[A-Z]{1,6}", fullmatch=True),
    expiration=st.dates(date(2000, 1, 1), date(2068, 12, 31)),
    right=st.sampled_from(Right),
    thousandths=st.integers(1, 10**8 - 1),
)
def test_symbol_is_read_back_as_it_was_written(
    root: str, expiration: date, right: Right, thousandths: int
) -> None:
    contract = OptionContract(root, expiration, right, Decimal(thousandths) / 1000)
    assert parse_occ(contract.symbol) == contract
    assert parse_occ(contract.symbol).symbol == contract.symbol


def test_known_symbol() -> None:
    contract = parse_occ("SPXW190621P02800000")
    assert contract == OptionContract("SPXW", date(2019, 6, 21), Right.PUT, Decimal(2800))
    assert contract.underlying == "SPX"
    assert occ_symbol("AAPL", date(2025, 1, 17), Right.CALL, 152.5) == "AAPL250117C00152500"


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "SPXW",
        "spxw190621P02800000",
        "SPXW190621X02800000",
        "SPXW191321P02800000",
        "SPXW190231P02800000",
        "SPXW190621P0280000",
        "SPXW190621P028000000",
        "SPXW190621P00000000",
        "SPXW  190621P02800000",
        " SPXW190621P02800000",
        "SPXW190621P02800000\n",
        "SPXW19O621P02800000",
        "SPXW" + "".join(chr(0x660 + int(digit)) for digit in "190621") + "P02800000",
        "TOOLONGS190621P02800000",
    ],
)
def test_malformed_symbol_is_refused_with_its_value(symbol: str) -> None:
    with pytest.raises(MalformedSymbol) as caught:
        parse_occ(symbol)
    assert caught.value.value == symbol


@pytest.mark.parametrize("strike", [0, -5, 100_000, Decimal("0.0001"), float("nan"), float("inf")])
def test_strike_that_fits_no_symbol_is_refused(strike: float | Decimal) -> None:
    with pytest.raises(MalformedSymbol) as caught:
        occ_symbol("SPY", date(2025, 1, 17), Right.CALL, strike)
    assert caught.value.parameter == "strike"


def test_root_that_fits_no_symbol_is_refused() -> None:
    with pytest.raises(MalformedSymbol) as caught:
        occ_symbol("brk.b", date(2025, 1, 17), Right.CALL, 400)
    assert caught.value.parameter == "root"
    assert isinstance(caught.value, BadInput)


def test_right_is_the_sign_of_the_payoff() -> None:
    assert [int(right) for right in (Right.CALL, Right.PUT)] == [1, -1]
    assert [Right.from_letter(letter) for letter in "CP"] == [Right.CALL, Right.PUT]
    with pytest.raises(MalformedSymbol):
        Right.from_letter("c")


def test_contracts_are_equal_by_symbol() -> None:
    one = OptionContract("SPY", date(2025, 1, 17), Right.CALL, Decimal(400))
    same = OptionContract("SPY", date(2025, 1, 17), Right.CALL, Decimal("400.000"))
    assert one == same
    assert len({one, same}) == 1


def test_index_roots_are_european_and_others_american() -> None:
    assert settlement_kind("SPX") is SettlementKind.CASH_ON_OPEN
    assert settlement_kind("SPXW") is SettlementKind.CASH_ON_CLOSE
    assert settlement_kind("SPY") is SettlementKind.PHYSICAL
    assert exercise_style("SPXW") is ExerciseStyle.EUROPEAN
    assert exercise_style("SPY") is ExerciseStyle.AMERICAN
    assert [underlying_of(root) for root in ("NDXP", "AAPL")] == ["NDX", "AAPL"]
