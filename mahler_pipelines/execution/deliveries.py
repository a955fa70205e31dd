"""Deliveries: shares that an assignment or an exercise brings in or takes out, at the strike."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.execution.broker_books import HoldingSource, KnownActivity
from mahler_pipelines.execution.broker_history import ASSIGNED, DELIVERED, EXERCISED
from mahler_pipelines.execution.holdings import Receipt, option_of
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.unbooked import Part
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract
from mahler_pipelines.options.structures import Leg

DELIVERING = frozenset({ASSIGNED, EXERCISED})
DELIVERY_SOURCES = {ASSIGNED: HoldingSource.ASSIGNED, EXERCISED: HoldingSource.EXERCISED}


def delivered_shares(
    contract: OptionContract,
    shares: int,
    *,
    premium: Decimal,
    kind: str,
    origin: str,
    at: datetime,
) -> Receipt:
    """Shares delivered at the strike, the option's premium in their price.

    A put's premium lowers it and a call's raises it, whoever paid it: bought at less, sold for
    less, bought at more, sold for more.
    """
    return Receipt(
        symbol=contract.underlying,
        quantity=shares,
        price=contract.strike + contract.right * premium,
        carried_price=contract.strike,
        source=DELIVERY_SOURCES[kind],
        origin=origin,
        at=at,
    )


def shares_of(leg: Leg) -> int:
    """Shares that one delivered contract brings in: calls call them in, puts put them out."""
    sign = 1 if leg.signed_ratio > 0 else -1
    return leg.contract.right * sign * SHARES_PER_CONTRACT


def same_day_contracts(delivering: Sequence[tuple[Leg, KnownActivity, int]]) -> dict[str, int]:
    """Contracts of each row whose shares came in and went out again on the same day."""
    matched: dict[str, int] = {}
    for day in {row.day for _, row, _ in delivering}:
        today = [one for one in delivering if one[1].day == day]
        inwards = [one for one in today if shares_of(one[0]) > 0]
        outwards = [one for one in today if shares_of(one[0]) < 0]
        both = min(sum(one[2] for one in side) for side in (inwards, outwards))
        for side in (inwards, outwards):
            left = both
            for _, row, count in side:
                matched[row.id] = min(count, left)
                left -= matched[row.id]
    return matched


def netting_level(legs: Sequence[Leg]) -> Decimal:
    """Return the level at which deliveries that net are valued.

    Any level gives the same sum: at a bought leg's strike the other shows the whole width.
    """
    bought = [leg for leg in legs if leg.signed_ratio > 0]
    return (bought or list(legs))[0].contract.strike if legs else Decimal(0)


def worth_at(contract: OptionContract, level: Decimal) -> Decimal:
    """Return what a delivered contract is worth per share at a level; negative out of the money."""
    return contract.right * (level - contract.strike)


def pair_deliveries(ledger: ExecutionLedger, parts: Mapping[str, Sequence[Part]]) -> None:
    """Take up the stock rows that belong to assignments and exercises booked here.

    They pair by their group, else by day, price and direction. A row that isn't posted yet is not
    waited for: the strike and the size of a contract say what it will say, and the cash invariant
    asks for it.
    """
    for row, part in (one for some in parts.values() for one in some):
        contract = option_of(row.symbol)
        if row.kind not in DELIVERING or contract is None:
            continue
        wanted = contract.right * -part * SHARES_PER_CONTRACT
        for stock in ledger.activities():
            if not wanted:
                break
            if not _belongs(stock, row, contract) or stock.left * wanted <= 0:
                continue
            some = min(abs(wanted), abs(stock.left)) * (1 if wanted > 0 else -1)
            ledger.book_activity(stock.id, some)
            wanted -= some


def _belongs(stock: KnownActivity, row: KnownActivity, contract: OptionContract) -> bool:
    if stock.kind != DELIVERED or stock.symbol != contract.underlying:
        return False
    if stock.group_id and row.group_id:
        return stock.group_id == row.group_id
    return stock.day == row.day and stock.price == contract.strike
