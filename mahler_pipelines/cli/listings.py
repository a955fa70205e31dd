"""Commands that show: recommendations, positions, trades, explain, status, settings, doctor."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.context import load_desk, load_settings
from mahler_pipelines.cli.doctoring import Finding, examine
from mahler_pipelines.cli.explaining import explain_subject
from mahler_pipelines.cli.run_report import recommendation_row, trade_row
from mahler_pipelines.cli.terminal import show_json, show_table
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable, MahlerError
from mahler_pipelines.execution.trades import TradeStatus

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def recommendations(
    status: Annotated[
        RecommendationStatus | None, typer.Option(help="Only those in this state.")
    ] = None,
    market: Market = None,
    json_: AsJson = False,
) -> None:
    """List recommendations, newest last."""
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        found = book.recommendations(statuses=[status] if status else None)
    if json_:
        show_json([recommendation_row(stored) for stored in found])
        return
    show_table(
        f"Recommendations of {desk.paths.book}",
        [
            "id",
            "scan",
            "structure",
            "x",
            "credit",
            "floor",
            "max loss $",
            "PoP",
            "DTE",
            "status",
            "",
        ],
        [
            [
                shown.id,
                f"{shown.session} {shown.scan}",
                describe_structure(stored.recommendation.structure),
                shown.contracts,
                shown.target_credit,
                shown.floor_credit,
                shown.max_loss_usd,
                f"{shown.probability_of_profit:.0%}",
                shown.dte,
                stored.status.value,
                stored.status_reason,
            ]
            for stored in found
            for shown in [stored.recommendation]
        ],
    )


def positions(market: Market = None, json_: AsJson = False) -> None:
    """List open trades with their last mark."""
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        open_trades = book.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
        marks = {mark.trade_id: mark for mark in book.marks()}
    rows = [(trade, marks.get(trade.id)) for trade in open_trades]
    if json_:
        show_json(
            [{**trade_row(trade), "mark": asdict(mark) if mark else None} for trade, mark in rows]
        )
        return
    show_table(
        f"Open positions of {desk.paths.book}",
        ["trade", "structure", "x", "credit", "to close", "unrealised $", "DTE", "marked at", ""],
        [
            [
                trade.id,
                describe_structure(trade.structure),
                trade.contracts,
                trade.entry_credit,
                mark.cost_to_close if mark else None,
                mark.unrealised_pnl_usd if mark else None,
                mark.dte if mark else None,
                f"{mark.marked_at:%Y-%m-%d %H:%M}" if mark else None,
                mark.problem if mark else "",
            ]
            for trade, mark in rows
        ],
    )


def trades(market: Market = None, json_: AsJson = False) -> None:
    """List every trade with its exit and P/L."""
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        found = book.trades()
    if json_:
        show_json([trade_row(trade) for trade in found])
        return
    show_table(
        f"Trades of {desk.paths.book}",
        ["trade", "structure", "x", "entered", "credit", "exited", "debit", "why", "P/L $"],
        [
            [
                trade.id,
                describe_structure(trade.structure),
                trade.contracts,
                f"{trade.entry_time:%Y-%m-%d %H:%M}",
                trade.entry_credit,
                f"{trade.exit_time:%Y-%m-%d %H:%M}" if trade.exit_time else trade.status.value,
                trade.exit_debit,
                trade.exit_reason.value if trade.exit_reason else None,
                trade.pnl_usd,
            ]
            for trade in found
        ],
    )


def explain(
    identifier: Annotated[str, typer.Argument(help="A recommendation, trade or order id.")],
    market: Market = None,
) -> None:
    """Show everything behind a recommendation, trade or order, down to the quotes."""
    show_json(explain_subject(load_desk(market=market), identifier))


def status(market: Market = None, json_: AsJson = False) -> None:
    """Show the state of the desk: clock, account, trading state, what waits."""
    desk = load_desk(market=market)
    account = desk.terms.account_id
    with desk.ledger.reading(account) as book:
        state, reason = book.trading_state()
        waiting = book.recommendations(statuses=[RecommendationStatus.PENDING])
        open_trades = book.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
        undelivered = book.outbox(undelivered_only=True)
    facts: dict[str, Any] = {
        "book": desk.paths.book,
        "mode": str(desk.settings.mode.value),
        "account": account,
        "trading_state": state.value,
        "reason": reason,
        "pending_recommendations": len(waiting),
        "open_trades": len(open_trades),
        "undelivered_messages": len(undelivered),
        **_broker_facts(desk),
    }
    if json_:
        show_json(facts)
        return
    show_table(f"{desk.paths.book}", ["", ""], facts.items())


def settings_(json_: AsJson = False, market: Market = None) -> None:
    """Show every setting, its value, and the layer it came from; secrets are masked."""
    rows = load_settings(market=market).describe()
    if json_:
        show_json([{"key": key, "value": value, "from": source} for key, value, source in rows])
        return
    show_table("Settings", ["setting", "value", "from"], rows)


def doctor(market: Market = None, json_: AsJson = False) -> None:
    """Check keys, connections, clock, calendar and storage; end with 1 when something is wrong."""
    findings = examine(load_settings(market=market))
    if json_:
        show_json([asdict(finding) for finding in findings])
    else:
        show_table("Doctor", ["check", "result", "detail"], [_finding(found) for found in findings])
    if not all(finding.passed for finding in findings):
        raise MahlerError("something is wrong: see the table above")


def describe_structure(structure: Any) -> str:
    """A structure in one line: underlying, expiration, strikes, right."""
    strikes = "/".join(f"{leg.contract.strike.normalize():f}" for leg in structure.legs)
    right = structure.legs[0].contract.right.letter
    name = structure.strategy.replace("_", " ")
    return f"{structure.underlying} {structure.expiration:%d %b %y} {strikes} {right} {name}"


def _finding(finding: Finding) -> list[str]:
    return [finding.check, "ok" if finding.passed else "WRONG", finding.detail]


def _broker_facts(desk: Any) -> dict[str, Any]:
    try:
        clock, money = desk.broker.clock(), desk.broker.account()
    except BrokerUnavailable as error:
        return {"broker": f"not reachable: {error}"}
    return {
        "clock": clock.now.isoformat(),
        "market_open": clock.is_open,
        "equity": money.equity,
        "options_buying_power": money.options_buying_power,
    }
