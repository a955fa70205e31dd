"""The end-of-day summary: the result, the equity curve, and what is carried into the next day."""

from collections.abc import Sequence

from mahler_pipelines.cards.message import Colour, Embed, Field, Message, Picture
from mahler_pipelines.cards.reports import positions_table, short_usd, table
from mahler_pipelines.cards.wording import (
    DASH,
    percent,
    plural,
    short_day,
    signed_usd,
    spelled,
    usd,
)
from mahler_pipelines.pictures.gallery import equity_png
from mahler_pipelines.review.day_summary import DaySummary
from mahler_pipelines.review.performance import DailyPerformance

EQUITY_PICTURE = "equity.png"
CLOSED_SHOWN = 10


def day_summary(
    told: DaySummary, history: Sequence[DailyPerformance], *, account_id: str
) -> Message:
    """Tell what a session came to; `history` are the daily rows up to it, oldest first."""
    png = equity_png(history)
    embed = Embed(
        title=f"{told.session:%a} {short_day(told.session)} · {signed_usd(told.day_pnl)}",
        description="\n".join([*_headline(told), *_closed(told), positions_table(told.positions)]),
        colour=_colour(told),
        fields=(
            Field("Trades", _trades(told)),
            Field("Heat", _heat(told)),
            Field("Buying power", _power(told)),
            Field("Drawdown", usd(told.drawdown)),
        ),
        footer=account_id,
        picture="" if png is None else EQUITY_PICTURE,
    )
    if png is None:
        return Message(embeds=(embed,))
    said = f"Equity over {plural(len(history), 'session')}, now {usd(told.equity)}"
    return Message(embeds=(embed,), pictures=(Picture(EQUITY_PICTURE, png, said),))


def _colour(told: DaySummary) -> Colour:
    if told.day_pnl == 0:
        return Colour.QUIET
    return Colour.GOOD if told.day_pnl > 0 else Colour.BAD


def _headline(told: DaySummary) -> list[str]:
    before = told.equity - told.day_pnl
    share = f" ({percent(told.day_pnl / before, digits=2)})" if before > 0 else ""
    realised, unrealised = signed_usd(told.realised_pnl), signed_usd(told.unrealised_pnl)
    lines = [
        f"Equity **{usd(told.equity)}**, {signed_usd(told.day_pnl)}{share}",
        f"realised {realised} · unrealised {unrealised} · fees {usd(told.fees)}",
    ]
    if told.trading_state != "active":
        lines.append(f"the desk is **{told.trading_state}**")
    return lines


def _closed(told: DaySummary) -> list[str]:
    if not told.closed:
        return []
    rows = [
        f"{one.name[:17]:<17} {spelled(one.reason)[:7]:<7} {short_usd(one.pnl_usd):>8}"
        for one in told.closed[:CLOSED_SHOWN]
    ]
    more = len(told.closed) - CLOSED_SHOWN
    if more > 0:
        rows.append(f"and {more} more")
    return ["Closed", table(rows), "Open"]


def _trades(told: DaySummary) -> str:
    lost = f"{told.losses} lost"
    return f"{told.trades_opened} opened, {told.trades_closed} closed\n{told.wins} won, {lost}"


def _heat(told: DaySummary) -> str:
    of = f" of {percent(told.heat_limit)}"
    return f"{percent(told.heat, digits=1)}{of}\n{usd(told.heat_usd)}"


def _power(told: DaySummary) -> str:
    return DASH if told.options_buying_power is None else usd(told.options_buying_power)
