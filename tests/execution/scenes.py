"""A desk with one approved bull put spread, and quotes for its legs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd

from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    LegQuote,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms
from mahler_pipelines.execution.ledger import ExecutionLedger
from mahler_pipelines.execution.submission import ExecutionOutcome, Moment, execute
from mahler_pipelines.execution.trades import LegPrice, Trade, TradeStatus
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.options.contracts import OptionContract, Right, parse_occ
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.strategies.refusals import Refusal
from tests.execution.fakes import FakeBook, FakeBroker, FakeLake, FakeMarket, utc

SESSION = date(2026, 1, 12)
EXPIRATION = date(2026, 2, 20)
SHORT = OptionContract("SPY", EXPIRATION, Right.PUT, Decimal(580))
LONG = OptionContract("SPY", EXPIRATION, Right.PUT, Decimal(575))
SPREAD = Structure("bull_put_spread", (Leg(SHORT, Side.SELL), Leg(LONG, Side.BUY)))
NOW = utc(2026, 1, 12)

Sides = tuple[float, float]


def quote_table(quotes: Mapping[str, Sides], *, underlying_price: float = 600.0) -> pd.DataFrame:
    """A quote table of these contracts: symbol -> (bid, ask)."""
    rows = []
    for symbol, (bid, ask) in quotes.items():
        contract = parse_occ(symbol)
        rows.append(
            {
                "underlying": contract.underlying,
                "symbol": symbol,
                "root": contract.root,
                "expiration": pd.Timestamp(contract.expiration),
                "right": int(contract.right),
                "strike": float(contract.strike),
                "bid": bid,
                "ask": ask,
                "underlying_price": underlying_price,
            }
        )
    columns = ["underlying", "symbol", "root", "expiration", "right", "strike", "bid", "ask"]
    return conform_quotes(pd.DataFrame(rows, columns=[*columns, "underlying_price"]))


def recommendation(*, contracts: int = 3, created: datetime = NOW) -> Recommendation:
    """A bull put spread for 1.10 to 1.20, five wide."""
    return Recommendation(
        id="r-260112-mo-abcdef12",
        account_id="main",
        session=SESSION,
        scan="morning",
        created_at=created,
        expires_at=created + timedelta(minutes=30),
        structure=SPREAD,
        contracts=contracts,
        target_credit=Decimal("1.20"),
        floor_credit=Decimal("1.10"),
        natural_credit=Decimal("1.15"),
        underlying_price=Decimal("600.00"),
        max_loss_usd=Decimal("1170.00"),
        max_profit_usd=Decimal("330.00"),
        breakevens=(Decimal("578.90"),),
        probability_of_profit=0.8,
        expected_value_usd=12.0,
        return_on_risk=0.28,
        iv_rank=42.0,
        iv_percentile=55.0,
        iv_rank_basis="one year",
        dte=39,
        net_delta=4.0,
        net_theta_per_day=3.0,
        net_vega=-9.0,
        quotes=(
            LegQuote(SHORT.symbol, Decimal("4.10"), Decimal("4.20"), 0.2, -0.28, 900, 90),
            LegQuote(LONG.symbol, Decimal("2.90"), Decimal("2.95"), 0.21, -0.22, 900, 90),
        ),
        snapshot_hash="0" * 64,
        profit_target_debit=Decimal("0.55"),
        stop_debit=Decimal("3.30"),
        stop_reachable=True,
        exit_by=date(2026, 1, 30),
        thesis="Rich premium over a calm index.",
        risks=("A fall of the index.",),
        confidence=0.6,
        analyst="rules",
        playbook_version=0,
        gates=(),
        run_id="run-0",
    )


def accept(_: ExecutionLedger, __: Recommendation, ___: Moment, /) -> tuple[Refusal, ...]:
    """A recheck that finds nothing against the order."""
    return ()


@dataclass
class Scene:
    """Everything a test needs, wired together."""

    book: FakeBook = field(default_factory=FakeBook)
    broker: FakeBroker = field(default_factory=lambda: FakeBroker(NOW))
    market: FakeMarket = field(default_factory=lambda: FakeMarket(NOW))
    lake: FakeLake = field(default_factory=FakeLake)
    slept: list[float] = field(default_factory=list)
    terms: ExecutionTerms = field(default_factory=ExecutionTerms)
    dry_run: bool = False

    @property
    def desk(self) -> ExecutionDesk:
        return ExecutionDesk(
            account_id="main",
            book=self.book,
            broker=self.broker,
            market_data=self.market,
            lake=self.lake,
            run_id="run-1",
            holder="holder-1",
            sleep=self.slept.append,
            dry_run=self.dry_run,
            terms=self.terms,
        )

    def quote(self, short: Sides, long: Sides, *, spot: float = 600.0) -> None:
        """Set the market, and let the broker fill at the middle of each side's own quote."""
        self.market.quotes = quote_table({SHORT.symbol: short, LONG.symbol: long})
        self.market.levels = {"SPY": spot}

    def fill_at(self, short: str, long: str) -> None:
        """Set the prices at which the broker fills the legs."""
        self.broker.prices = {SHORT.symbol: Decimal(short), LONG.symbol: Decimal(long)}

    def later(self, **by: float) -> None:
        """Let time pass at the broker and in the market."""
        self.broker.now += timedelta(**by)
        self.market.time = self.broker.now

    def at(self, moment: datetime) -> None:
        """Move the clock."""
        self.broker.now = self.market.time = moment.astimezone(UTC)

    def execute(self) -> ExecutionOutcome:
        """Execute the recommendation of the scene."""
        return execute("r-260112-mo-abcdef12", desk=self.desk, recheck=accept)

    def status(self) -> RecommendationStatus:
        """State of the recommendation."""
        return self.book.rows.recommendations["r-260112-mo-abcdef12"].status

    def reason(self) -> str:
        """Why it is in that state."""
        return self.book.rows.recommendations["r-260112-mo-abcdef12"].status_reason

    def trade(self) -> Trade:
        """The only trade."""
        (trade,) = self.book.rows.trades.values()
        return trade


