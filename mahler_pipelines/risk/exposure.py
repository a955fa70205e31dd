"""Exposure: what open trades and working opening orders can lose."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.options.structures import Structure, dollars


@dataclass(frozen=True, slots=True)
class ExposureItem:
    """One open trade or working opening order.

    `max_loss_usd` is for all its contracts; `delta` is per share of one unit, None where unknown.
    """

    underlying: str
    max_loss_usd: Decimal
    symbols: tuple[str, ...]
    contracts: int = 1
    delta: float | None = None
    working: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """Everything at risk now."""

    items: tuple[ExposureItem, ...] = ()

    @property
    def heat_usd(self) -> Decimal:
        """Sum of maximum losses: what is lost when everything goes wrong together."""
        return sum((item.max_loss_usd for item in self.items), Decimal(0))

    @property
    def by_symbol(self) -> dict[str, Decimal]:
        """Underlying -> sum of its maximum losses."""
        heat: dict[str, Decimal] = {}
        for item in self.items:
            heat[item.underlying] = heat.get(item.underlying, Decimal(0)) + item.max_loss_usd
        return heat

    @property
    def symbols(self) -> frozenset[str]:
        """Contracts that some structure holds or works."""
        return frozenset(symbol for item in self.items for symbol in item.symbols)

    def heat_of(self, underlying: str) -> Decimal:
        """Sum of maximum losses of one underlying."""
        return self.by_symbol.get(underlying, Decimal(0))

    def positions_in(self, underlying: str) -> int:
        """Open and working structures of one underlying."""
        return sum(item.underlying == underlying for item in self.items)

    def plus(self, items: Iterable[ExposureItem]) -> "Exposure":
        """Return the exposure with more at risk."""
        return Exposure((*self.items, *items))


def exposure_of(
    structure: Structure,
    *,
    contracts: int,
    entry_credit: Decimal,
    working: bool = False,
    delta: float | None = None,
) -> ExposureItem:
    """Return what a structure opened for `entry_credit` per share can lose.

    For a working order the credit is its limit: the least it can be filled for.
    """
    return ExposureItem(
        underlying=structure.underlying,
        max_loss_usd=dollars(structure.max_loss(entry_credit), contracts),
        symbols=structure.symbols,
        contracts=contracts,
        delta=delta,
        working=working,
    )
