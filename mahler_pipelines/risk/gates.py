"""Gates between a proposal and the account: all are always asked, so that a card shows each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from mahler_pipelines.risk.exposure import Exposure
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.strategies.refusals import Refusal


class GateCode(StrEnum):
    """What a gate asks; the docs' table is made from this enum."""

    TRADING_STATE = "trading_state"
    TRADES_PER_DAY = "trades_per_day"
    DAILY_LOSS = "daily_loss"
    PER_TRADE = "per_trade"
    POSITIONS_PER_SYMBOL = "positions_per_symbol"
    PORTFOLIO_HEAT = "portfolio_heat"
    CONCENTRATION = "concentration"
    BUYING_POWER = "buying_power"
    DUPLICATE_POSITION = "duplicate_position"
    UNKNOWN_ORDER_ON_UNDERLYING = "unknown_order_on_underlying"


class GateOutcome(StrEnum):
    """A gate's answer."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_AVAILABLE = "not_available"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer. `value` is measured with the proposed trade in it.

    `passed` says whether the trade may go on: for `not_available` that is the limits' choice.
    `context` says what a refusal rests on.
    """

    code: GateCode
    outcome: GateOutcome
    passed: bool
    value: Decimal | str | None
    limit: Decimal | str
    context: Mapping[str, str] = field(default_factory=dict)

    def as_row(self) -> dict[str, str]:
        """Return the answer as a recommendation keeps it; an unknown value is an empty string."""
        return {
            "code": self.code.value,
            "outcome": self.outcome.value,
            "passed": str(self.passed).lower(),
            "value": "" if self.value is None else _plain(self.value),
            "limit": _plain(self.limit),
        }


@dataclass(frozen=True, slots=True)
class TradeRisk:
    """What a trade would add: its underlying, contracts, and maximum loss for all of them."""

    underlying: str
    symbols: tuple[str, ...]
    contracts: int
    max_loss_usd: Decimal


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account at one moment. None stands for a number that could not be had.

    `last_equity` is the equity the day began with; `exposure` holds open trades and working
    opening orders, without the trade that is being asked about. `unknown_orders` maps an underlying
    to the orders on it, of whatever purpose, of which nobody knows what became.
    """

    equity: Decimal
    last_equity: Decimal | None
    options_buying_power: Decimal | None
    trading_state: TradingState
    entries_today: int
    realised_pnl_today: Decimal | None
    unrealised_pnl_today: Decimal | None
    exposure: Exposure = field(default_factory=Exposure)
    unknown_orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def pnl_today(self) -> Decimal | None:
        """Realised and unrealised profit of the day, None when either is unknown."""
        if self.realised_pnl_today is None or self.unrealised_pnl_today is None:
            return None
        return self.realised_pnl_today + self.unrealised_pnl_today


def evaluate(
    proposal: TradeRisk, account: AccountView, limits: RiskLimits
) -> tuple[GateResult, ...]:
    """Ask every gate, in the order of `GateCode`; nothing stops at the first failure."""
    exposure, loss = account.exposure, proposal.max_loss_usd
    entries = Decimal(account.entries_today + 1)
    positions = Decimal(exposure.positions_in(proposal.underlying) + 1)
    gate = _Asker(limits)
    trade = _fraction(loss, account.equity)
    heat = _fraction(exposure.heat_usd + loss, account.equity)
    symbol_heat = _fraction(exposure.heat_of(proposal.underlying) + loss, account.equity)
    return (
        gate.holds(
            GateCode.TRADING_STATE,
            account.trading_state.may_open,
            account.trading_state.value,
            TradingState.ACTIVE.value,
        ),
        gate.at_most(GateCode.TRADES_PER_DAY, entries, Decimal(limits.trades_per_day)),
        gate.below(GateCode.DAILY_LOSS, _daily_loss(account), limits.daily_loss),
        gate.at_most(GateCode.PER_TRADE, trade, limits.per_trade),
        gate.at_most(
            GateCode.POSITIONS_PER_SYMBOL, positions, Decimal(limits.positions_per_symbol)
        ),
        gate.at_most(GateCode.PORTFOLIO_HEAT, heat, limits.portfolio_heat),
        gate.at_most(GateCode.CONCENTRATION, symbol_heat, limits.concentration),
        _buying_power(gate, loss, account.options_buying_power),
        _duplicate(gate, proposal, exposure),
        _unknown_orders(gate, account.unknown_orders.get(proposal.underlying, ())),
    )


def all_passed(results: Sequence[GateResult]) -> bool:
    """Whether the trade may go on."""
    return all(result.passed for result in results)


def gate_refusals(results: Sequence[GateResult]) -> tuple[Refusal, ...]:
    """Return a refusal for each gate that holds the trade up, with its value and limit."""
    return tuple(
        Refusal(
            result.code,
            None if result.value is None else _plain(result.value),
            _plain(result.limit),
            {"outcome": result.outcome.value, **result.context},
        )
        for result in results
        if not result.passed
    )


@dataclass(frozen=True, slots=True)
class _Asker:
    limits: RiskLimits

    def holds(
        self, code: GateCode, holds: bool | None, value: Decimal | str | None, limit: Decimal | str
    ) -> GateResult:
        if holds is None:
            passed = not self.limits.refuse_not_available
            return GateResult(code, GateOutcome.NOT_AVAILABLE, passed, None, limit)
        outcome = GateOutcome.PASSED if holds else GateOutcome.FAILED
        return GateResult(code, outcome, holds, value, limit)

    def at_most(self, code: GateCode, value: Decimal | None, limit: Decimal) -> GateResult:
        return self.holds(code, None if value is None else value <= limit, value, limit)

    def below(self, code: GateCode, value: Decimal | None, limit: Decimal) -> GateResult:
        return self.holds(code, None if value is None else value < limit, value, limit)


def _buying_power(gate: _Asker, loss: Decimal, power: Decimal | None) -> GateResult:
    if power is None:
        return gate.holds(GateCode.BUYING_POWER, None, None, "unknown")
    return gate.at_most(GateCode.BUYING_POWER, loss, power)


def _duplicate(gate: _Asker, proposal: TradeRisk, exposure: Exposure) -> GateResult:
    # A broker nets positions per contract, so two structures that share one can't be told apart.
    shared = sorted(set(proposal.symbols) & exposure.symbols)
    return gate.holds(GateCode.DUPLICATE_POSITION, not shared, " ".join(shared), "none shared")


def _unknown_orders(gate: _Asker, orders: Sequence[str]) -> GateResult:
    # What is held in the underlying isn't known while an order on it may or may not be there.
    found = gate.holds(
        GateCode.UNKNOWN_ORDER_ON_UNDERLYING, not orders, Decimal(len(orders)), Decimal(0)
    )
    return replace(found, context={"orders": " ".join(orders)}) if orders else found


def _daily_loss(account: AccountView) -> Decimal | None:
    pnl = account.pnl_today
    if pnl is None or account.last_equity is None:
        return None
    return _fraction(max(Decimal(0), -pnl), account.last_equity)


def _fraction(amount: Decimal, equity: Decimal) -> Decimal | None:
    """Share of equity; None where there is no equity to take a share of."""
    return amount / equity if equity > 0 else None


def _plain(value: Decimal | str) -> str:
    if isinstance(value, str):
        return value
    places = -int(value.as_tuple().exponent)
    return f"{value:f}" if places <= 6 else f"{value:.6f}"
