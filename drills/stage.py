"""The stage of a drill: a book of its own, an exchange behind a bad wire, and a person's yes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import sqlalchemy as sa

from drills.processes import SETTINGS_FILE, settings_in
from drills.wire import Wire
from mahler_pipelines.cli.desk_instance import open_instance
from mahler_pipelines.cli.session_runner import QUIET, first_failure
from mahler_pipelines.composition import ComposedDesk, compose, local_exchange
from mahler_pipelines.decisions.approvals import DecisionOutcome, decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.decisions.theses import ask
from mahler_pipelines.definitions import build_definitions
from mahler_pipelines.errors import CorruptData, MissingData
from mahler_pipelines.exchange.process import LocalExchange
from mahler_pipelines.execution.account_view import current_exposure
from mahler_pipelines.execution.recommending import Occasion, recommend
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.orchestration.partitions import recommendations_of, scan_key
from mahler_pipelines.risk.room import without_room
from mahler_pipelines.storage.engine import open_engine
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.storage.tables import leases

MARKET = "sim:7"
FIRST_SESSION = date(2025, 3, 3)
UNIVERSE = ("TUBA", "ARIA", "BRIO", "OBOE")
"""Four underlyings of this market that have candidates on the first session."""

EQUITY_USD = 100_000_000
SCANS = (Scan.MORNING, Scan.MIDDAY, Scan.AFTERNOON)


def drill_settings(*, universe: tuple[str, ...], database_url: str | None) -> dict[str, Any]:
    """Return the settings of a drill: real gates, with room for hundreds of trades.

    Twelve contracts are more than many quotes display, so that some orders fill in parts and rest.
    """
    tree: dict[str, Any] = {
        "market": MARKET,
        "universe": list(universe),
        "analyst": {"name": "rules"},
        "exchange": {"equity": str(EQUITY_USD), "fee_per_contract": "0.65"},
        "risk": {
            "trades_per_day": 100_000,
            "positions_per_symbol": 100_000,
            "portfolio_heat": "1",
            "concentration": "1",
            "max_contracts": 12,
        },
        # Steps come quickly, so that a batch of walks is over before its approvals expire.
        "execution": {"steps": 3, "step_seconds": 5, "patience_seconds": 20},
        "screen": {
            "iv_lookback_sessions": 40,
            "iv_rank_min": "off",
            "dte_max": 110,
            "short_delta_min": 0.05,
            "short_delta_max": 0.48,
            "width_min": 0.5,
            "width_max": 40,
            "credit_min": 0.05,
            "open_interest_min": "off",
            "option_volume_min": "off",
        },
    }
    return tree if database_url is None else {**tree, "database_url": database_url}


@dataclass(frozen=True)
class Stage:
    """One book in play. Everything here goes over a good wire; the wire is bad for others only."""

    home: Path
    desk: ComposedDesk
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    exchange: LocalExchange
    wire: Wire

    @property
    def account(self) -> str:
        """The account of the drill."""
        return self.desk.terms.account_id

    @property
    def ledger(self) -> SqlLedgerBook:
        """The ledger, as the database it is."""
        book = self.desk.ledger
        if not isinstance(book, SqlLedgerBook):
            raise CorruptData("the ledger of a drill is no database")
        return book

    def later(self, **by: float) -> None:
        """Let the exchange's clock move."""
        self.exchange.advance_to(self.exchange.control.now() + timedelta(**by))

    def scan(self, session: date, scan: Scan, *, count: int) -> tuple[Recommendation, ...]:
        """Run a scan through the graph at its moment; return up to `count` pending proposals.

        A scan proposes the best spread of each underlying; the rest come from the same scan's
        candidates by the same function, in spreads that share no contract.
        """
        self.exchange.advance_to(_moment(session, scan))
        result = self.definitions.resolve_job_def("market_scan").execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=scan_key(session, scan),
            raise_on_error=False,
        )
        if not result.success:
            raise MissingData(f"the scan failed: {first_failure(result)}")
        propose_more(self.desk, session, scan, count=count)
        with self.ledger.reading(self.account) as book:
            waiting = book.recommendations(statuses=[RecommendationStatus.PENDING])
        names = [stored.recommendation.id for stored in waiting]
        partitions = recommendations_of(self.account).name
        self.instance.add_dynamic_partitions(str(partitions), names)
        return tuple(stored.recommendation for stored in waiting)[:count]

    def approve(self, shown: Recommendation) -> None:
        """Say yes to exactly what is shown, as the doors do."""
        now = self.desk.broker.clock().now
        with self.ledger.transaction(self.account) as book:
            result = decide(
                book,
                recommendation_id=shown.id,
                verdict=DecisionVerdict.APPROVE,
                decided_by="drill",
                door="drill",
                at=now,
                shown_hash=shown.content_hash,
            )
        if result.outcome is not DecisionOutcome.RECORDED:
            raise CorruptData(f"the yes to {shown.id} was not recorded: {result.message}")

    def let_leases_expire(self) -> None:
        """Let the time pass that a dead process's lease still lasts; nobody else is at work.

        The lease runs by the database's clock, a minute for each kill: the drill moves its end.
        """
        url = self.desk.settings.database_url
        text = self.desk.paths.ledger_url if url is None else url.get_secret_value()
        engine = open_engine(text, timeout_seconds=30.0)
        with engine.begin() as connection:
            connection.execute(sa.update(leases).values(expires_epoch=0.0))
        engine.dispose()


