"""Holdings: lots outside trades, closed oldest first, with what they cost and what they earned."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from mahler_pipelines.errors import MalformedSymbol
from mahler_pipelines.execution.broker_books import Holding, HoldingSource
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.options.contracts import SHARES_PER_CONTRACT, OptionContract, parse_occ
from mahler_pipelines.risk.exposure import ExposureItem

DOUBLED = 2
"""An open-ended loss is counted as if the underlying doubled."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What comes in or goes out: a signed quantity at a price per share, and where it is from."""

    symbol: str
    quantity: int
    price: Decimal
    carried_price: Decimal
    source: HoldingSource
    origin: str
    at: datetime
    fees_usd: Decimal = Decimal(0)


def option_of(symbol: str) -> OptionContract | None:
    """Return the contract of a symbol, None for shares."""
    try:
        return parse_occ(symbol)
    except MalformedSymbol:
        return None


def underlying_of(symbol: str) -> str:
    """Return the underlying of a contract, or the symbol of shares itself."""
    contract = option_of(symbol)
    return contract.underlying if contract else symbol


def exact_dollars(symbol: str, price: Decimal, quantity: int) -> Decimal:
    """Dollars of a quantity of shares or contracts at a price per share, not rounded."""
    return price * quantity * (SHARES_PER_CONTRACT if option_of(symbol) else 1)


def receive(ledger: ExecutionLedger, receipt: Receipt) -> tuple[Holding, ...]:
    """Book what comes in: it closes opposite lots, oldest first, and the rest is a lot of its own.

    Returns every lot that changed. Fees stay with the last of them.
    """
    left, changed = receipt.quantity, []
    for lot in ledger.holdings():
        if not left or lot.symbol != receipt.symbol or lot.quantity * left > 0:
            continue
        part = min(abs(left), abs(lot.quantity)) * (1 if left > 0 else -1)
        changed.append(_reduced(lot, part, receipt))
        left -= part
    if left:
        changed.append(_opened(ledger, receipt, left))
    if changed and receipt.fees_usd:
        last = changed[-1]
        changed[-1] = replace(last, fees_usd=last.fees_usd + receipt.fees_usd)
    for lot in changed:
        ledger.put_holding(lot, at=receipt.at)
    return tuple(changed)


def held_quantities(ledger: ExecutionLedger) -> dict[str, int]:
    """Signed quantity of each symbol over its open lots."""
    held: dict[str, int] = {}
    for lot in ledger.holdings():
        held[lot.symbol] = held.get(lot.symbol, 0) + lot.quantity
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def cost_usd(lot: Holding) -> Decimal:
    """Dollars that what is left of a lot has cost; negative where money came in."""
    return exact_dollars(lot.symbol, lot.average_price, lot.quantity)


def exposure_of_holding(lot: Holding) -> ExposureItem:
    """Return what a lot alone can lose: whichever is worse of an underlying at zero and doubled.

    A lot that covers another one counts for itself all the same: nothing is offset, so that what
    came about without a decision never makes room for a new one. An open-ended loss (short shares,
    a short call) is what it is at twice the strike or cost.
    """
    contract = option_of(lot.symbol)
    reference = contract.strike if contract else lot.average_price
    worst = min(
        exact_dollars(lot.symbol, _value(contract, price) - lot.average_price, lot.quantity)
        for price in (Decimal(0), reference * DOUBLED)
    )
    return ExposureItem(
        underlying=underlying_of(lot.symbol),
        max_loss_usd=max(-worst, Decimal(0)).quantize(Decimal("0.01")),
        symbols=(lot.symbol,),
        contracts=abs(lot.quantity),
    )


def _value(contract: OptionContract | None, price: Decimal) -> Decimal:
    if contract is None:
        return price
    return max(contract.right * (price - contract.strike), Decimal(0))


def _reduced(lot: Holding, part: int, receipt: Receipt) -> Holding:
    """`part` has the sign of what comes in, against the lot's own."""
    earned = -exact_dollars(lot.symbol, receipt.price - lot.average_price, part)
    left = lot.quantity + part
    return replace(
        lot,
        quantity=left,
        realised_usd=lot.realised_usd + earned,
        closed_at=None if left else receipt.at,
    )


def _opened(ledger: ExecutionLedger, receipt: Receipt, quantity: int) -> Holding:
    earlier = sum(lot.symbol == receipt.symbol for lot in ledger.holdings(open_only=False))
    return Holding(
        id=f"h-{receipt.symbol}-{earlier + 1}",
        account_id=ledger.account_id,
        symbol=receipt.symbol,
        opened_quantity=quantity,
        quantity=quantity,
        average_price=receipt.price,
        carried_price=receipt.carried_price,
        source=receipt.source,
        origin=receipt.origin,
        opened_at=receipt.at,
    )
