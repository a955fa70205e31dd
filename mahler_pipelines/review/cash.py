"""Cash: what the broker holds against every dollar that the ledger knows to have moved."""

from collections.abc import Sequence
from decimal import Decimal

from mahler_pipelines.execution.cash_flows import CashFlow
from mahler_pipelines.options.structures import CENT
from mahler_pipelines.review.performance import DailyPerformance


def cash_gap(flows: Sequence[CashFlow], history: Sequence[DailyPerformance]) -> Decimal | None:
    """Dollars of the broker's cash since the first row that no flow explains.

    Zero to the cent when ledger and broker agree; None without two rows to compare. `history` is
    oldest first, and a row stands for the end of its session. A settlement that the broker has
    booked and not yet reported shows here for a day.
    """
    if len(history) < 2:
        return None
    first, last = history[0], history[-1]
    moved = sum(
        (flow.usd for flow in flows if first.session < flow.day <= last.session), Decimal(0)
    )
    return ((last.cash - first.cash) - moved).quantize(CENT)
