"""The desk at a glance: its state, what is open, what waits, and what it earned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.custom_ids import CustomId
from mahler_pipelines.cards.message import (
    FIELD_COUNT_LIMIT,
    Button,
    ButtonStyle,
    Colour,
    Embed,
    Field,
    Message,
    Picture,
)
from mahler_pipelines.cards.reports import positions_table
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import (
    DASH,
    new_york,
    percent,
    plural,
    short_day,
    signed_usd,
    spelled,
    structure_line,
    usd,
)
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.review.performance import DailyPerformance, PerformanceSummary
from mahler_pipelines.review.position_lines import PositionLine
from mahler_pipelines.risk.trading_state import TradingState

REASON_LENGTH = 300
PENDING_SHOWN = 10
EQUITY_PICTURE = "equity.png"
_COLOURS = {TradingState.ACTIVE: Colour.GOOD, TradingState.REDUCING: Colour.WARNING}


@dataclass(frozen=True, slots=True)
class DeskState:
    """Everything `/status` shows; None for what nobody could tell.

    `market_open` and `market_at` are the broker's clock, `causes` what halted and was not accepted.
    """

    account_id: str
    mode: str
    state: TradingState
    reason: str
    causes: tuple[str, ...]
    open_trades: int
    pending: int
    last_scan: tuple[date, str] | None
    waiting_messages: int
    market_at: datetime | None
    market_open: bool | None


def status_message(desk: DeskState, *, resume: CustomId | None) -> Message:
    """Show the state of the desk; `resume` is there for who may open trades again."""
    why = [cut(plain(desk.reason), REASON_LENGTH)] if desk.reason else []
    why += [f"- {cut(plain(spelled(cause)), REASON_LENGTH)}" for cause in desk.causes[:5]]
    scan = DASH if desk.last_scan is None else f"{short_day(desk.last_scan[0])} {desk.last_scan[1]}"
    embed = Embed(
        title=f"The desk is {desk.state}",
        description="\n".join(why),
        colour=_COLOURS.get(desk.state, Colour.BAD),
        fields=(
            Field("Open", plural(desk.open_trades, "trade")),
            Field("Waiting for an answer", str(desk.pending)),
            Field("Last scan", scan),
            Field("Market", _market(desk)),
            Field("Messages on their way", str(desk.waiting_messages)),
        ),
        footer=f"{desk.account_id} · {desk.mode}",
    )
    button = () if resume is None else (Button(str(resume), "Resume", ButtonStyle.DANGER),)
    return Message(embeds=(embed,), rows=(button,) if button else ())


def _market(desk: DeskState) -> str:
    if desk.market_at is None:
        return "the broker is not reachable"
    return f"{'open' if desk.market_open else 'closed'}, {new_york(desk.market_at)}"


def positions_message(positions: Sequence[PositionLine], *, account_id: str) -> Message:
    """Show what is open, and what the broker may do with it by itself."""
    warned = [f"**{plain(one.name)}**: {plain(one.warning)}" for one in positions if one.warning]
    embed = Embed(
        title=f"Open positions: {len(positions)}",
        description="\n".join([positions_table(positions), *warned]),
        colour=Colour.WARNING if warned else Colour.QUIET,
        footer=account_id,
    )
    return Message(embeds=(embed,))


def pending_message(waiting: Sequence[Recommendation], *, account_id: str) -> Message:
    """Show what waits for an answer; its buttons are on its card."""
    fields = [
        Field(
            structure_line(one.structure),
            f"{plural(one.contracts, 'contract')} · credit {one.target_credit}, not below "
            f"{one.floor_credit} · {usd(one.max_loss_usd)} to lose\n"
            f"`{one.id}` expires {moment_with_countdown(one.expires_at)}",
            inline=False,
        )
        for one in waiting[: min(PENDING_SHOWN, FIELD_COUNT_LIMIT)]
    ]
    more = len(waiting) - len(fields)
    embed = Embed(
        title=f"Waiting for an answer: {len(waiting)}",
        description=f"and {more} more" if more > 0 else "",
        colour=Colour.WAITING if waiting else Colour.QUIET,
        fields=tuple(fields),
        footer=account_id,
    )
    return Message(embeds=(embed,))


def pnl_message(
    told: PerformanceSummary,
    history: Sequence[DailyPerformance],
    *,
    open_pnl_usd: Decimal | None,
    png: bytes | None,
    account_id: str,
) -> Message:
    """Show what was earned: closed trades, what is open, the equity curve."""
    factor = DASH if told.profit_factor is None else f"{told.profit_factor:.2f}"
    mean = DASH if told.expectancy_usd is None else signed_usd(told.expectancy_usd)
    sharpe = DASH if told.sharpe_ratio is None else f"{told.sharpe_ratio:.2f}"
    embed = Embed(
        title=f"Realised {signed_usd(told.realised_pnl_usd)}",
        description=_equity(history),
        colour=Colour.GOOD if told.realised_pnl_usd >= 0 else Colour.BAD,
        fields=(
            Field("Closed", f"{plural(told.trades, 'trade')}, {told.wins} won"),
            Field("Win rate", percent(told.win_rate)),
            Field("A trade", mean),
            Field("Profit factor", factor),
            Field("Open", DASH if open_pnl_usd is None else signed_usd(open_pnl_usd)),
            Field("Deepest drawdown", usd(told.max_drawdown_usd)),
            Field("Sharpe ratio", f"{sharpe}\n{told.caveat}", inline=False),
        ),
        footer=f"{account_id} · fees {usd(told.fees_usd)} within",
        picture="" if png is None else EQUITY_PICTURE,
    )
    if png is None:
        return Message(embeds=(embed,))
    said = f"Equity over {plural(len(history), 'session')}"
    return Message(embeds=(embed,), pictures=(Picture(EQUITY_PICTURE, png, said),))


def _equity(history: Sequence[DailyPerformance]) -> str:
    if not history:
        return "no session is reviewed yet"
    last = history[-1]
    return f"Equity **{usd(last.equity)}** after {short_day(last.session)}"
