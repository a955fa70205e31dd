"""The card of a recommendation: enough to decide in ten seconds, then what became of it."""

from dataclasses import dataclass
from decimal import Decimal

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import (
    Button,
    ButtonStyle,
    Colour,
    Embed,
    Field,
    Message,
)
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import (
    DASH,
    legs_in_words,
    new_york,
    percent,
    plural,
    points,
    short_day,
    spelled,
    structure_line,
    usd,
)
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.execution.ledger import OrderRecord
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import dollars

PAYOFF_PICTURE = "payoff.png"
THESIS_LENGTH = 420
OPINION_LENGTH = 280
RISKS_SHOWN = 3
RISK_LENGTH = 140

_COLOURS = {
    RecommendationStatus.PENDING: Colour.WAITING,
    RecommendationStatus.APPROVED: Colour.WAITING,
    RecommendationStatus.EXECUTING: Colour.WAITING,
    RecommendationStatus.EXECUTED: Colour.GOOD,
    RecommendationStatus.FAILED: Colour.BAD,
}


@dataclass(frozen=True, slots=True)
class Yes:
    """One person's approval where more than one is needed."""

    by: str
    said: str


@dataclass(frozen=True, slots=True)
class CardState:
    """Everything the card of a recommendation shows, as the ledger has it.

    `approvals` are the yeses so far of `approvals_needed`; `orders` the opening orders, oldest
    first; `offered_as` the id under which it is offered anew, where it lapsed.
    """

    stored: StoredRecommendation
    orders: tuple[OrderRecord, ...] = ()
    trade: Trade | None = None
    approvals: tuple[Yes, ...] = ()
    approvals_needed: int = 1
    offered_as: str = ""


def recommendation_card(state: CardState) -> Message:
    """Show a recommendation: the trade, its odds, the account's heat, the thesis, its end.

    A pending one has its buttons; a decided one says who and when, then what became of the order.
    The same state gives the same card, whatever the time.
    """
    shown, status = state.stored.recommendation, state.stored.status
    embed = Embed(
        title=f"{structure_line(shown.structure)} ({plural(shown.dte, 'day')})",
        description="\n".join([*_headline(shown), "", *_odds(shown)]),
        colour=_COLOURS.get(status, Colour.QUIET),
        fields=(*_facts(shown), *_words(shown), Field("State", _state(state), inline=False)),
        footer=f"{shown.id} · quotes {shown.snapshot_hash[:8]} · {shown.account_id}",
        picture=PAYOFF_PICTURE,
        at=shown.created_at,
    )
    rows = (_buttons(shown),) if status is RecommendationStatus.PENDING else ()
    return Message(embeds=(embed,), rows=rows)


def _headline(shown: Recommendation) -> list[str]:
    size = plural(shown.contracts, "contract")
    return [
        f"**{legs_in_words(shown.structure).capitalize()}** · {size}",
        f"**{_credit_name(shown)} {shown.target_credit}**, not below {shown.floor_credit}",
        f"{usd(shown.max_profit_usd)} to win, **{usd(shown.max_loss_usd)} to lose**",
    ]


def _credit_name(shown: Recommendation) -> str:
    """The band of a roll is net of what closing the old trade costs."""
    return "Credit" if shown.rolls is None else f"Roll of {shown.rolls}: net credit"


def _odds(shown: Recommendation) -> list[str]:
    at = ", ".join(f"{point.normalize():f}" for point in shown.breakevens) or DASH
    spot = f"{shown.underlying} at {shown.underlying_price.normalize():f}"
    probability, reward = percent(shown.probability_of_profit), percent(shown.return_on_risk)
    return [
        f"Probability of profit **{probability}** · return on risk **{reward}**",
        f"Breakeven {at} · {spot}",
    ]


def _facts(shown: Recommendation) -> tuple[Field, ...]:
    stop = f"{shown.stop_debit}" if shown.stop_reachable else "none within the width"
    return (
        Field(
            "Volatility",
            f"IV rank {points(shown.iv_rank)} · percentile {points(shown.iv_percentile)}\n"
            f"{plain(spelled(shown.iv_rank_basis))}",
        ),
        Field("Greeks", _greeks(shown)),
        Field("Account heat", _heat(shown)),
        Field(
            "Exits",
            f"profit at {shown.profit_target_debit} · stop at {stop}\n"
            f"out by {short_day(shown.exit_by)}",
        ),
        Field("Liquidity", _liquidity(shown), inline=False),
    )


def _greeks(shown: Recommendation) -> str:
    """Of the whole position: delta in shares, theta and vega in dollars."""

    def position(per_share: float) -> Decimal:
        return dollars(Decimal(str(per_share)), shown.contracts)

    return (
        f"Δ {float(position(shown.net_delta)):+.0f} shares · "
        f"Θ {float(position(shown.net_theta_per_day)):+,.2f} $ a day\n"
        f"vega {float(position(shown.net_vega)):+,.2f} $ a point"
    )


