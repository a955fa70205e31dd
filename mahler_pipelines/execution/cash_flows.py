"""Cash flows: every dollar that the ledger knows to have moved, by the day it moved."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.execution.broker_history import ADOPTED, FEE, FILL
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.holdings import exact_dollars, option_of
from mahler_pipelines.execution.ledger import ExecutionLedger, FillRecord


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Dollars that came in (positive) or went out on a day, and when the ledger knew."""

    day: date
    usd: Decimal
    known_at: datetime
    what: str


def cash_flows(ledger: ExecutionLedger, *, fee_per_contract: Decimal) -> tuple[CashFlow, ...]:
    """Return our fills, whatever else the broker's history moved, and fees.

    Fees of a day are the broker's own FEE rows once they are posted, and until then
    `fee_per_contract` dollars for each contract that we filled on it.
    """
    flows = [
        CashFlow(session_of(fill.filled_at), fill_cash(fill), fill.filled_at, fill.symbol)
        for fill in ledger.fills()
    ]
    flows += [
        CashFlow(row.day, row.net_amount, row.seen_at, row.kind)
        for row in ledger.activities()
        if not (row.kind == FILL and row.ours) and row.kind not in (FEE, ADOPTED)
    ]
    return (*flows, *_fees(ledger, fee_per_contract))


def fill_cash(fill: FillRecord) -> Decimal:
    """Dollars that a fill moved: sold is positive."""
    sign = -1 if fill.side == "buy" else 1
    return exact_dollars(fill.symbol, fill.price, sign * fill.quantity)


def _fees(ledger: ExecutionLedger, per_contract: Decimal) -> list[CashFlow]:
    posted: dict[date, list[CashFlow]] = defaultdict(list)
    for row in ledger.activities():
        if row.kind == FEE:
            posted[row.day].append(CashFlow(row.day, row.net_amount, row.seen_at, FEE))
    flows = [flow for rows in posted.values() for flow in rows]
    for fill in ledger.fills():
        day = session_of(fill.filled_at)
        if per_contract and day not in posted and option_of(fill.symbol):
            flows.append(CashFlow(day, -per_contract * fill.quantity, fill.filled_at, FEE))
    return flows
