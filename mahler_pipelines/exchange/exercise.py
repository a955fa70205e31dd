"""Exercise by request, and instructions not to exercise: what is taken, and what is refused.

Raises `WireRefusal` in Alpaca's words; what a published example does not say is said alike.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from mahler_pipelines.exchange.accounts import Position
from mahler_pipelines.exchange.carrying import (
    Ending,
    available_shares,
    leaves_uncovered,
    standing_after,
)
from mahler_pipelines.exchange.clearing import Clearing
from mahler_pipelines.exchange.clock import last_trading_day
from mahler_pipelines.exchange.instruments import asset_id, option_contract
from mahler_pipelines.exchange.permissions import UNCOVERED, Standing
from mahler_pipelines.exchange.wire.errors import (
    FORBIDDEN_SHORT,
    WireRefusal,
    forbidden,
    unprocessable,
)
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import (
    SHARES_PER_CONTRACT,
    ExerciseStyle,
    OptionContract,
    Right,
    exercise_style,
)

NO_POSITION = "no available position for the specified contract"


def exercise(clearing: Clearing, account: str, symbol_or_id: str) -> int:
    """Exercise every available contract of a long holding at once; return how many those were."""
    position, contract = _long_holding(
        clearing, account, symbol_or_id, "cannot exercise short position"
    )
    if exercise_style(contract.root) is ExerciseStyle.EUROPEAN:
        raise unprocessable(f'contract "{contract.symbol}" can be exercised at its expiry only')
    if _is_after_the_close(clearing):
        raise unprocessable("exercise requests are rejected between market close and midnight")
    if clearing.trading.store.refuses_exercise(account, contract.symbol):
        raise unprocessable("a do-not-exercise instruction is in force")
    standing = clearing.trading.standing(account)
    available = position.quantity - standing.held_for_orders(contract.symbol)
    if available <= 0:
        raise forbidden(NO_POSITION)
    _check_carried(clearing, standing, contract, available)
    clearing.deliver(position, contract, available, "exercised by request")
    return available


def do_not_exercise(clearing: Clearing, account: str, symbol_or_id: str) -> None:
    """Keep the instruction not to exercise a long holding that expires today."""
    _, contract = _long_holding(
        clearing, account, symbol_or_id, "cannot submit DNE for short position"
    )
    today = _present(clearing).date()
    calendar = clearing.trading.timeline.calendar
    if today not in (contract.expiration, last_trading_day(contract, calendar)):
        raise unprocessable(f'contract "{contract.symbol}" does not expire today')
    clearing.trading.store.refuse_exercise(account, contract.symbol)


def _long_holding(
    clearing: Clearing, account: str, symbol_or_id: str, short: str
) -> tuple[Position, OptionContract]:
    """Return the holding that a symbol or an id names; refuse what is none, or is short."""
    if option_contract(symbol_or_id) is None and not _is_id(symbol_or_id):
        raise unprocessable("invalid symbol")
    for position in clearing.trading.store.positions(account):
        contract = option_contract(position.symbol)
        if contract is None or symbol_or_id not in (position.symbol, asset_id(position.symbol)):
            continue
        if position.quantity < 0:
            raise WireRefusal(403, FORBIDDEN_SHORT, short)
        return position, contract
    raise forbidden(NO_POSITION)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _present(clearing: Clearing) -> datetime:
    return clearing.trading.view.moment.astimezone(NEW_YORK)


def _is_after_the_close(clearing: Clearing) -> bool:
    """From the close of a session until midnight it would not be clear when exercise settles."""
    now, calendar = _present(clearing), clearing.trading.timeline.calendar
    return calendar.is_session(now.date()) and now >= calendar.close(now.date())


def _check_carried(
    clearing: Clearing, standing: Standing, contract: OptionContract, quantity: int
) -> None:
    """Refuse an exercise for which shares or buying power lack, or that bares a short leg."""
    after = standing_after(
        standing, [Ending(contract, quantity, is_delivered=True)], clearing.trading.view.mark
    )
    if contract.right is Right.PUT:
        required = quantity * SHARES_PER_CONTRACT
        selling = standing.held_for_orders(contract.underlying)
        available = available_shares(standing.holdings, contract.underlying) - selling
        if available < required:
            raise forbidden(
                f"insufficient underlying qty available for exercise (required: {required},"
                f" available: {max(0, available)})"
            )
    if leaves_uncovered(standing, after):
        raise forbidden(UNCOVERED)
    power = standing.buying_power()
    if after.buying_power() < min(power, Decimal(0)):
        required_power = power - after.buying_power()
        raise forbidden(
            f"insufficient buying power for exercise (required: {required_power},"
            f" available: {power})"
        )
