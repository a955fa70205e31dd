"""State folders of other versions: an earlier one is brought up to date, a later one refused."""

import sqlite3
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.exchange.engine import DATABASE, Exchange, ExchangeTerms
from mahler_pipelines.exchange.schema import SCHEMA_VERSION, UPGRADES
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import OPENING, HandMadeMarket, call, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

VERSION_1_ORDERS = """
CREATE TABLE orders (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
    client_order_id TEXT NOT NULL, multileg INTEGER NOT NULL, kind TEXT NOT NULL,
    time_in_force TEXT NOT NULL, quantity INTEGER NOT NULL, limit_price TEXT,
    status TEXT NOT NULL, is_open INTEGER NOT NULL, filled_quantity INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, expires_at TEXT NOT NULL, filled_at TEXT,
    canceled_at TEXT, expired_at TEXT, replaced_at TEXT, replaces TEXT, replaced_by TEXT,
    UNIQUE (account, client_order_id)
);
"""
"""The table as the first version had it."""


def made_by_version_1(folder: Path) -> None:
    """Take from a folder of this version what the first one did not have; keep its rows."""
    with exchange_on(HandMadeMarket(), folder) as exchange:
        legs = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]
        send(exchange, spread(legs, "-0.50", qty=3, client_order_id="before"))
        send(exchange, single(call(105), "buy", "0.50", qty=7, time_in_force="gtc"))
    connection = sqlite3.connect(folder / DATABASE)
    found = connection.execute("SELECT * FROM orders LIMIT 0").description
    with sqlite3.connect(":memory:") as model:
        model.executescript(VERSION_1_ORDERS)
        kept = [row[1] for row in model.execute("PRAGMA table_info(orders)")]
    model.close()
    assert set(kept) < {column[0] for column in found}
    names = ", ".join(kept)
    rows = connection.execute(f"SELECT {names} FROM orders").fetchall()  # noqa: S608 constants
    connection.executescript(
        f"DROP TABLE orders; {VERSION_1_ORDERS} DROP TABLE equity; DROP TABLE do_not_exercise;"
    )
    places = ", ".join("?" * len(kept))
    connection.executemany(f"INSERT INTO orders VALUES ({places})", rows)  # noqa: S608 constants
    connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    connection.commit()
    connection.close()


def test_folder_of_the_first_version_goes_on(tmp_path: Path) -> None:
    made_by_version_1(tmp_path)
    with exchange_on(HandMadeMarket(), tmp_path) as exchange:
        assert exchange.store.meta("schema_version") == SCHEMA_VERSION
        before, resting = exchange.store.orders("main")
        assert (before.client_order_id, before.filled_quantity) == ("before", 3)
        assert resting.status.is_open
        exchange.advance(datetime(2026, 11, 3, 16, tzinfo=NEW_YORK))
        assert len(exchange.store.positions("main")) == 2
        assert [day for day, _ in exchange.store.equity_by_session("main", date(2026, 11, 3))] == [
            date(2026, 11, 2),
            date(2026, 11, 3),
        ]


def test_every_earlier_version_has_its_upgrade() -> None:
    assert set(UPGRADES) == {str(number) for number in range(1, int(SCHEMA_VERSION))}


@pytest.mark.parametrize("version", ["0", "99", "two"])
def test_folder_of_another_version_is_refused_and_left_as_it_is(
    tmp_path: Path, version: str
) -> None:
    terms = ExchangeTerms(start_at=OPENING, starting_equity=Decimal(7))
    Exchange(HandMadeMarket(), tmp_path, terms).close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
    connection.close()
    with pytest.raises(CorruptData, match=f"schema {version}"):
        Exchange(HandMadeMarket(), tmp_path, terms)
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        assert connection.execute("SELECT cash FROM accounts").fetchone() == ("7.00",)
    connection.close()
