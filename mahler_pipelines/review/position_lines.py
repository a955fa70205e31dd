"""Open trades in a line each, as reports to a person carry them."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.trades import PositionMark, Trade, TradeStatus
from mahler_pipelines.options.structures import Leg, Structure


class ReportPart(BaseModel):
    """A part of a report: frozen, and the same after a way through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """Read a report back from JSON; raise `CorruptData` when it is none."""
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            raise CorruptData(f"a stored {cls.__name__} cannot be read: {error}") from error


class PositionLine(ReportPart):
    """One open trade; `pnl_usd` is unrealised, of its last usable mark, None without one."""

    trade_id: str
    name: str
    contracts: int
    dte: int
    pnl_usd: Decimal | None
    warning: str


def position_lines(ledger: ExecutionLedger, *, session: date) -> tuple[PositionLine, ...]:
    """Every open trade with what its last mark says, oldest first; days to expiry from `session`.

    A mark that could not see the cost to close leaves the result of the one before it standing.
    """
    lines = []
    for trade in open_trades(ledger):
        marks = ledger.marks(trade_id=trade.id)
        lines.append(
            PositionLine(
                trade_id=trade.id,
                name=short_name(trade.structure),
                contracts=trade.contracts,
                dte=(trade.structure.expiration - session).days,
                pnl_usd=_last_result(marks),
                warning=marks[-1].warning if marks else "",
            )
        )
    return tuple(lines)


def open_trades(ledger: ExecutionLedger) -> tuple[Trade, ...]:
    """Trades that are open or closing, oldest first."""
    return ledger.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])


def short_name(structure: Structure) -> str:
    """A structure in a table: SPY 580/575P."""

    def right(leg: Leg) -> str:
        return "C" if leg.contract.right > 0 else "P"

    parts = [
        "/".join(f"{leg.contract.strike.normalize():f}" for leg in legs) + kind
        for kind, legs in groupby(structure.legs, key=right)
    ]
    return " ".join([structure.underlying, *parts])


def _last_result(marks: Sequence[PositionMark]) -> Decimal | None:
    seen = [mark.unrealised_pnl_usd for mark in marks if mark.unrealised_pnl_usd is not None]
    return seen[-1] if seen else None