def approved_scene(*, contracts: int = 3, content_hash: str | None = None) -> Scene:
    """An approved recommendation in a market that has not moved."""
    scene = Scene()
    shown = recommendation(contracts=contracts)
    with scene.book.transaction("main") as ledger:
        ledger.add_recommendation(shown, at=NOW)
        ledger.add_decision(
            Decision(
                recommendation_id=shown.id,
                verdict=DecisionVerdict.APPROVE,
                decided_by="anna",
                door="discord",
                decided_at=NOW,
                content_hash=content_hash or shown.content_hash,
            )
        )
        ledger.move_recommendation(
            shown.id,
            expected=RecommendationStatus.PENDING,
            to=RecommendationStatus.APPROVED,
            at=NOW,
        )
    scene.later(minutes=2)
    scene.quote((4.10, 4.20), (2.90, 2.95))
    scene.fill_at("4.10", "2.95")
    return scene


def open_trade_scene(*, contracts: int = 3) -> Scene:
    """A trade opened for 1.15, with the broker holding its legs."""
    scene = approved_scene(contracts=contracts)
    scene.execute()
    return scene


def trade(
    *, credit: str = "1.00", contracts: int = 3, status: TradeStatus = TradeStatus.OPEN
) -> Trade:
    """A trade of the spread opened for this credit."""
    short = Decimal("2.00")
    return Trade(
        id="t-260112-mo-abcdef12",
        account_id="main",
        recommendation_id="r-260112-mo-abcdef12",
        structure=SPREAD,
        contracts=contracts,
        entry_time=NOW,
        entry_credit=Decimal(credit),
        entry_legs=(
            LegPrice(SHORT.symbol, short, None, None, None),
            LegPrice(LONG.symbol, short - Decimal(credit), None, None, None),
        ),
        status=status,
        exit_time=None,
        exit_debit=None,
        exit_reason=None,
        exit_legs=(),
        fees_usd=Decimal(0),
        pnl_usd=None,
    )


def later_copy(original: Trade, **changes: object) -> Trade:
    """The trade with other values."""
    return replace(original, **changes)  # type: ignore[arg-type]
