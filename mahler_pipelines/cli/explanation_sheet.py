"""An explanation as a person reads it: section by section, from the decision down to the quotes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.markup import escape

from mahler_pipelines.cli.terminal import console, show_table, whole_dollars
from mahler_pipelines.cli.wording import describe_legs, new_york, spelled

_ELSEWHERE = frozenset(
    {"broker_order_id", "content_hash", "expected", "gates", "key", "shown_hash", "subject_id"}
)
"""Parts of events that have their own section, or say nothing to a person."""
HASH = 12
"""How much of a hash is shown; `--json` has all of it."""
LEG_ORDER = ("symbol", "side", "x", "price", "bid", "ask", "slippage", "snapshot")

Told = Mapping[str, Any]


def show_explanation(told: Told) -> None:
    """Print what `explain_subject` found."""
    asked, shown = told["asked"], told["recommendation"]
    console.print(f"[bold]{escape(asked['id'])}[/bold] is a {asked['is']}")
    if told["finding"]:
        _facts("Finding", _finding(told["finding"]))
    if shown is None:
        _orders(told["orders"])
        _history(told["history"])
        return
    _headline(shown)
    _decision(shown, told)
    _thesis(shown, told["thesis"])
    _candidate(told)
    _table("Gates when it was proposed", _GATE_COLUMNS, _gates(shown["gates"]))
    for asked in told["gates_asked_again"]:
        title = f"Gates when its order was written, {_moment(asked['at'])}"
        _table(title, _GATE_COLUMNS, _gates(asked["gates"]))
    _table("Quotes that were shown", _QUOTE_COLUMNS, _quotes(shown, told["quotes"]))
    _orders(told["orders"])
    _trades(told)
    _facts("Runs", [(name, " ".join(ids)) for name, ids in told["runs"].items() if ids])
    _table(
        "Snapshots", ("hash", "use"), [(row["snapshot"], row["use"]) for row in told["snapshots"]]
    )
    _history(told["history"])


def _headline(shown: Told) -> None:
    structure = describe_legs(shown["strategy"], [leg["symbol"] for leg in shown["legs"]])
    because = f" ({spelled(shown['status_reason'])})" if shown["status_reason"] else ""
    console.print(
        f"[bold]{structure} x{shown['contracts']}[/bold], {shown['id']}: "
        f"{shown['status']}{escape(because)}\n"
    )
    _facts(
        f"Shown {_moment(shown['created_at'])}, to be answered by {_moment(shown['expires_at'])}",
        [
            ("credit", f"{shown['target_credit']}, at least {shown['floor_credit']}"),
            ("natural credit", shown["natural_credit"]),
            ("underlying", f"{shown['underlying']} at {shown['underlying_price']}"),
            ("most to lose, to earn $", f"{shown['max_loss_usd']}, {shown['max_profit_usd']}"),
            ("breakeven", ", ".join(shown["breakevens"])),
            ("probability of profit", f"{shown['probability_of_profit']:.1%}"),
            ("IV rank, percentile", _rank(shown)),
            ("days to expiration", shown["dte"]),
            ("content", shown["content_hash"][:HASH]),
        ],
    )


def _rank(shown: Told) -> str:
    values = (shown["iv_rank"], shown["iv_percentile"])
    known = ", ".join("-" if value is None else f"{value:.0f}" for value in values)
    return f"{known} ({shown['iv_rank_basis']})"


def _decision(shown: Told, told: Told) -> None:
    decision = shown["decision"]
    rows = []
    if decision is not None:
        rows.append((decision["at"], decision["by"], decision["door"], decision["verdict"], "", ""))
        rows[0] = (*rows[0][:4], "recorded", decision["reason"])
    rows += [
        (row["at"], row["by"], row["door"], row["verdict"], row["outcome"], row["told"])
        for row in told["refused_answers"]
    ]
    _table(
        "Answers",
        ("New York", "who", "door", "answer", "outcome", "because"),
        [(_moment(at), *rest[:3], spelled(rest[3]), rest[4]) for at, *rest in rows],
        wrapped=("because",),
        nothing="nobody has answered",
    )
    if len(told["offers"]) > 1:
        _table(
            "Offered anew",
            ("id", "New York", "x", "credit", "floor", "underlying", "became", "because"),
            [_offer(row) for row in told["offers"]],
        )


def _offer(row: Told) -> tuple[object, ...]:
    return (
        *(row["id"], _moment(row["created_at"]), row["contracts"], row["target_credit"]),
        *(row["floor_credit"], row["underlying_price"], row["status"]),
        spelled(row["status_reason"]),
    )


def _thesis(shown: Told, words: Told) -> None:
    console.print(f"[bold]Thesis[/bold] ({shown['analyst']}, playbook {words['playbook_version']})")
    console.print(escape(shown["thesis"]))
    for risk in words["risks"]:
        console.print(f"  risk: {escape(risk)}")
    console.print(f"  confidence {words['confidence']:.0%}\n")


def _candidate(told: Told) -> None:
    own, rivals = told["candidate"], told["rivals"]
    if own is not None:
        count = told["candidates_of_underlying"]
        _table(
            f"Candidate and rivals: the best of {count:,} of this underlying",
            ("rank", "structure", "credit", "PoP", "on risk", "score", "because"),
            [_rival({**own, "because": "chosen"}), *(_rival(row) for row in rivals)],
        )
    if told["beside"]:
        _table(
            "Asked about beside it",
            ("underlying", "structure", "became", "because"),
            [
                (
                    *(row["underlying"], spelled(row["strategy"])),
                    *(row["recommendation_id"] or "refused", row["refusal"]),
                )
                for row in told["beside"]
            ],
            wrapped=("because",),
        )
    refused = told["refused_by_code"]
    if refused:
        rows = [(spelled(code), f"{count:,}") for code, count in refused.items()]
        _table("Pairs of this underlying that the screen refused", ("because", "pairs"), rows)


def _rival(row: Told) -> tuple[object, ...]:
    strikes = f"{row['short_strike']:g}/{row['long_strike']:g}"
    name = spelled(str(row["strategy"]).removesuffix("_spread"))
    return (
        *(row["rank"], f"{row['expiration']} {strikes} {name}", float(row["credit_mid"])),
        *(f"{row['probability_of_profit']:.0%}", f"{row['return_on_risk']:.0%}"),
        *(f"{row['score']:.3f}", row["because"]),
    )


def _gates(gates: Sequence[Told]) -> list[tuple[object, ...]]:
    return [
        (spelled(row["code"]), spelled(row["outcome"]), row["value"] or "-", row["limit"])
        for row in gates
    ]


_GATE_COLUMNS = ("gate", "outcome", "measured", "limit")
_QUOTE_COLUMNS = ("symbol", "bid", "ask", "IV", "delta", "volume", "open interest", "quoted")


def _quotes(shown: Told, kept: Sequence[Told]) -> list[tuple[object, ...]]:
    by_symbol = {row["symbol"]: row for row in shown["quotes"]}
    return [
        (
            row["symbol"],
            by_symbol[row["symbol"]]["bid"],
            by_symbol[row["symbol"]]["ask"],
            f"{by_symbol[row['symbol']]['implied_volatility']:.1%}",
            f"{by_symbol[row['symbol']]['delta']:.3f}",
            _count(row["volume"]),
            _count(row["open_interest"]),
            _moment(row["quote_time"]),
        )
        for row in kept
    ]


def _orders(orders: Sequence[Told]) -> None:
    _table(
        "Orders",
        ("order", "for", "New York", "x", "limit", "mid", "filled", "at", "status", "because"),
        [
            (
                *(order["client_order_id"], str(order["purpose"]), _moment(order["intended_at"])),
                *(order["quantity"], order["limit_price"], order["mid_at_submission"]),
                *(order["filled_quantity"], order["average_fill_price"], str(order["status"])),
                spelled(order["status_reason"]),
            )
            for order in orders
        ],
        nothing="no order was written",
    )
    fills = [fill for order in orders for fill in order["fills"]]
    if fills:
        _table("Fills", LEG_ORDER, [_fill(fill) for fill in fills])


def _fill(fill: Told) -> tuple[object, ...]:
    return (
        *(fill["symbol"], fill["side"], fill["quantity"], fill["price"], fill["bid"], fill["ask"]),
        *(fill.get("slippage"), (fill["snapshot"] or "-")[:HASH]),
    )


def _trades(told: Told) -> None:
    for trade in told["trades"]:
        marks = [mark for mark in told["marks"] if mark["trade_id"] == trade["id"]]
        rows: list[tuple[str, object]] = [
            ("opened", f"{_moment(trade['entry_time'])} for {trade['entry_credit']}"),
        ]
        if trade["exit_time"] is not None:
            reason = spelled(trade["exit_reason"] or "")
            rows.append(
                ("closed", f"{_moment(trade['exit_time'])} for {trade['exit_debit']}, {reason}")
            )
            rows.append(("earned $", f"{trade['pnl']}, after {trade['fees']} of fees"))
        elif marks:
            rows.append((f"last of {len(marks)} marks", _mark(marks[-1])))
        lessons = [row["text"] for row in told["reflections"] if row["trade_id"] == trade["id"]]
        rows += [("learned", text) for text in lessons]
        _facts(f"Trade {trade['id']}: {trade['contracts']} contracts, {trade['status']}", rows)


def _mark(mark: Told) -> str:
    earned = whole_dollars(mark["unrealised_pnl_usd"])
    return f"{new_york(mark['marked_at'])}: {mark['cost_to_close']} to close, {earned} $"


def _history(events: Sequence[Told]) -> None:
    _table(
        "History",
        ("New York", "what", "of", "detail"),
        [
            (new_york(row["at"]), spelled(row["kind"]), row["subject"], _detail(row["detail"]))
            for row in events
        ],
        wrapped=("detail",),
    )


def _detail(detail: Told) -> str:
    """The words of an event; what is in a section of its own is left to `--json`."""
    return ", ".join(
        f"{spelled(name)} {_plain(value)}"
        for name, value in detail.items()
        if name not in _ELSEWHERE and value not in ("", None)
    )


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _finding(finding: Told) -> list[tuple[str, object]]:
    return [
        ("kind", spelled(str(finding["kind"]))),
        ("of", finding["subject"]),
        ("expected, found", f"{finding['expected']}, {finding['found']}"),
        ("seen", f"{new_york(finding['first_seen'])} to {new_york(finding['last_seen'])}"),
        ("state", f"{finding['status']}, repair: {spelled(str(finding['repair']))}"),
        ("detail", _detail(finding["detail"])),
    ]


def _facts(title: str, rows: Iterable[tuple[str, object]]) -> None:
    show_table(title, ("", ""), list(rows))


def _table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    wrapped: Sequence[str] = (),
    nothing: str = "",
) -> None:
    if rows:
        show_table(title, columns, rows, wrapped=wrapped)
    elif nothing:
        console.print(f"[bold]{title}[/bold]\n  {nothing}\n")


def _moment(value: object) -> str:
    if value is None:
        return "-"
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return "-" if moment != moment else new_york(moment)


def _count(value: object) -> str:
    number = float(str(value))
    return "-" if number != number else f"{Decimal(number):,.0f}"
