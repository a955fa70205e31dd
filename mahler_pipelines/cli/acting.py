"""Commands by which a person acts: approve, reject, close, halt, reduce, resume."""

import getpass
from typing import Annotated

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.terminal import console
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.ledger import DecisionLedger
from mahler_pipelines.decisions.recommendation import DecisionVerdict
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.execution.close_requests import CloseRequest, CloseWish
from mahler_pipelines.execution.halting import resume as resume_trading
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.messaging.approving import approve as approve_by_rule
from mahler_pipelines.risk.trading_state import TradingState

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]
Identifier = Annotated[str, typer.Argument(help="The recommendation's id, as listed.")]


class CloseRefused(MahlerError):
    """There is nothing to close; the message says why."""


class DecisionRefused(MahlerError):
    """The answer could not be recorded; the message says why."""


def approve(recommendation_id: Identifier, market: Market = None) -> None:
    """Approve a recommendation exactly as it was shown; the desk's sensor then sends the order."""
    desk = load_desk(market=market)
    now = desk.broker.clock().now
    with desk.ledger.transaction(desk.terms.account_id) as book:
        step = approve_by_rule(
            book,
            rule=desk.approval_rule,
            recommendation_id=recommendation_id,
            decided_by=getpass.getuser(),
            door="cli",
            at=now,
            shown_hash=_shown_hash(book, recommendation_id),
        )
    if step.result is not None and not step.recorded:
        raise DecisionRefused(f"{recommendation_id}: {step.message}")
    console.print(f"{recommendation_id}: {step.message}")


def reject(
    recommendation_id: Identifier,
    reason: Annotated[str, typer.Option(help="Why; the review reads it.")],
    market: Market = None,
) -> None:
    """Reject a recommendation, with the reason."""
    desk = load_desk(market=market)
    now = desk.broker.clock().now
    with desk.ledger.transaction(desk.terms.account_id) as book:
        result = decide(
            book,
            recommendation_id=recommendation_id,
            verdict=DecisionVerdict.REJECT,
            decided_by=getpass.getuser(),
            door="cli",
            at=now,
            reason=reason,
            shown_hash=_shown_hash(book, recommendation_id),
        )
    if result.outcome is not DecisionOutcome.RECORDED:
        raise DecisionRefused(f"{recommendation_id}: {result.message}")
    console.print(f"{recommendation_id}: {result.message}")


def close(
    trade_id: Annotated[str, typer.Argument(help="The trade's id, as listed.")],
    market: Market = None,
) -> None:
    """Close an open trade now, at what the market asks; the desk's next look sends the order."""
    desk = load_desk(market=market)
    now, account = desk.broker.clock().now, desk.terms.account_id
    with desk.ledger.transaction(account) as book:
        trade = book.trade(trade_id)
        if trade is None:
            raise CloseRefused(f"no trade {trade_id}")
        if trade.status is TradeStatus.CLOSED:
            raise CloseRefused(f"{trade_id} is closed already")
        request = CloseRequest(trade_id, CloseWish.CLOSE, getpass.getuser(), "cli", now)
        new = book.request_close(request)
    said = "is asked to be closed" if new else "is asked to be closed already"
    console.print(f"{trade_id} {said}", markup=False)


def halt(
    reason: Annotated[str, typer.Option(help="Why trading is halted.")], market: Market = None
) -> None:
    """Open nothing more. Closing goes on."""
    _set_state(load_desk(market=market), TradingState.HALTED, reason)


def reduce(
    reason: Annotated[str, typer.Option(help="Why risk is only reduced.")], market: Market = None
) -> None:
    """Only reduce risk from now on."""
    _set_state(load_desk(market=market), TradingState.REDUCING, reason)


def resume(
    reason: Annotated[str, typer.Option(help="Why trading may go on.")], market: Market = None
) -> None:
    """Open positions again: always a person's act, which accepts the causes of the halt."""
    desk = load_desk(market=market)
    now, account = desk.broker.clock().now, desk.terms.account_id
    with desk.ledger.transaction(account) as book:
        before, _ = book.trading_state()
        accepted = resume_trading(book, reason=reason, by=getpass.getuser(), at=now)
    console.print(f"{account}: {before} -> {TradingState.ACTIVE} ({reason})")
    for halt in accepted:
        console.print(f"accepted: {halt.code} {halt.value}, limit {halt.limit} ({halt.cause})")


def _shown_hash(book: DecisionLedger, recommendation_id: str) -> str | None:
    stored = book.recommendation(recommendation_id)
    return stored.recommendation.content_hash if stored else None


def _set_state(desk: ComposedDesk, state: TradingState, reason: str) -> None:
    now = desk.broker.clock().now
    with desk.ledger.transaction(desk.terms.account_id) as book:
        before, _ = book.trading_state()
        book.set_trading_state(state, reason=reason, by=getpass.getuser(), at=now)
    console.print(f"{desk.terms.account_id}: {before} -> {state} ({reason})")
