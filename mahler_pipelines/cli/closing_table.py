"""The table at the end of a run: what was proposed, decided, filled, closed, and earned."""

from decimal import Decimal
from typing import Any

from mahler_pipelines.cli.terminal import console, counted, show_table, whole_dollars
from mahler_pipelines.cli.wording import describe_legs, spelled

COLUMNS = [
    "scan",
    "structure",
    "x",
    "credit",
    "max loss",
    "PoP",
    "decision",
    "fill",
    "exit",
    "outcome",
    "P/L $",
]
_SAID = {"approve": "approved", "reject": "rejected"}


def show_closing_table(report: dict[str, Any]) -> None:
    """Print recommendations with their trades, then the day's and the run's totals."""
    trades = {trade["recommendation_id"]: trade for trade in report["trades"]}
    shown = report["recommendations"]
    show_table(
        f"{report['book']}: {counted(len(shown), 'recommendation')}",
        COLUMNS,
        [_row(row, trades.get(row["id"])) for row in shown],
        only_wide=("scan", "decision"),
        wrapped=("outcome",),
    )
    _totals(report)


def _row(shown: dict[str, Any], trade: dict[str, Any] | None) -> list[object]:
    decision = shown["decision"]
    return [
        f"{shown['session'][5:]} {shown['scan']}",
        describe_legs(shown["strategy"], [leg["symbol"] for leg in shown["legs"]]),
        trade["contracts"] if trade else shown["contracts"],
        shown["target_credit"],
        whole_dollars(shown["max_loss_usd"]),
        f"{shown['probability_of_profit']:.0%}",
        _SAID[decision["verdict"]] if decision else None,
        trade["entry_credit"] if trade else None,
        trade["exit_debit"] if trade else None,
        _outcome(shown, trade),
        whole_dollars(trade["pnl"]) if trade else None,
    ]


def _outcome(shown: dict[str, Any], trade: dict[str, Any] | None) -> str:
    """What became of it: how the trade ended, or why there is none."""
    if trade is not None:
        return spelled(trade["exit_reason"] or trade["status"])
    reason = shown["status_reason"]
    return f"{shown['status']}: {spelled(reason)}" if reason else str(shown["status"])


def _totals(report: dict[str, Any]) -> None:
    considered = sum(scan["considered"] for scan in report["scans"])
    kept = sum(scan["kept"] for scan in report["scans"])
    closed = [trade for trade in report["trades"] if trade["pnl"] is not None]
    pnl = sum((Decimal(trade["pnl"]) for trade in closed), Decimal(0))
    console.print(
        f"{counted(len(report['scans']), 'scan')} considered {considered:,} pairs and kept {kept:,}"
    )
    last = report["performance"][-1] if report["performance"] else None
    console.print(
        f"{counted(len(report['trades']), 'trade')}, {len(closed)} closed for {pnl:+,.2f} USD"
        + (f"; equity {Decimal(last['equity']):,.2f} USD" if last else "")
    )
    for reflection in report["reflections"][-3:]:
        console.print(f"  reflection: {reflection['text']}", markup=False)
    for rule in report["playbook_rules"][-2:]:
        console.print(f"  proposed rule: {rule['text']}", markup=False)