def _heat(shown: Recommendation) -> str:
    """Share of equity at risk before and after; the gates hold it with this trade in it."""
    gates = {row["code"]: row for row in shown.gates}
    heat, trade = gates.get("portfolio_heat"), gates.get("per_trade")
    if heat is None or trade is None or not heat["value"] or not trade["value"]:
        return DASH
    after = Decimal(heat["value"])
    before = max(Decimal(0), after - Decimal(trade["value"]))
    return (
        f"{percent(before, digits=1)} → **{percent(after, digits=1)}**\n"
        f"of at most {percent(Decimal(heat['limit']))}"
    )


def _liquidity(shown: Recommendation) -> str:
    lines = []
    for quote in shown.quotes:
        contract = parse_occ(quote.symbol)
        kind = "call" if contract.right > 0 else "put"
        interest = DASH if quote.open_interest is None else f"{quote.open_interest:,}"
        volume = DASH if quote.volume is None else f"{quote.volume:,}"
        lines.append(
            f"{contract.strike.normalize():f} {kind}: {quote.bid} / {quote.ask} · "
            f"OI {interest} · volume {volume} · IV {percent(quote.implied_volatility)}"
        )
    lines.append(f"quoted {moment_with_countdown(shown.created_at)}")
    return "\n".join(lines)


def _words(shown: Recommendation) -> tuple[Field, ...]:
    risks = [f"- {cut(plain(risk), RISK_LENGTH)}" for risk in shown.risks[:RISKS_SHOWN]]
    author = f"Thesis · {plain(shown.analyst)}, confidence {percent(shown.confidence)}"
    fields = [Field(author, cut(plain(shown.thesis), THESIS_LENGTH), inline=False)]
    if risks:
        fields.append(Field("Risks", "\n".join(risks), inline=False))
    if shown.second_opinion:
        opinion = cut(plain(shown.second_opinion), OPINION_LENGTH)
        fields.append(Field("The rules say", opinion, inline=False))
    return tuple(fields)


def _state(state: CardState) -> str:
    shown, status = state.stored.recommendation, state.stored.status
    lines = [*_decision(state), *_outcome(state)]
    if status is RecommendationStatus.PENDING:
        lines.append(f"waits for an answer, expires {moment_with_countdown(shown.expires_at)}")
    if state.offered_as:
        lines.append(f"offered anew as `{state.offered_as}`")
    return "\n".join(lines) or spelled(status)


def _decision(state: CardState) -> list[str]:
    decision = state.stored.decision
    if decision is None:
        needed = state.approvals_needed
        return [
            f"approval {number} of {needed} by {who(yes.by)}, {yes.said}"
            for number, yes in enumerate(state.approvals, start=1)
            if needed > 1
        ]
    said = "approved" if decision.verdict == "approve" else "rejected"
    reason = f": {cut(plain(decision.reason), RISK_LENGTH)}" if decision.reason else ""
    return [f"**{said}** by {who(decision.decided_by)} at {new_york(decision.decided_at)}{reason}"]


def who(by: str) -> str:
    """Name who decided; a person of this chat by their name there, without pinging them."""
    door, _, name = by.partition(":")
    return f"<@{name}>" if door == "discord" and name.isdigit() else plain(by)


def _outcome(state: CardState) -> list[str]:
    stored, trade = state.stored, state.trade
    if trade is not None:
        filled = f"**filled** {plural(trade.contracts, 'contract')} at {trade.entry_credit}"
        return [f"{filled}, {new_york(trade.entry_time)} · trade `{trade.id}`"]
    if stored.status is RecommendationStatus.EXECUTING and state.orders:
        order = state.orders[-1]
        asked = "" if order.limit_price is None else f" at {abs(order.limit_price)}"
        return [f"order {spelled(order.status)}{asked}, attempt {len(state.orders)}"]
    if stored.status in (
        RecommendationStatus.LAPSED,
        RecommendationStatus.FAILED,
        RecommendationStatus.EXPIRED,
    ):
        reason = f": {plain(spelled(stored.status_reason))}" if stored.status_reason else ""
        return [f"**{stored.status}**{reason}"]
    return []


def _buttons(shown: Recommendation) -> tuple[Button, ...]:
    def button(action: Action, label: str, style: ButtonStyle, emoji: str) -> Button:
        custom_id = CustomId(action, shown.account_id, shown.id)
        return Button(str(custom_id), label, style, emoji)

    return (
        button(Action.APPROVE, "Approve", ButtonStyle.SUCCESS, "✅"),
        button(Action.REJECT, "Reject", ButtonStyle.DANGER, "❌"),
        button(Action.EDIT, "Edit", ButtonStyle.SECONDARY, "✏️"),
        button(Action.DETAILS, "Details", ButtonStyle.SECONDARY, "🔎"),
    )
