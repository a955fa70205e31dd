"""The table at the end of a run: what was proposed, decided, filled, closed, and earned."""

from decimal import Decimal
from typing import Any

from mahler_pipelines.cli.terminal import console, show_table
from mahler_pipelines.options.contracts import parse_occ

COLUMNS = [
    "scan",
    "structure",
    "x",
    "credit",
    "max loss $",
    "PoP",
    "decision",
    "fill",
    "exit",
    "why",
    "P/L $",
]


def show_closing_table(report: dict[str, Any]) -> None:
    """Print recommendations with their trades, then the day's and the run's totals."""
    trades = {trade["recommendation_id"]: trade for trade in report["trades"]}
    show_table(
        f"{report['book']}: {len(report['recommendations'])} recommendations",
        COLUMNS,
        [_row(shown, trades.get(shown["id"])) for shown in report["recommendations"]],
    )
    _totals(report)


def _row(shown: dict[str, Any], trade: dict[str, Any] | None) -> list[object]:
    decision = shown["decision"]
    return [
        f"{shown['session'][5:]} {shown['scan']}",
        _structure(shown),
        shown["contracts"],
        shown["target_credit"],
        shown["max_loss_usd"],
        f"{shown['probability_of_profit']:.0%}",
        decision["verdict"] if decision else shown["status"],
        trade["entry_credit"] if trade else shown["status_reason"] or shown["status"],
        trade["exit_debit"] if trade else None,
        (trade["exit_reason"] or trade["status"]) if trade else None,
        trade["pnl"] if trade else None,
    ]


def _structure(shown: dict[str, Any]) -> str:
    legs = [parse_occ(leg["symbol"]) for leg in shown["legs"]]
    strikes = "/".join(f"{leg.strike.normalize():f}" for leg in legs)
    name = shown["strategy"].replace("_spread", "").replace("_", " ")
    return f"{legs[0].root} {legs[0].expiration:%d%b} {strikes} {name}"


def _totals(report: dict[str, Any]) -> None:
    considered = sum(scan["considered"] for scan in report["scans"])
    kept = sum(scan["kept"] for scan in report["scans"])
    closed = [trade for trade in report["trades"] if trade["pnl"] is not None]
    pnl = sum((Decimal(trade["pnl"]) for trade in closed), Decimal(0))
    last = report["performance"][-1] if report["performance"] else None
    console.print(
        f"{len(report['scans'])} scans considered {considered:,} pairs and kept {kept:,}; "
        f"{len(report['trades'])} trades, {len(closed)} closed for ${pnl:,.2f}"
        + (f"; equity ${Decimal(last['equity']):,.2f}" if last else "")
    )
    for reflection in report["reflections"][-3:]:
        console.print(f"  reflection: {reflection['text']}")
    for rule in report["playbook_rules"][-2:]:
        console.print(f"  proposed rule: {rule['text']}")
