"""The account as the gates see it: the broker's money, the ledger's trades and working orders."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.drift import check as check_drift
from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import MissingData
from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.desk import session_of
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.fills import LIVE_STATUSES
from mahler_pipelines.execution.ledger import ExecutionLedger, OrderPurpose
from mahler_pipelines.execution.submission import Moment
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.risk.exposure import Exposure, ExposureItem, exposure_of
from mahler_pipelines.risk.gates import AccountView, TradeRisk, evaluate, gate_refusals
from mahler_pipelines.strategies.refusals import Refusal


def account_view(ledger: ExecutionLedger, account: BrokerAccount, *, at: datetime) -> AccountView:
    """Read what the gates need, inside the caller's transaction so that limits cannot race.

    The day's result is the broker's own: equity less the equity the day began with. What trades
    closed today earned is its realised part, the rest is unrealised.
    """
    session = session_of(at)
    state, _ = ledger.trading_state()
    realised = _realised_on(ledger, session)
    change = account.equity - account.last_equity
    return AccountView(
        equity=account.equity,
        last_equity=account.last_equity,
        options_buying_power=account.options_buying_power,
        trading_state=state,
        entries_today=ledger.entries_on(session),
        realised_pnl_today=realised,
        unrealised_pnl_today=change - realised,
        exposure=current_exposure(ledger),
    )


def current_exposure(ledger: ExecutionLedger) -> Exposure:
    """What open trades and working opening orders can lose."""
    return Exposure((*_open(ledger), *_working(ledger)))


class GateRecheck:
    """Drift and gates asked once more, inside the transaction that writes the intent."""

    def __init__(self, terms: DeskTerms) -> None:
        self._terms = terms

    def __call__(
        self, ledger: ExecutionLedger, recommendation: Recommendation, moment: Moment, /
    ) -> tuple[Refusal, ...]:
        """Every reason not to send the order now."""
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
            account_view(ledger, moment.account, at=moment.now),
            self._terms.risk,
        )
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


def _open(ledger: ExecutionLedger) -> list[ExposureItem]:
    held = ledger.trades(statuses=[TradeStatus.OPEN, TradeStatus.CLOSING])
    return [
        exposure_of(trade.structure, contracts=trade.contracts, entry_credit=trade.entry_credit)
        for trade in held
    ]


def _working(ledger: ExecutionLedger) -> list[ExposureItem]:
    """Opening orders that may still fill, an order of unknown outcome among them.

    An order without a limit counts as if it brought no credit at all. Raises `MissingData` for an
    order whose recommendation is gone: its risk would go uncounted.
    """
    items = []
    for order in ledger.orders(statuses=LIVE_STATUSES, purpose=OrderPurpose.OPEN):
        stored = ledger.recommendation(order.subject_id)
        if stored is None:
            raise MissingData(f"recommendation {order.subject_id} of order {order.client_order_id}")
        items.append(
            exposure_of(
                stored.recommendation.structure,
                contracts=order.quantity,
                entry_credit=Decimal(0) if order.limit_price is None else -order.limit_price,
                working=True,
            )
        )
    return items


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
