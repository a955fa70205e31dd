"""Commands that show: recommendations, positions, trades, explain, status, settings, doctor."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.context import load_desk, load_settings
from mahler_pipelines.cli.doctoring import Finding, examine
from mahler_pipelines.cli.explanation_sheet import show_explanation
from mahler_pipelines.cli.terminal import show_json, show_table, whole_dollars
from mahler_pipelines.cli.wording import describe_structure, new_york, spelled
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.errors import BrokerUnavailable, MahlerError, MissingData
from mahler_pipelines.execution.halting import unacknowledged_halts
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.review.explaining import explain_subject
from mahler_pipelines.review.ledger import Ledger
from mahler_pipelines.review.rows import recommendation_row, trade_row, trade_rows

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]
RECOMMENDATION_COLUMNS = [
    *("id", "structure", "x", "credit", "floor", "max loss", "PoP", "DTE", "status", "because")
]
POSITION_COLUMNS = [
    *("trade", "structure", "x", "credit", "to close", "P/L $", "DTE", "marked (New York)"),
    "beware",
]
TRADE_COLUMNS = [
    *("trade", "structure", "x", "entered", "credit", "exited", "debit", "outcome", "P/L $"),
    "slipped $",
]
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
        RECOMMENDATION_COLUMNS,
        [_recommendation(stored) for stored in found],
        only_wide=("floor", "DTE", "because"),
        wrapped=("because",),
    )


def positions(market: Market = None, json_: AsJson = False) -> None:
    """List open trades with their last mark, and what the broker may do with them by itself."""
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
        POSITION_COLUMNS,
        [
            [
                trade.id,
                describe_structure(trade.structure),
                trade.contracts,
                trade.entry_credit,
                mark.cost_to_close if mark else None,
                whole_dollars(mark.unrealised_pnl_usd) if mark else None,
                mark.dte if mark else None,
                new_york(mark.marked_at) if mark else None,
                "; ".join(filter(None, (mark.problem, mark.warning))) if mark else "",
            ]
            for trade, mark in rows
        ],
        only_wide=("marked (New York)",),
        wrapped=("beware",),
    )


def trades(market: Market = None, json_: AsJson = False) -> None:
    """List every trade with its exit and P/L."""
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        found = book.trades()
        rows = trade_rows(book, found)
    if json_:
        show_json(rows)
        return
    show_table(
        f"Trades of {desk.paths.book}, times of New York",
        TRADE_COLUMNS,
        [
            [
                trade.id,
                describe_structure(trade.structure),
                trade.contracts,
                new_york(trade.entry_time),
                trade.entry_credit,
                new_york(trade.exit_time) if trade.exit_time else None,
                trade.exit_debit,
                spelled((trade.exit_reason or trade.status).value),
                whole_dollars(trade.pnl_usd),
                _slippage(row),
            ]
            for trade, row in zip(found, rows, strict=True)
        ],
        only_wide=("entered", "exited", "slipped $"),
    )


def explain(
    identifier: Annotated[
        str,
        typer.Argument(help="A recommendation, trade, order, fill or finding."),
    ],
    market: Market = None,
    json_: AsJson = False,
) -> None:
    """Show everything behind a recommendation, trade, order or fill, down to the quotes."""
    desk = load_desk(market=market)
    told = explain_subject(
        desk.ledger, desk.lake, account_id=desk.terms.account_id, identifier=identifier
    )
    if told is None:
        raise MissingData(f"nothing in {desk.paths.book} is called {identifier}")
    if json_:
        show_json(told)
        return
    show_explanation(told)


def status(market: Market = None, json_: AsJson = False) -> None:
    """Show the state of the desk: clock, account, trading state, what waits."""
    desk = load_desk(market=market)
    account = desk.terms.account_id
    with desk.ledger.reading(account) as book:
        state = _trading_state(book)
        waiting = book.recommendations(statuses=[RecommendationStatus.PENDING])
        open_trades = book.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
        undelivered = book.outbox(undelivered_only=True)
    facts: dict[str, Any] = {
        "book": desk.paths.book,
        "mode": str(desk.settings.mode.value),
        "account": account,
        **state,
        "pending_recommendations": len(waiting),
        "open_trades": len(open_trades),
        "undelivered_messages": len(undelivered),
        **_broker_facts(desk),
    }
    if json_:
        show_json(facts)
        return
    rows = [(spelled(name), _fact(fact)) for name, fact in facts.items() if fact not in ("", [])]
    show_table(f"{desk.paths.book}", ["", ""], rows)


def settings_(json_: AsJson = False, market: Market = None) -> None:
    """Show every setting, its value, and the layer it came from; secrets are masked."""
    rows = load_settings(market=market).describe()
    if json_:
        show_json([{"key": key, "value": value, "from": source} for key, value, source in rows])
        return
    shown = [(key, _setting(value), source) for key, value, source in rows]
    show_table("Settings", ["setting", "value", "from"], shown)


def doctor(market: Market = None, json_: AsJson = False) -> None:
    """Check keys, connections, clock, calendar and storage; end with 1 when something is wrong."""
    findings = examine(load_settings(market=market))
    if json_:
        show_json([asdict(finding) for finding in findings])
    else:
        show_table("Doctor", ["check", "result", "detail"], [_finding(found) for found in findings])
    if not all(finding.passed for finding in findings):
        wrong = [finding.check for finding in findings if not finding.passed]
        raise MahlerError(f"something is wrong: {', '.join(wrong)}")


def _slippage(row: dict[str, Any]) -> str | None:
    """Dollars that entry and exit together cost against the mid; None while one is not known."""
    parts = [row["entry_slippage"]] + ([row["exit_slippage"]] if row["exit_time"] else [])
    if any(part is None for part in parts):
        return None
    return whole_dollars(sum((Decimal(part) for part in parts), Decimal(0)))


def _recommendation(stored: StoredRecommendation) -> list[object]:
    shown = stored.recommendation
    return [
        shown.id,
        describe_structure(shown.structure),
        shown.contracts,
        shown.target_credit,
        shown.floor_credit,
        whole_dollars(shown.max_loss_usd),
        f"{shown.probability_of_profit:.0%}",
        shown.dte,
        stored.status.value,
        spelled(stored.status_reason)
        or (f"in place of {shown.requotes}" if shown.requotes else "")
        or (f"rolls {shown.rolls}" if shown.rolls else ""),
    ]


def _setting(value: object) -> str:
    """A value as one would write it in mahler.toml, lists without their brackets."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "off" if value is None else str(value)


def _finding(finding: Finding) -> list[str]:
    return [finding.check, "ok" if finding.passed else "WRONG", finding.detail]


def _trading_state(book: Ledger) -> dict[str, Any]:
    """The state, since when, by whom and why; and the causes that nobody has answered yet."""
    state, reason = book.trading_state()
    changes = [
        event
        for event in book.audit_events(subject=book.account_id)
        if event.kind == "trading_state_set"
    ]
    return {
        "trading_state": state.value,
        "since": changes[-1].at.isoformat() if changes else "",
        "changed_by": changes[-1].detail["by"] if changes else "",
        "reason": reason,
        "halts": [
            f"{halt.code} {halt.value}, limit {halt.limit} ({halt.cause}), {halt.at.isoformat()}"
            for halt in unacknowledged_halts(book)
        ],
    }


def _fact(value: object) -> object:
    return "\n".join(map(str, value)) if isinstance(value, list) else value


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
