"""Tables of the exchange's database. Money is text that `Decimal` reads; moments are UTC text.

A folder of an earlier version is brought up to this one when it is opened: tables that it lacks are
made, `UPGRADES` add what its tables lack. A later version is refused.
"""

SCHEMA_VERSION = "2"

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, cash TEXT NOT NULL, last_equity TEXT NOT NULL,
    created_at TEXT NOT NULL, max_options_trading_level INTEGER NOT NULL,
    suspend_trade INTEGER NOT NULL, no_shorting INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    account TEXT NOT NULL, symbol TEXT NOT NULL, quantity INTEGER NOT NULL CHECK (quantity <> 0),
    average_price TEXT NOT NULL, mark TEXT NOT NULL, previous_mark TEXT NOT NULL,
    PRIMARY KEY (account, symbol)
);
CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
    client_order_id TEXT NOT NULL, multileg INTEGER NOT NULL, kind TEXT NOT NULL,
    time_in_force TEXT NOT NULL, quantity INTEGER NOT NULL, limit_price TEXT,
    status TEXT NOT NULL, is_open INTEGER NOT NULL, filled_quantity INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, expires_at TEXT NOT NULL, filled_at TEXT,
    canceled_at TEXT, expired_at TEXT, replaced_at TEXT, replaces TEXT, replaced_by TEXT,
    stop_price TEXT, triggered_at TEXT,
    UNIQUE (account, client_order_id)
);
CREATE INDEX IF NOT EXISTS open_orders ON orders (is_open, account);
CREATE TABLE IF NOT EXISTS legs (
    order_id TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
    client_order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    ratio INTEGER NOT NULL, intent TEXT NOT NULL, filled_quantity INTEGER NOT NULL,
    filled_value TEXT NOT NULL, PRIMARY KEY (order_id, place)
);
CREATE TABLE IF NOT EXISTS activities (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
    kind TEXT NOT NULL, created_at TEXT NOT NULL, order_id TEXT, leg_id TEXT, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS activities_in_time ON activities (account, created_at, sequence);
CREATE TABLE IF NOT EXISTS do_not_exercise (
    account TEXT NOT NULL, symbol TEXT NOT NULL, PRIMARY KEY (account, symbol)
);
CREATE TABLE IF NOT EXISTS equity (
    account TEXT NOT NULL, at TEXT NOT NULL, session TEXT NOT NULL, equity TEXT NOT NULL,
    PRIMARY KEY (account, at)
);
"""

UPGRADES: dict[str, tuple[str, ...]] = {
    "1": (
        "ALTER TABLE orders ADD COLUMN stop_price TEXT",
        "ALTER TABLE orders ADD COLUMN triggered_at TEXT",
    ),
}
"""Version -> what makes it the next one, where a new table alone does not."""
