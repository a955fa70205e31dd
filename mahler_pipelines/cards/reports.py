"""What reports share: tables that fit a phone, positions in a line each, money at a glance."""

from collections.abc import Sequence
from decimal import Decimal

from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.review.position_lines import PositionLine

TABLE_WIDTH = 34
"""Characters of a code fence that a phone shows without breaking the line."""
ROWS_SHOWN = 12

_NAME, _SIZE, _DAYS, _MONEY = 17, 3, 3, 8


def table(rows: Sequence[str]) -> str:
    """Lines in a code fence, each cut to the width; nothing in them can end the fence."""
    kept = [row.replace("`", "'").replace("\n", " ")[:TABLE_WIDTH].rstrip() for row in rows]
    return "\n".join(["```", *kept, "```"])


def positions_table(positions: Sequence[PositionLine]) -> str:
    """Open trades: name, contracts, days to expiry, unrealised result; the sum at the end.

    Beyond `ROWS_SHOWN` the rest is counted; the sum is of all whose result is known.
    """
    if not positions:
        return "no open positions"
    rows = [_row("", "x", "DTE", "P/L")]
    shown = positions if len(positions) <= ROWS_SHOWN else positions[: ROWS_SHOWN - 1]
    rows += [
        _row(one.name, str(one.contracts), str(one.dte), short_usd(one.pnl_usd)) for one in shown
    ]
    if len(shown) < len(positions):
        rows.append(f"and {len(positions) - len(shown)} more")
    known = [one.pnl_usd for one in positions if one.pnl_usd is not None]
    if len(positions) > 1 and known:
        rows.append(_row("together", "", "", short_usd(sum(known, Decimal(0)))))
    return table(rows)


def short_usd(amount: Decimal | None) -> str:
    """Signed whole dollars in at most eight characters: +$1,250, -$12.4k; a dash if unknown."""
    if amount is None:
        return DASH
    sign = "-" if amount < 0 else "+"
    whole = f"{sign}${abs(amount):,.0f}"
    for size, letter in ((1_000, "k"), (1_000_000, "M"), (1_000_000_000, "B")):
        if len(whole) <= _MONEY:
            return whole
        whole = f"{sign}${abs(amount) / size:,.1f}{letter}"
    return whole


def _row(name: str, size: str, days: str, money: str) -> str:
    cut_name = name if len(name) <= _NAME else name[: _NAME - 1] + "…"
    return f"{cut_name:<{_NAME}} {size:>{_SIZE}} {days:>{_DAYS}} {money:>{_MONEY}}"
