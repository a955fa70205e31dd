"""Commands about differences from the broker: findings, repair, dismiss; the look at start-up."""

import getpass
import os
import socket
import time
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.terminal import console, show_json, show_table
from mahler_pipelines.cli.wording import new_york, spelled
from mahler_pipelines.composition import ComposedDesk
from mahler_pipelines.errors import BrokerError, MahlerError
from mahler_pipelines.execution.broker_books import FindingRecord, FindingStatus, Holding
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.expiry import settle_expired
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.reconciliation import reconcile, settle_working_orders
from mahler_pipelines.execution.repairs import dismiss as dismiss_finding
from mahler_pipelines.execution.repairs import repair as repair_finding
from mahler_pipelines.options.structures import CENT

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]
Identifier = Annotated[str, typer.Argument(help="The finding's id, as listed.")]
ONLY_OPEN = (FindingStatus.OPEN,)


class RepairNotDone(MahlerError):
    """The repair was not finished; the message says why."""


def findings(
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    market: Market = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List differences from the broker, each with its repair, and what is held outside trades."""
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        found = book.findings(statuses=None if every else ONLY_OPEN)
        lots = book.holdings(open_only=not every)
    if json_:
        rows = [asdict(row) for row in found]
        show_json({"findings": rows, "holdings": [asdict(lot) for lot in lots]})
        return
    show_table(
        f"Findings of {desk.paths.book}, times of New York",
        ["id", "kind", "subject", "expected", "found", "since", "status", "repair", "because"],
        [_finding(row) for row in found],
        only_wide=("since",),
        wrapped=("because",),
    )
    show_table(
        "Held outside trades",
        ["symbol", "quantity", "at", "from", "origin", "realised $"],
        [_holding(lot) for lot in lots],
    )


def repair(finding_id: Identifier, market: Market = None) -> None:
    """Put a finding right: adopt, cover, sweep or cancel, and check the four invariants."""
    desk = execution_desk(load_desk(market=market))
    settle_working_orders(desk)
    outcome = repair_finding(desk, finding_id, by=getpass.getuser())
    left = reconcile(desk, thorough=True)
    console.print(f"{finding_id}: {outcome.repair} {outcome.detail}")
    _print_open(left)
    if not outcome.done:
        raise RepairNotDone(f"{finding_id}: {outcome.repair} is not done: {outcome.detail}")


def dismiss(
    finding_id: Identifier,
    reason: Annotated[str, typer.Option(help="Why it may stay as it is.")],
    market: Market = None,
) -> None:
    """Accept a difference as it is; it comes back when its numbers change."""
    desk = load_desk(market=market)
    at = desk.broker.clock().now
    with desk.ledger.transaction(desk.terms.account_id) as book:
        dismiss_finding(book, finding_id, reason=reason, by=getpass.getuser(), at=at)
    console.print(f"{finding_id}: dismissed ({reason})")


def reconcile_on_start(desk: ComposedDesk) -> None:
    """Settle what an earlier process left and compare with the broker; say what differs.

    A broker that cannot be read stops nothing: the sensor goes on asking.
    """
    try:
        working = execution_desk(desk)
        settle_working_orders(working)
        settle_expired(working)
        left = reconcile(working, thorough=True)
    except BrokerError as error:
        console.print(f"not reconciled at start: {error}")
        return
    _print_open(left)


def execution_desk(desk: ComposedDesk) -> ExecutionDesk:
    """The working place of a command of a person."""
    terms = desk.terms
    return ExecutionDesk(
        account_id=terms.account_id,
        book=desk.ledger,
        broker=desk.broker,
        market_data=desk.market_data,
        lake=desk.lake,
        run_id="cli",
        holder=f"{socket.gethostname()}:{os.getpid()}:cli",
        sleep=time.sleep,
        dry_run=terms.dry_run,
        terms=ExecutionTerms(
            fee_per_contract_usd=terms.fee_per_contract, risk_free_rate=terms.risk_free_rate
        ),
    )


def _print_open(left: tuple[Finding, ...]) -> None:
    for finding in left:
        console.print(
            f"differs: {spelled(finding.kind.value)} {finding.subject} "
            f"expected {finding.expected}, found {finding.found} {finding.detail}".rstrip()
        )


def _finding(row: FindingRecord) -> list[object]:
    because: Any = row.detail.get("reason") or row.detail.get("why") or row.detail.get("origin", "")
    return [
        row.id,
        spelled(row.kind.value),
        row.subject,
        row.expected,
        row.found,
        new_york(row.first_seen),
        row.status.value,
        row.repair.value,
        because,
    ]


def _holding(lot: Holding) -> list[object]:
    return [
        lot.symbol,
        lot.quantity,
        lot.average_price.quantize(Decimal("0.0001")),
        lot.source.value,
        lot.origin,
        lot.realised_usd.quantize(CENT),
    ]
