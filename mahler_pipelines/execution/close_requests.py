"""Wishes to close a trade by hand: written by a person anywhere, acted upon by the next look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mahler_pipelines.execution.trades import Trade, TradeStatus


class CloseWish(StrEnum):
    """What a person answered to an exit alert."""

    CLOSE = "close"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """A person's answer to an exit alert, or a wish to close without one.

    A wish to close waits until a closing intent of its trade is written. A wish to keep waits for
    nobody: it is taken up as it is given, and withdraws a wish to close that waits.
    """

    trade_id: str
    wish: CloseWish
    requested_by: str
    door: str
    requested_at: datetime
    taken_at: datetime | None = None


class CloseRequests(Protocol):
    """The part of a transaction that keeps what people wished about open trades."""

    def request_close(self, request: CloseRequest) -> bool:
        """Record an answer; False when the same one waits, or was given this day already."""
        ...

    def close_requests(self, *, waiting_only: bool = False) -> tuple[CloseRequest, ...]:
        """Answers to exit alerts, oldest first."""
        ...

    def take_close_request(self, trade_id: str, *, at: datetime) -> bool:
        """Mark the waiting wish to close as taken up; False when there is none."""
        ...

    def trade(self, trade_id: str) -> Trade | None:
        """One trade."""
        ...


def wanted_closes(ledger: CloseRequests) -> frozenset[str]:
    """Trades that a person wants closed and nobody has begun to close for it."""
    return frozenset(
        request.trade_id
        for request in ledger.close_requests(waiting_only=True)
        if request.wish is CloseWish.CLOSE
    )


def end_answered(ledger: CloseRequests, *, at: datetime) -> tuple[str, ...]:
    """Take up wishes about trades that were closed meanwhile: there is nothing left to do."""
    over = []
    for trade_id in sorted(wanted_closes(ledger)):
        trade = ledger.trade(trade_id)
        if trade is None or trade.status is TradeStatus.CLOSED:
            ledger.take_close_request(trade_id, at=at)
            over.append(trade_id)
    return tuple(over)


def last_answer(
    requests: Sequence[CloseRequest], trade_id: str, *, since: datetime
) -> CloseRequest | None:
    """The last answer about a trade that was given at or after a moment, None without one."""
    given = [one for one in requests if one.trade_id == trade_id and one.requested_at >= since]
    return given[-1] if given else None
