"""Intents: what an order will be, written down before it is sent."""

from datetime import datetime
from decimal import Decimal

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import BadInput
from mahler_pipelines.execution.broker import OrderLeg, OrderRequest, OrderStatus, PositionIntent
from mahler_pipelines.execution.ledger import OrderPurpose, OrderRecord
from mahler_pipelines.execution.quotes import round_down, round_up
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.options.structures import Side, Structure

CLIENT_ORDER_ID_PREFIX = "mahler-"
_LONGEST_ID = 128


def client_order_id(
    account_id: str, subject_id: str, *, purpose: OrderPurpose, attempt: int
) -> str:
    """Derive the id an order carries at the broker, such as mahler-main-r-260112-mo-ab-open-1.

    The same attempt always has the same id: the broker refuses a second order under it. Raises
    `BadInput` beyond the broker's 128 characters.
    """
    identifier = f"{CLIENT_ORDER_ID_PREFIX}{account_id}-{subject_id}-{purpose}-{attempt}"
    if len(identifier) > _LONGEST_ID:
        raise BadInput("client_order_id", identifier, f"longer than {_LONGEST_ID} characters")
    return identifier


def opening_legs(structure: Structure) -> tuple[OrderLeg, ...]:
    """Legs that open the structure."""
    intents = {Side.BUY: PositionIntent.BUY_TO_OPEN, Side.SELL: PositionIntent.SELL_TO_OPEN}
    return tuple(
        OrderLeg(leg.contract.symbol, leg.side, leg.ratio, intents[leg.side])
        for leg in structure.legs
    )


def closing_legs(structure: Structure) -> tuple[OrderLeg, ...]:
    """Legs that close the structure: every side turned round, all legs in one order."""
    intents = {Side.BUY: PositionIntent.BUY_TO_CLOSE, Side.SELL: PositionIntent.SELL_TO_CLOSE}
    return tuple(
        OrderLeg(leg.contract.symbol, leg.side.opposite, leg.ratio, intents[leg.side.opposite])
        for leg in structure.legs
    )


def opening_limit(
    *, natural_credit: Decimal, target_credit: Decimal, floor_credit: Decimal, tick: Decimal
) -> Decimal:
    """Net limit of an opening order as on the wire: negative is a credit.

    Asks for the natural credit within the approved band, rounded down to the tick, and never for
    less than the floor.
    """
    asked = round_down(min(natural_credit, target_credit), tick)
    return -max(round_up(floor_credit, tick), asked)


def closing_limit(*, natural_cost: Decimal, structure: Structure, tick: Decimal) -> Decimal:
    """Net limit of a closing order as on the wire: positive is a debit.

    The natural cost rounded up to the tick, capped at the largest value the structure can have at
    expiry: nobody needs to pay more than the width.
    """
    return min(round_up(natural_cost, tick), structure.max_loss(Decimal(0)))


def opening_intent(
    recommendation: Recommendation,
    *,
    attempt: int,
    limit_price: Decimal,
    quantity: int | None = None,
    mid: Decimal | None,
    at: datetime,
    run_id: str,
    rolled: Structure | None = None,
) -> OrderRecord:
    """Write down an opening order of a recommendation; `mid` has the sign of the limit.

    `quantity` is what earlier attempts have left to open; None is all of it. `rolled` is what a
    roll closes, in the same order.
    """
    purpose = OrderPurpose.OPEN if rolled is None else OrderPurpose.ROLL
    return OrderRecord(
        client_order_id=client_order_id(
            recommendation.account_id, recommendation.id, purpose=purpose, attempt=attempt
        ),
        account_id=recommendation.account_id,
        purpose=purpose,
        subject_id=recommendation.id,
        underlying=recommendation.underlying,
        legs=(
            *(closing_legs(rolled) if rolled else ()),
            *opening_legs(recommendation.structure),
        ),
        quantity=recommendation.contracts if quantity is None else quantity,
        limit_price=limit_price,
        status=OrderStatus.INTENDED,
        status_reason="",
        intended_at=at,
        broker_order_id=None,
        filled_quantity=0,
        average_fill_price=None,
        mid_at_submission=mid,
        run_id=run_id,
        rolls=recommendation.rolls or "",
    )


def closing_intent(
    trade: Trade,
    *,
    attempt: int,
    quantity: int,
    limit_price: Decimal,
    mid: Decimal | None,
    at: datetime,
    run_id: str,
) -> OrderRecord:
    """Write down a closing order of what is left of a trade; `mid` has the sign of the limit."""
    return OrderRecord(
        client_order_id=client_order_id(
            trade.account_id, trade.id, purpose=OrderPurpose.CLOSE, attempt=attempt
        ),
        account_id=trade.account_id,
        purpose=OrderPurpose.CLOSE,
        subject_id=trade.id,
        underlying=trade.structure.underlying,
        legs=closing_legs(trade.structure),
        quantity=quantity,
        limit_price=limit_price,
        status=OrderStatus.INTENDED,
        status_reason="",
        intended_at=at,
        broker_order_id=None,
        filled_quantity=0,
        average_fill_price=None,
        mid_at_submission=mid,
        run_id=run_id,
    )


def order_request(record: OrderRecord) -> OrderRequest:
    """The order as it goes to the broker."""
    return OrderRequest(
        client_order_id=record.client_order_id,
        legs=record.legs,
        quantity=record.quantity,
        limit_price=record.limit_price,
    )