def propose_more(desk: ComposedDesk, session: date, scan: Scan, *, count: int) -> None:
    """Propose up to `count` more of a scan's candidates, in spreads that share no contract."""
    account = desk.terms.account_id
    table = desk.lake.read("screened_candidates", session=session, scan=scan.value)
    snapshot = desk.lake.snapshot(session=session, scan=scan.value)
    with desk.ledger.reading(account) as book:
        exposure, playbook = current_exposure(book), book.playbook(as_of=snapshot.as_of)
        taken = {
            symbol
            for stored in book.recommendations(statuses=[RecommendationStatus.PENDING])
            for symbol in stored.recommendation.structure.symbols
        }
    room = table[without_room(table, exposure, desk.terms.risk) == ""]
    chosen = disjoint(room, taken, count=count)
    occasion = Occasion(
        session=session,
        scan=scan.value,
        as_of=snapshot.as_of,
        snapshot_hash=snapshot.content_hash,
        playbook_version=playbook.version,
        run_id="drill",
    )
    assessments = ask(chosen, playbook, desk.analyst, ranked=table)
    money = desk.broker.account()
    with desk.ledger.transaction(account) as book:
        recommend(book, assessments, money=money, terms=desk.terms, occasion=occasion)


def disjoint(candidates: pd.DataFrame, taken: set[str], *, count: int) -> pd.DataFrame:
    """Return the best `count` candidates that share no contract with each other or with `taken`."""
    used, kept = set(taken), list[int]()
    for place, pair in enumerate(
        zip(candidates["short_symbol"], candidates["long_symbol"], strict=True)
    ):
        if len(kept) < count and not used.intersection(pair):
            used.update(pair)
            kept.append(place)
    return candidates.iloc[kept]


@contextmanager
def set_up(
    home: Path, *, seed: int, universe: tuple[str, ...], database_url: str | None
) -> Iterator[Stage]:
    """Start the exchange and the wire of a new book, and take both down again."""
    home.mkdir(parents=True, exist_ok=True)
    tree = {"home": str(home), **drill_settings(universe=universe, database_url=database_url)}
    (home / SETTINGS_FILE).write_text(json.dumps(tree))
    settings = settings_in(home)
    desk = compose(settings)
    begin = _moment(FIRST_SESSION, Scan.MORNING) - timedelta(minutes=5)
    with (
        local_exchange(desk, begin=begin, state=home / "exchange") as exchange,
        Wire(exchange.url, seed=seed) as wire,
        open_instance(desk.paths.dagster) as instance,
    ):
        # Every desk of this book finds the wire where it looks for the exchange.
        desk.paths.exchange.mkdir(parents=True, exist_ok=True)
        (desk.paths.exchange / "exchange.json").write_text(json.dumps({"port": wire.port}))
        stage = Stage(home, desk, build_definitions(settings), instance, exchange, wire)
        try:
            yield stage
        finally:
            stage.ledger.close()


def occasions() -> Iterator[tuple[date, Scan]]:
    """Sessions and scans, one after the other."""
    calendar, session = TradingCalendar(), FIRST_SESSION
    while True:
        for scan in SCANS:
            yield session, scan
        session = calendar.next(session)


def _moment(session: date, scan: Scan) -> datetime:
    moment = TradingCalendar().scan_time(session, scan)
    if moment is None:
        raise MissingData(f"no {scan} scan on {session}")
    return moment
