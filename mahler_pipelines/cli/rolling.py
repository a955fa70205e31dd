"""The command that proposes a roll: an open spread moved to a later expiration."""

from datetime import date, datetime
from typing import Annotated

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.repairing import execution_desk
from mahler_pipelines.cli.terminal import console, show_json
from mahler_pipelines.errors import MahlerError

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]


class RollRefused(MahlerError):
    """The roll could not be offered; the message says why."""


def roll(
    trade_id: Annotated[str, typer.Argument(help="The open trade's id, as listed.")],
    to: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Expiration to roll to; else the next listed."),
    ] = None,
    market: Market = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False,
) -> None:
    """Propose to roll an open spread to a later expiration; a person approves it like any other."""
    from mahler_pipelines.execution.roll_offers import offer_roll
    from mahler_pipelines.review.rows import recommendation_row
    from mahler_pipelines.risk.gates import gate_refusals

    composed = load_desk(market=market)
    proposal = offer_roll(
        trade_id,
        desk=execution_desk(composed),
        terms=composed.terms,
        reference=composed.reference_lake,
        to=_day(to),
    )
    if proposal.recommendation is None:
        failed = "; ".join(str(refusal) for refusal in gate_refusals(proposal.gates))
        raise RollRefused(f"{trade_id}: {failed or proposal.refusal}")
    with composed.ledger.reading(composed.terms.account_id) as book:
        stored = book.recommendation(proposal.recommendation.id)
    if json_ and stored is not None:
        show_json(recommendation_row(stored))
        return
    console.print(f"{proposal.recommendation.id}: {proposal.recommendation.thesis}")


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
