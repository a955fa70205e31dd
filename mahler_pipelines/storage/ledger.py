"""The ledger: what was decided and done, on SQLite or PostgreSQL."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.errors import BadInput, LedgerBusy
from mahler_pipelines.execution.broker import OrderStatus
from mahler_pipelines.execution.desk import OPENING_LEASE
from mahler_pipelines.execution.ledger import NEVER_SENT, OrderPurpose
from mahler_pipelines.storage.engine import WRITE_LOCK, open_engine, translated
from mahler_pipelines.storage.leases import hold, is_held
from mahler_pipelines.storage.ledger_broker_books import BrokerBookRows
from mahler_pipelines.storage.ledger_decisions import DecisionRows
from mahler_pipelines.storage.ledger_messaging import MessagingRows
from mahler_pipelines.storage.ledger_orders import OrderRows
from mahler_pipelines.storage.ledger_playbook import PlaybookRows
from mahler_pipelines.storage.ledger_review import ReviewRows
from mahler_pipelines.storage.ledger_trades import TradeRows
from mahler_pipelines.storage.migrate import upgrade_engine
from mahler_pipelines.storage.tables import accounts, decisions, orders, recommendations


class SqlLedger(
    DecisionRows, PlaybookRows, OrderRows, TradeRows, BrokerBookRows, ReviewRows, MessagingRows
):
    """One unit of work of one account; satisfies `messaging.ledger.MessagingLedger`."""


class SqlLedgerBook:
    """A book's ledger behind a URL; satisfies `messaging.ledger.MessagingBook`.

    `url` is `sqlite:///…` or `postgresql+psycopg2://…`. The database is opened, and migrated,
    when it is first used. Waiting for a lock longer than `timeout_seconds` raises `LedgerBusy`.
    A lease is taken before a transaction is opened, never inside one.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30.0) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._engine: sa.Engine | None = None
        self._process = 0

    @contextmanager
    def transaction(self, account_id: str) -> Iterator[SqlLedger]:
        """Open a unit of work with the account's write lock.

        Commits at the end of the block; an exception rolls everything back.
        """
        _check_account(account_id)
        with self._begin() as connection:
            if connection.dialect.name == "postgresql":
                self._limit_waiting(connection)
            _lock_account(connection, account_id)
            yield SqlLedger(connection, account_id, writable=True)

    @contextmanager
    def reading(self, account_id: str) -> Iterator[SqlLedger]:
        """Open a read-only view of one moment; a write through it raises `LedgerError`."""
        _check_account(account_id)
        with self._read() as connection:
            yield SqlLedger(connection, account_id, writable=False)

    def lease(
        self, name: str, *, account_id: str, holder: str, seconds: float
    ) -> AbstractContextManager[None]:
        """Hold an expiring lease for the block; raise `LeaseHeld` when another holder has it."""
        _check_account(account_id)
        return hold(self._begin, name, account_id=account_id, holder=holder, seconds=seconds)

    def pending_executions(
        self, account_id: str, *, since: datetime | None = None
    ) -> tuple[str, ...]:
        """Return ids of what is to be executed, oldest decision first, without a write lock.

        That is what was approved and, while nobody holds the lease for openings, what an execution
        left behind before its order left the house. `since` keeps those decided at or after it.
        """
        _check_account(account_id)
        table = recommendations
        decided = sa.and_(
            decisions.c.account_id == table.c.account_id,
            decisions.c.recommendation_id == table.c.id,
            decisions.c.verdict == DecisionVerdict.APPROVE,
        )
        query = (
            sa.select(table.c.id)
            .join(decisions, decided)
            .where(
                table.c.account_id == account_id,
                sa.or_(table.c.status == RecommendationStatus.APPROVED, _left_behind(account_id)),
            )
            .order_by(decisions.c.decided_at, table.c.seq)
        )
        if since is not None:
            query = query.where(decisions.c.decided_at >= since)
        with self._read() as connection:
            return tuple(connection.execute(query).scalars())

    def upgrade(self) -> None:
        """Create or migrate the ledger now rather than when it is first used."""
        with translated():
            self._opened()

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        with self._opening:
            if self._engine is not None and self._process == os.getpid():
                self._engine.dispose()
            self._engine = None

    def _opened(self) -> sa.Engine:
        with self._opening:
            if self._engine is not None and self._process != os.getpid():
                # Connections do not survive a fork: leave the parent's alone, open our own.
                self._engine.dispose(close=False)
                self._engine = None
            if self._engine is None:
                engine = open_engine(self._url, timeout_seconds=self._timeout_seconds)
                upgrade_engine(engine)
                self._engine, self._process = engine, os.getpid()
                self._writing = threading.Lock()
            return self._engine

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with translated():
            engine = self._opened()
        with (
            translated(),
            self._turn(engine),
            engine.execution_options(**WRITE_LOCK).begin() as connection,
        ):
            yield connection

    @contextmanager
    def _turn(self, engine: sa.Engine) -> Iterator[None]:
        """Let the threads of this process write one after the other where the database does.

        SQLite asks for its lock again and again with ever longer rests, in which a thread that
        came later may get it; a thread that waits here goes on the moment it can.
        """
        if engine.dialect.name != "sqlite":
            yield
            return
        writing = self._writing
        if not writing.acquire(timeout=self._timeout_seconds):
            raise LedgerBusy("the ledger stayed locked by another thread")
        try:
            yield
        finally:
            writing.release()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with translated():
            engine = self._opened()
            if engine.dialect.name == "postgresql":
                # A SQLite reader sees one moment anyway; PostgreSQL has to be asked.
                engine = engine.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with engine.begin() as connection:
                yield connection

    def _limit_waiting(self, connection: sa.Connection) -> None:
        milliseconds = max(1, round(self._timeout_seconds * 1000))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")


def _left_behind(account_id: str) -> sa.ColumnElement[bool]:
    """What is executing with orders that never left, and nobody at work: its process died."""
    never_left = sa.or_(
        orders.c.status == OrderStatus.INTENDED,
        sa.and_(orders.c.status == OrderStatus.REJECTED, orders.c.status_reason == NEVER_SENT),
    )
    went_out = sa.exists().where(
        orders.c.account_id == account_id,
        orders.c.subject_id == recommendations.c.id,
        orders.c.purpose.in_([OrderPurpose.OPEN, OrderPurpose.ROLL]),
        sa.not_(never_left),
    )
    return sa.and_(
        recommendations.c.status == RecommendationStatus.EXECUTING,
        sa.not_(went_out),
        sa.not_(is_held(OPENING_LEASE, account_id=account_id)),
    )


def _lock_account(connection: sa.Connection, account_id: str) -> None:
    # On SQLite the whole file is locked already, and FOR UPDATE is left out of the statement.
    query = sa.select(accounts.c.id).where(accounts.c.id == account_id).with_for_update()
    if connection.execute(query).first() is None:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        new = dialect.insert(accounts).values(id=account_id).on_conflict_do_nothing()
        connection.execute(new)
        connection.execute(query)


def _check_account(account_id: str) -> None:
    if not account_id:
        raise BadInput("account_id", account_id, "an account has a name")
