"""Pairing: which short options nothing covers."""

from collections.abc import Mapping
from dataclasses import dataclass

from mahler_pipelines.execution.holdings import option_of
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, Right


@dataclass(slots=True)
class _Cover:
    contract: OptionContract
    left: int


def unpaired_shorts(positions: Mapping[str, int]) -> dict[str, int]:
    """Contracts of each short option that neither an option nor shares cover.

    `positions` are signed. A long option of the same underlying and right that doesn't end earlier
    covers one short contract, whatever its strike: the loss is bounded. A hundred shares cover a
    short call, a hundred short shares a short put. The contracts that end last are covered first,
    for they have the fewest that can cover them.
    """
    options = {
        symbol: contract
        for symbol, quantity in positions.items()
        if quantity and (contract := option_of(symbol)) is not None
    }
    covers = [
        _Cover(contract, positions[symbol])
        for symbol, contract in options.items()
        if positions[symbol] > 0
    ]
    shares = {symbol: quantity for symbol, quantity in positions.items() if symbol not in options}
    bare: dict[str, int] = {}
    shorts = [symbol for symbol in options if positions[symbol] < 0]
    for symbol in sorted(shorts, key=lambda name: (options[name].expiration, name), reverse=True):
        left = -positions[symbol]
        left -= _covered_by_options(options[symbol], left, covers)
        left -= _covered_by_shares(options[symbol], left, shares)
        if left:
            bare[symbol] = left
    return bare


def _covered_by_options(short: OptionContract, wanted: int, covers: list[_Cover]) -> int:
    """Longs that end soonest are used first: the later ones may cover what ends later."""
    covered = 0
    for cover in sorted(covers, key=lambda one: one.contract.expiration):
        fits = (
            cover.contract.underlying == short.underlying
            and cover.contract.right is short.right
            and cover.contract.expiration >= short.expiration
        )
        if fits:
            used = min(cover.left, wanted - covered)
            cover.left -= used
            covered += used
    return covered


def _covered_by_shares(short: OptionContract, wanted: int, shares: dict[str, int]) -> int:
    sign = 1 if short.right is Right.CALL else -1
    held = shares.get(short.underlying, 0) * sign
    used = min(max(held, 0) // SHARES_PER_CONTRACT, wanted)
    shares[short.underlying] = (held - used * SHARES_PER_CONTRACT) * sign
    return used
