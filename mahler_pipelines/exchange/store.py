"""The exchange's database: one SQLite file per state folder, written by one process."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.exchange.accounts import Account, Configuration, Position
from mahler_pipelines.exchange.activities import Activity, ActivityKind
from mahler_pipelines.exchange.orders import (
    Intent,
    LegTerms,
    Order,
    OrderKind,
    OrderLeg,
    TimeInForce,
    WireStatus,
)
from mahler_pipelines.exchange.schema import SCHEMA_VERSION, TABLES, UPGRADES
from mahler_pipelines.options.structures import Side

_WAIT_SECONDS = 2.0


class ExchangeStore:
    """Accounts, positions, orders and activities.

    One connection; its caller serialises. Writes go into `transaction`, so that a killed process
    leaves an event either wholly applied or not at all. Raises `BadInput` when another exchange has
    the file open, `CorruptData` for a database of another schema.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._take_possession()
        except sqlite3.OperationalError as error:
            self._connection.close()
            if "locked" not in str(error):
                raise
            raise BadInput("state", str(path), "another exchange runs on it") from None
        found = self.meta("schema_version")
        if found is None:
            self.set_meta("schema_version", SCHEMA_VERSION)
        elif found != SCHEMA_VERSION and not self._upgrade(found):
            self._connection.close()
            raise CorruptData(f"{path} has schema {found}, this exchange reads {SCHEMA_VERSION}")

    def _take_possession(self) -> None:
        """Lock the file while the connection lives: two clocks on one state would differ."""
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(TABLES)

    def _upgrade(self, version: str) -> bool:
        """Bring an earlier schema up to this one, in one transaction; False for any other."""
        if version not in UPGRADES:
            return False
        with self.transaction():
            while version != SCHEMA_VERSION:
                for statement in UPGRADES[version]:
                    self._write(statement)
                version = str(int(version) + 1)
            self.set_meta("schema_version", SCHEMA_VERSION)
        return True

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction; joins the one that is already open."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def meta(self, key: str) -> str | None:
        """Return a value of the exchange as a whole."""
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row["value"])

    def set_meta(self, key: str, value: str) -> None:
        """Store a value of the exchange as a whole."""
        self._write(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            value,
        )

    # Accounts and positions

    def account(self, name: str) -> Account | None:
        """Return the account of this name."""
        row = self._one("SELECT * FROM accounts WHERE name = ?", name)
        return None if row is None else _account(row)

    def accounts(self) -> tuple[Account, ...]:
        """Return every account."""
        return tuple(map(_account, self._all("SELECT * FROM accounts ORDER BY name")))

    def save_account(self, account: Account) -> None:
        """Insert or replace an account."""
        self._write(
            "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            account.name,
            account.id,
            str(account.cash),
            str(account.last_equity),
            moment_text(account.created_at),
            account.configuration.max_options_trading_level,
            int(account.configuration.suspend_trade),
            int(account.configuration.no_shorting),
        )

    def positions(self, account: str | None = None) -> tuple[Position, ...]:
        """Return what an account holds, or everybody's holdings, by symbol."""
        rows = self._all(
            "SELECT * FROM positions WHERE ? IS NULL OR account = ? ORDER BY account, symbol",
            account,
            account,
        )
        return tuple(map(_position, rows))

    def position(self, account: str, symbol: str) -> Position | None:
        """Return one holding."""
        row = self._one("SELECT * FROM positions WHERE account = ? AND symbol = ?", account, symbol)
        return None if row is None else _position(row)

    def save_position(self, position: Position) -> None:
        """Insert or replace a holding."""
        self._write(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
            position.account,
            position.symbol,
            position.quantity,
            str(position.average_price),
            str(position.mark),
            str(position.previous_mark),
        )

    def drop_position(self, account: str, symbol: str) -> None:
        """Remove a holding that has become flat, and what was asked about its exercise."""
        self._write("DELETE FROM positions WHERE account = ? AND symbol = ?", account, symbol)
        self._write("DELETE FROM do_not_exercise WHERE account = ? AND symbol = ?", account, symbol)

    def refuse_exercise(self, account: str, symbol: str) -> None:
        """Keep a do-not-exercise instruction of a holding."""
        self._write("INSERT OR IGNORE INTO do_not_exercise VALUES (?, ?)", account, symbol)

    def refuses_exercise(self, account: str, symbol: str) -> bool:
        """Whether a holding has a do-not-exercise instruction."""
        found = self._one(
            "SELECT 1 FROM do_not_exercise WHERE account = ? AND symbol = ?", account, symbol
        )
        return found is not None

    # What an account was worth

    def record_equity(self, account: str, at: datetime, session: date, equity: Decimal) -> None:
        """Keep what an account was worth at a moment; the same moment again replaces it."""
        self._write(
            "INSERT OR REPLACE INTO equity VALUES (?, ?, ?, ?)",
            account,
            moment_text(at),
            session.isoformat(),
            str(equity),
        )

    def equity_between(
        self, account: str, start: datetime, end: datetime
    ) -> tuple[tuple[datetime, Decimal], ...]:
        """Return what an account was worth in [start, end], as far as it was looked at."""
        rows = self._all(
            "SELECT at, equity FROM equity WHERE account = ? AND at BETWEEN ? AND ? ORDER BY at",
            account,
            moment_text(start),
            moment_text(end),
        )
        return tuple((datetime.fromisoformat(row["at"]), Decimal(row["equity"])) for row in rows)

    def equity_by_session(self, account: str, until: date) -> tuple[tuple[date, Decimal], ...]:
        """Return the last equity of each session up to a day, oldest first."""
        rows = self._all(
            "SELECT session, equity, max(at) FROM equity WHERE account = ? AND session <= ?"
            " GROUP BY session ORDER BY session",
            account,
            until.isoformat(),
        )
        return tuple((date.fromisoformat(row["session"]), Decimal(row["equity"])) for row in rows)

    # Orders

    def add_order(self, order: Order) -> None:
        """Insert a new order with its legs."""
        self._write(
            f"INSERT INTO orders ({_ORDER_COLUMNS}) VALUES ({_ORDER_PLACES})",  # noqa: S608 constants
            *_order_values(order),
        )
        for place, leg in enumerate(order.legs):
            self._write(
                "INSERT INTO legs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                order.id,
                place,
                leg.id,
                leg.client_order_id,
                leg.terms.symbol,
                leg.terms.side.value,
                leg.terms.ratio,
                leg.terms.intent.value,
                leg.filled_quantity,
                str(leg.filled_value),
            )

    def update_order(self, order: Order) -> None:
        """Write an order's state and its legs' fills."""
        self._write(
            f"UPDATE orders SET ({_ORDER_COLUMNS}) = ({_ORDER_PLACES}) WHERE id = ?",  # noqa: S608 constants
            *_order_values(order),
            order.id,
        )
        for leg in order.legs:
            self._write(
                "UPDATE legs SET filled_quantity = ?, filled_value = ? WHERE id = ?",
                leg.filled_quantity,
                str(leg.filled_value),
                leg.id,
            )

    def order(self, order_id: str) -> Order | None:
        """Return the order of this id; the id of a leg finds its order."""
        row = self._one("SELECT * FROM orders WHERE id = ?", order_id) or self._one(
            "SELECT orders.* FROM orders JOIN legs ON legs.order_id = orders.id WHERE legs.id = ?",
            order_id,
        )
        return None if row is None else self._order(row)

    def order_by_client_id(self, account: str, client_order_id: str) -> Order | None:
        """Return the order that an account sent under this id."""
        row = self._one(
            "SELECT * FROM orders WHERE account = ? AND client_order_id = ?",
            account,
            client_order_id,
        )
        return None if row is None else self._order(row)

    def orders(
        self, account: str | None = None, *, is_open: bool | None = None
    ) -> tuple[Order, ...]:
        """Return orders as they were sent, of one account or all, open or closed or both."""
        rows = self._all(
            "SELECT * FROM orders WHERE (? IS NULL OR account = ?) AND (? IS NULL OR is_open = ?)"
            " ORDER BY sequence",
            account,
            account,
            is_open,
            is_open,
        )
        return tuple(self._order(row) for row in rows)

    def _order(self, row: sqlite3.Row) -> Order:
        legs = self._all("SELECT * FROM legs WHERE order_id = ? ORDER BY place", row["id"])
        return Order(
            id=row["id"],
            account=row["account"],
            client_order_id=row["client_order_id"],
            multileg=bool(row["multileg"]),
            kind=OrderKind(row["kind"]),
            time_in_force=TimeInForce(row["time_in_force"]),
            quantity=row["quantity"],
            limit_price=None if row["limit_price"] is None else Decimal(row["limit_price"]),
            legs=tuple(map(_leg, legs)),
            status=WireStatus(row["status"]),
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]),
            expires_at=datetime.fromisoformat(row["expires_at"]),
            filled_quantity=row["filled_quantity"],
            filled_at=_moment(row["filled_at"]),
            canceled_at=_moment(row["canceled_at"]),
            expired_at=_moment(row["expired_at"]),
            replaced_at=_moment(row["replaced_at"]),
            replaces=row["replaces"],
            replaced_by=row["replaced_by"],
            stop_price=None if row["stop_price"] is None else Decimal(row["stop_price"]),
            triggered_at=_moment(row["triggered_at"]),
        )

    # Activities

    def add_activity(self, activity: Activity) -> None:
        """Append a row to an account's history."""
        self._write(
            "INSERT INTO activities (id, account, kind, created_at, order_id, leg_id, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            activity.id,
            activity.account,
            activity.kind.value,
            moment_text(activity.created_at),
            activity.order_id,
            activity.leg_id,
            json.dumps(activity.body),
        )

    def activities(self, account: str, *, until: datetime) -> tuple[Activity, ...]:
        """Return the history that is visible at a moment, oldest first."""
        rows = self._all(
            "SELECT * FROM activities WHERE account = ? AND created_at <= ?"
            " ORDER BY created_at, sequence",
            account,
            moment_text(until),
        )
        return tuple(
            Activity(
                id=row["id"],
                account=row["account"],
                kind=ActivityKind(row["kind"]),
                created_at=datetime.fromisoformat(row["created_at"]),
                body=json.loads(row["body"]),
                order_id=row["order_id"],
                leg_id=row["leg_id"],
            )
            for row in rows
        )

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, *values: object) -> Sequence[sqlite3.Row]:
        return self._connection.execute(statement, values).fetchall()

    def _write(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)


