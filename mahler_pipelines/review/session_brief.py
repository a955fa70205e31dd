"""The brief of a session: what a person should know before the market opens, or as it is seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

import pandas as pd

from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.execution.broker import BrokerAccount
from mahler_pipelines.execution.broker_books import FindingStatus
from mahler_pipelines.execution.exits import last_close
from mahler_pipelines.execution.trades import Trade
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.options.structures import Structure
from mahler_pipelines.review.ledger import Ledger
from mahler_pipelines.review.position_lines import (
    PositionLine,
    ReportPart,
    open_trades,
    position_lines,
    short_name,
)
from mahler_pipelines.risk.exit_terms import ExitTerms

KIND = "morning_brief"
TOP_RANKS = 5


class RankLine(ReportPart):
    """IV rank of an underlying, 0 to 100, and its regime where one is known."""

    underlying: str
    iv_rank: float
    regime: str


class DueLine(ReportPart):
    """What a trade comes to in this session.

    `time_exit` says that few enough days are left. On its last day a trade is closed by
    `closes_by`, None where it is left to expire.
    """

    name: str
    time_exit: bool
    last_day: bool
    closes_by: datetime | None
    warning: str


class PendingLine(ReportPart):
    """A recommendation that waits for an answer."""

    recommendation_id: str
    name: str
    expires_at: datetime


class SessionBrief(ReportPart):
    """Everything the brief tells; `ranks_seen` is the session and scan of the ranks."""

    session: date
    as_of: datetime
    open_at: datetime
    close_at: datetime
    early_close: bool
    equity: Decimal
    options_buying_power: Decimal | None
    ranks: tuple[RankLine, ...]
    ranked: int
    ranks_seen: str
    regimes: dict[str, int]
    positions: tuple[PositionLine, ...]
    due: tuple[DueLine, ...]
    pending: tuple[PendingLine, ...]
    trading_state: str
    state_reason: str
    findings: tuple[str, ...]
    rules: int
    rules_proposed: int
    last_rule: str


@dataclass(frozen=True, slots=True, eq=False)
class MarketLook:
    """The market as the last scan before this moment left it in the lake.

    `ranks` has underlying and iv_rank, `regimes` underlying and label; both have `session` and
    `scan`, oldest first, or are empty.
    """

    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    regimes: pd.DataFrame = field(default_factory=pd.DataFrame)


def session_brief(
    ledger: Ledger,
    look: MarketLook,
    *,
    session: date,
    as_of: datetime,
    account: BrokerAccount,
    exits: ExitTerms,
    calendar: TradingCalendar,
) -> SessionBrief:
    """Gather the brief of a session from the ledger and the last look at the market.

    Raises `UnknownSession` for a day on which the exchange is closed.
    """
    ranks, seen = _newest(look.ranks)
    labels, _ = _newest(look.regimes)
    regime_of = _regimes(labels)
    known = ranks[ranks["iv_rank"].notna()] if len(ranks) else ranks
    top = known.nlargest(TOP_RANKS, "iv_rank") if len(known) else known
    adopted = ledger.playbook(as_of=as_of).rules
    state, reason = ledger.trading_state()
    pending = ledger.recommendations(statuses=[RecommendationStatus.PENDING])
    positions = position_lines(ledger, session=session)
    return SessionBrief(
        session=session,
        as_of=as_of,
        open_at=calendar.open(session),
        close_at=calendar.close(session),
        early_close=calendar.is_early_close(session),
        equity=account.equity,
        options_buying_power=account.options_buying_power,
        ranks=tuple(
            RankLine(
                underlying=str(row["underlying"]),
                iv_rank=round(float(row["iv_rank"]), 1),
                regime=regime_of.get(str(row["underlying"]), ""),
            )
            for row in top.to_dict("records")
        ),
        ranked=len(known),
        ranks_seen=seen,
        regimes=_counted(regime_of.values()),
        positions=positions,
        due=due_lines(open_trades(ledger), positions, session=session, exits=exits),
        pending=tuple(
            PendingLine(
                recommendation_id=one.recommendation.id,
                name=short_name(one.recommendation.structure),
                expires_at=one.recommendation.expires_at,
            )
            for one in pending
            if one.recommendation.expires_at > as_of
        ),
        trading_state=state.value,
        state_reason=reason,
        findings=tuple(
            f"{found.kind.value} {found.subject}"
            for found in ledger.findings(statuses=[FindingStatus.OPEN])
        ),
        rules=len(adopted),
        rules_proposed=len(ledger.rules(statuses=[RuleStatus.PROPOSED])),
        last_rule=adopted[-1].text if adopted else "",
    )


def due_lines(
    trades: Sequence[Trade],
    positions: Sequence[PositionLine],
    *,
    session: date,
    exits: ExitTerms,
) -> tuple[DueLine, ...]:
    """Trades that come to their time exit or last day in this session, or carry a warning."""
    due = []
    for trade, line in zip(trades, positions, strict=True):
        last_day = _is_last(trade.structure, session)
        closes_by = exits.expiry_cutoff(last_close(trade.structure)) if last_day else None
        time_exit = not last_day and line.dte <= exits.time_exit_dte
        if last_day or time_exit or line.warning:
            due.append(
                DueLine(
                    name=line.name,
                    time_exit=time_exit,
                    last_day=last_day,
                    closes_by=closes_by,
                    warning=line.warning,
                )
            )
    return tuple(due)


def _is_last(structure: Structure, session: date) -> bool:
    return TradingCalendar().session_of(last_close(structure)) == session


def _newest(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of the newest session and scan, and which these are."""
    if rows.empty:
        return rows, ""
    last = rows.iloc[-1]
    newest = rows[(rows["session"] == last["session"]) & (rows["scan"] == last["scan"])]
    return newest, f"{pd.Timestamp(last['session']):%Y-%m-%d} {last['scan']}"


def _regimes(rows: pd.DataFrame) -> dict[str, str]:
    if rows.empty:
        return {}
    known = rows[rows["label"].notna() & (rows["label"] != "")]
    pairs = zip(known["underlying"], known["label"], strict=True)
    return {str(name): str(label) for name, label in pairs}


def _counted(labels: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items()))
