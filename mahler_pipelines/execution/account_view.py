"""The account as the gates see it: the broker's money, the ledger's trades and working orders."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.drift import check as check_drift
from mahler_pipelines.decisions.recommendation import Recommendation, RecommendationStatus
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.booking import closing_fills
from mahler_pipelines.execution.broker import BrokerAccount, OrderStatus
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.fills import LIVE_STATUSES
from mahler_pipelines.execution.holdings import exposure_of_holding
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.submission import Moment
from mahler_pipelines.execution.trades import Trade, TradeStatus
from mahler_pipelines.execution.walks import opening_fills
from mahler_pipelines.options.structures import dollars
from mahler_pipelines.risk.exposure import Exposure, ExposureItem, exposure_of
from mahler_pipelines.risk.gates import AccountView, TradeRisk, evaluate, gate_refusals
from mahler_pipelines.strategies.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Released:
    """Units of a trade that a roll is to close: their risk ends when it fills."""

    trade_id: str
    units: int


def account_view(
    ledger: ExecutionLedger,
    account: BrokerAccount,
    *,
    at: datetime,
    besides: str | None = None,
    released: Released | None = None,
) -> AccountView:
    """Read what the gates need, inside the caller's transaction so that limits cannot race.

    `besides` is the recommendation that is asked about: at a later step of its walk neither its
    entry nor what it has filled counts against it, and the broker's buying power is taken as if it
    held nothing. The day's result is the broker's own: equity less the equity the day began with.
    What trades closed today earned is its realised part, the rest is unrealised. What is `released`
    neither counts as exposure nor ties up buying power.
    """
    session = session_of(at)
    state, _ = ledger.trading_state()
    realised = _realised_on(ledger, session)
    change = account.equity - account.last_equity
    return AccountView(
        equity=account.equity,
        last_equity=account.last_equity,
        options_buying_power=account.options_buying_power
        + _tied_up(ledger, besides)
        + _freed(ledger, released),
        trading_state=state,
        entries_today=ledger.entries_on(session, besides=besides),
        realised_pnl_today=realised,
        unrealised_pnl_today=change - realised,
        exposure=current_exposure(ledger, besides=besides, released=released),
        unknown_orders=unknown_orders(ledger),
    )


def unknown_orders(ledger: ExecutionLedger) -> dict[str, tuple[str, ...]]:
    """Underlying -> orders on it of which nobody knows what became, opening and closing alike.

    An order that is on its way and unanswered is one of them: its sender may be dead.
    """
    found: dict[str, tuple[str, ...]] = {}
    for order in ledger.orders(statuses=[OrderStatus.SUBMITTED, OrderStatus.UNKNOWN]):
        found[order.underlying] = (*found.get(order.underlying, ()), order.client_order_id)
    return found


def current_exposure(
    ledger: ExecutionLedger, *, besides: str | None = None, released: Released | None = None
) -> Exposure:
    """What open trades, openings at work (`besides` one recommendation's) and lots can lose.

    While a roll works, both the trade it closes and the one it opens count.
    """
    lots = map(exposure_of_holding, ledger.holdings())
    return Exposure((*_open(ledger, released), *_working(ledger, besides), *lots))


def still_to_roll(ledger: ExecutionLedger, shown: Recommendation) -> Released | None:
    """What a roll has left to close; None for what is no roll."""
    if shown.rolls is None:
        return None
    opened, _ = opening_fills(ledger, shown.id)
    return Released(shown.rolls, shown.contracts - opened)


GATES_ASKED = "gates_asked"
"""Kind of the event that keeps every gate's answer when an order was to be written."""


class GateRecheck:
    """Drift and gates asked once more, inside the transaction that writes the intent."""

    def __init__(self, terms: DeskTerms) -> None:
        self._terms = terms

    def __call__(
        self, ledger: ExecutionLedger, recommendation: Recommendation, moment: Moment, /
    ) -> tuple[Refusal, ...]:
        """Every reason not to send the order now; each gate's answer is kept with its numbers."""
        drifted = check_drift(
            recommendation,
            now=moment.now,
            underlying_price=moment.underlying_price,
            natural_credit=moment.natural_credit,
            terms=self._terms.approval,
        )
        results = evaluate(
            TradeRisk(
                underlying=recommendation.underlying,
                symbols=recommendation.structure.symbols,
                contracts=recommendation.contracts,
                max_loss_usd=recommendation.max_loss_usd,
            ),
            account_view(
                ledger,
                moment.account,
                at=moment.now,
                besides=recommendation.id,
                released=still_to_roll(ledger, recommendation),
            ),
            self._terms.risk,
        )
        asked = [result.as_row() for result in results]
        ledger.audit(GATES_ASKED, recommendation.id, {"gates": asked}, at=moment.now)
        failed = tuple(
            Refusal(
                LapseCode.GATE_FAILED,
                refusal.value,
                refusal.limit,
                {"gate": refusal.code.value} | refusal.context,
            )
            for refusal in gate_refusals(results)
        )
        return (*drifted, *failed)


def _realised_on(ledger: ExecutionLedger, session: date) -> Decimal:
    closed = ledger.trades(statuses=[TradeStatus.CLOSED])
    return sum(
        (
            trade.pnl_usd
            for trade in closed
            if trade.pnl_usd is not None
            and trade.exit_time is not None
            and session_of(trade.exit_time) == session
        ),
        Decimal(0),
    )


def _open(ledger: ExecutionLedger, released: Released | None) -> list[ExposureItem]:
    held = ledger.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
    counted = ((trade, _counted(ledger, trade, released)) for trade in held)
    return [
        exposure_of(trade.structure, contracts=units, entry_credit=trade.entry_credit)
        for trade, units in counted
        if units
    ]


def _counted(ledger: ExecutionLedger, trade: Trade, released: Released | None) -> int:
    """Units of a trade that count: all it was opened with, of a rolled one those that stay."""
    if released is None or trade.id != released.trade_id:
        return trade.contracts
    left = trade.contracts - closing_fills(ledger, trade)[0]
    return max(0, left - released.units)


def _freed(ledger: ExecutionLedger, released: Released | None) -> Decimal:
    """Dollars of buying power that come free when a roll closes its trade."""
    trade = ledger.trade(released.trade_id) if released else None
    if released is None or trade is None:
        return Decimal(0)
    return dollars(trade.structure.max_loss(trade.entry_credit), released.units)


def _working(ledger: ExecutionLedger, besides: str | None) -> list[ExposureItem]:
    """Openings that may still fill, an order of unknown outcome among them, each whole and once.

    Between two attempts of a walk nothing works at the broker, and the rest is still to come. Each
    counts at its floor, the least it can be filled for; an order without a limit as if it brought
    no credit at all. Raises `MissingData` for an order whose recommendation is gone: its risk would
    go uncounted.
    """
    working = ledger.orders(statuses=LIVE_STATUSES)
    live = [order for order in working if not order.purpose.reduces_risk]
    unlimited = {order.subject_id for order in live if order.limit_price is None}
    executing = ledger.recommendations(statuses=[RecommendationStatus.EXECUTING])
    subjects = [order.subject_id for order in live]
    subjects += [stored.recommendation.id for stored in executing]
    items = []
    for subject in dict.fromkeys(subjects):
        stored = ledger.recommendation(subject)
        if stored is None:
            raise MissingData(f"recommendation {subject} of an opening order")
        shown = stored.recommendation
        if shown.id == besides:
            continue
        items.append(
            exposure_of(
                shown.structure,
                contracts=shown.contracts,
                entry_credit=Decimal(0) if subject in unlimited else shown.entry_floor,
                working=True,
            )
        )
    return items


def _tied_up(ledger: ExecutionLedger, recommendation_id: str | None) -> Decimal:
    """Dollars of buying power that a recommendation's own fills hold already."""
    stored = ledger.recommendation(recommendation_id) if recommendation_id else None
    if stored is None:
        return Decimal(0)
    shown = stored.recommendation
    units, _ = opening_fills(ledger, shown.id)
    return shown.max_loss_usd * units / shown.contracts if units else Decimal(0)


def with_proposed(account: AccountView, shown: Recommendation) -> AccountView:
    """The account as if this recommendation were working: so that one scan's proposals add up."""
    item = exposure_of(
        shown.structure, contracts=shown.contracts, entry_credit=shown.floor_credit, working=True
    )
    return replace(
        account,
        entries_today=account.entries_today + 1,
        options_buying_power=None
        if account.options_buying_power is None
        else account.options_buying_power - shown.max_loss_usd,
        exposure=account.exposure.plus([item]),
    )