_ORDER_COLUMNS = (
    "id, account, client_order_id, multileg, kind, time_in_force, quantity, limit_price, status,"
    " is_open, filled_quantity, created_at, updated_at, expires_at, filled_at, canceled_at,"
    " expired_at, replaced_at, replaces, replaced_by, stop_price, triggered_at"
)
_ORDER_PLACES = ", ".join("?" * (_ORDER_COLUMNS.count(",") + 1))


def moment_text(moment: datetime) -> str:
    """Write a moment so that the order of texts is the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _optional_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


def _order_values(order: Order) -> tuple[Any, ...]:
    return (
        order.id,
        order.account,
        order.client_order_id,
        int(order.multileg),
        order.kind.value,
        order.time_in_force.value,
        order.quantity,
        None if order.limit_price is None else str(order.limit_price),
        order.status.value,
        int(order.status.is_open),
        order.filled_quantity,
        moment_text(order.created_at),
        moment_text(order.updated_at),
        moment_text(order.expires_at),
        _optional_text(order.filled_at),
        _optional_text(order.canceled_at),
        _optional_text(order.expired_at),
        _optional_text(order.replaced_at),
        order.replaces,
        order.replaced_by,
        None if order.stop_price is None else str(order.stop_price),
        _optional_text(order.triggered_at),
    )


def _account(row: sqlite3.Row) -> Account:
    return Account(
        name=row["name"],
        id=row["id"],
        cash=Decimal(row["cash"]),
        last_equity=Decimal(row["last_equity"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        configuration=Configuration(
            max_options_trading_level=row["max_options_trading_level"],
            suspend_trade=bool(row["suspend_trade"]),
            no_shorting=bool(row["no_shorting"]),
        ),
    )


def _position(row: sqlite3.Row) -> Position:
    return Position(
        account=row["account"],
        symbol=row["symbol"],
        quantity=row["quantity"],
        average_price=Decimal(row["average_price"]),
        mark=Decimal(row["mark"]),
        previous_mark=Decimal(row["previous_mark"]),
    )


def _leg(row: sqlite3.Row) -> OrderLeg:
    return OrderLeg(
        id=row["id"],
        client_order_id=row["client_order_id"],
        terms=LegTerms(row["symbol"], Side(row["side"]), row["ratio"], Intent(row["intent"])),
        filled_quantity=row["filled_quantity"],
        filled_value=Decimal(row["filled_value"]),
    )
