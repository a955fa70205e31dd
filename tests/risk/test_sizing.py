"""Fixed fractional sizing in exact decimals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.sizing import contracts_for


@pytest.mark.parametrize(
    ("equity", "loss", "contracts"),
    [
        ("100000", "4.00", 2),
        ("100000", "3.33", 3),
        ("100000", "3.34", 2),
        ("100000", "10.00", 1),
        ("100000", "10.01", 0),
        ("33333.33", "3.33", 1),
        ("100000", "0.10", 10),
        ("0", "1.00", 0),
        ("-500", "1.00", 0),
    ],
)
def test_one_percent_of_equity_over_the_loss_of_one_contract(
    equity: str, loss: str, contracts: int
) -> None:
    """Exactly one percent still fits; the cap is ten; no equity buys nothing."""
    found = contracts_for(
        equity=Decimal(equity), max_loss_per_share=Decimal(loss), limits=RiskLimits()
    )
    assert found == contracts


@given(
    equity=st.decimals("0", "10000000", places=2),
    loss=st.decimals("0.01", "50", places=2),
    share=st.decimals("0.001", "0.1", places=3),
)
def test_the_size_is_the_largest_within_the_budget(
    equity: Decimal, loss: Decimal, share: Decimal
) -> None:
    limits = RiskLimits(risk_per_trade=share, max_contracts=10**9)
    contracts = contracts_for(equity=equity, max_loss_per_share=loss, limits=limits)
    assert contracts * loss * 100 <= equity * share < (contracts + 1) * loss * 100


@pytest.mark.parametrize("loss", ["0", "-1", "NaN", "Infinity", "0.00001"])
def test_a_loss_that_is_none_cannot_size(loss: str) -> None:
    """A structure that cannot lose would be sized without bound."""
    with pytest.raises(BadInput, match="max_loss_per_share"):
        contracts_for(equity=Decimal(1000), max_loss_per_share=Decimal(loss), limits=RiskLimits())


def test_an_equity_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="equity"):
        contracts_for(equity=Decimal("NaN"), max_loss_per_share=Decimal(1), limits=RiskLimits())


def test_limits_out_of_their_range_are_refused() -> None:
    with pytest.raises(BadInput, match="portfolio_heat"):
        RiskLimits(portfolio_heat=Decimal("1.5"))
    with pytest.raises(BadInput, match="trades_per_day"):
        RiskLimits(trades_per_day=-1)
