"""Measure the lake and the ledger against the plainest peers: pandas.to_parquet and sqlite3.

Run it with `python benchmarks/ledger_and_lake.py`. A ratio says how much longer ours takes.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from mahler_pipelines.execution.broker import OrderLeg, OrderStatus, PositionIntent
from mahler_pipelines.execution.ledger import OrderPurpose, OrderRecord
from mahler_pipelines.market.chains import ChainSnapshot, conform_quotes
from mahler_pipelines.options.structures import Side
from mahler_pipelines.storage.lake import ParquetLake
from mahler_pipelines.storage.ledger import SqlLedgerBook

ROWS = 12_000
SESSION = date(2024, 1, 3)
NOW = datetime(2024, 1, 3, 14, 35, tzinfo=UTC)


def median_ms(work: Callable[[], object], *, repeat: int = 15) -> float:
    """Median wall time in milliseconds, after one run to warm up."""
    work()
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken) * 1000)


def report(name: str, ours: float, peer: float | None = None, peer_name: str = "") -> None:
    """Print one line."""
    against = f"{peer:9.2f} ms {peer_name}   ratio {ours / peer:.2f}" if peer else ""
    print(f"{name:42s} {ours:9.2f} ms   {against}")


def chain() -> pd.DataFrame:
    """A chain of 12,000 contracts."""
    random = np.random.default_rng(7)
    strikes = random.uniform(100, 900, ROWS).round(0)
    return conform_quotes(
        pd.DataFrame(
            {
                "underlying": "SPY",
                "symbol": [f"SPY240119P{place:08d}" for place in range(ROWS)],
                "root": "SPY",
                "expiration": pd.Timestamp("2024-01-19"),
                "right": -1,
                "strike": strikes,
                "bid": random.uniform(0, 9, ROWS).round(2),
                "ask": random.uniform(0, 9, ROWS).round(2),
                "volume": random.integers(0, 999, ROWS),
                "open_interest": random.integers(0, 9999, ROWS),
                "quote_time": pd.Timestamp(NOW),
                "underlying_price": 470.1,
            }
        )
    )


def measure_lake(folder: Path) -> None:
    """Write and read one partition and a range of 252 sessions with three scans each."""
    lake, rows, plain = ParquetLake(folder / "lake"), chain(), folder / "plain.parquet"
    ours = median_ms(lambda: lake.write("quotes", rows, session=SESSION, scan="morning"))
    peer = median_ms(lambda: rows.to_parquet(plain, compression="zstd", index=False))
    report("write a partition of 12,000 rows (fsync)", ours, peer, "to_parquet")
    ours = median_ms(lambda: lake.read("quotes", session=SESSION, scan="morning"))
    report("read it", ours, median_ms(lambda: pd.read_parquet(plain)), "read_parquet")
    name = lake.add_snapshot(ChainSnapshot(SESSION, "morning", NOW, rows))
    report("read a snapshot, hash verified", median_ms(lambda: lake.snapshot(content_hash=name)))
    few, end = rows.head(400), SESSION + timedelta(days=251)
    for day in range(252):
        for scan in ("morning", "midday", "afternoon"):
            lake.write("signals", few, session=SESSION + timedelta(days=day), scan=scan)
    paths = sorted((folder / "lake" / "signals").rglob("part.parquet"))

    def join_plainly() -> pd.DataFrame:
        return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)

    ours = median_ms(lambda: lake.read_range("signals", start=SESSION, end=end), repeat=3)
    report(
        "read a range of 756 partitions", ours, median_ms(join_plainly, repeat=3), "read + concat"
    )


def intent(number: int) -> OrderRecord:
    """One opening intent."""
    return OrderRecord(
        client_order_id=f"o-{number}",
        account_id="main",
        purpose=OrderPurpose.OPEN,
        subject_id=f"r-{number}",
        underlying="SPY",
        legs=(
            OrderLeg("SPY240119P00450000", Side.SELL, 1, PositionIntent.SELL_TO_OPEN),
            OrderLeg("SPY240119P00445000", Side.BUY, 1, PositionIntent.BUY_TO_OPEN),
        ),
        quantity=1,
        limit_price=Decimal("-1.25"),
        status=OrderStatus.INTENDED,
        status_reason="",
        intended_at=NOW,
        broker_order_id=None,
        filled_quantity=0,
        average_fill_price=None,
        mid_at_submission=None,
        run_id="benchmark",
    )


def measure_ledger(folder: Path) -> None:
    """Commit intents one by one: count the day's entries, then order, legs and audit event."""
    book = SqlLedgerBook(f"sqlite:///{folder / 'ledger.sqlite'}")
    numbers = iter(range(1_000_000))

    def ours() -> None:
        with book.transaction("main") as ledger:
            ledger.entries_on(SESSION)
            ledger.add_order(intent(next(numbers)))

    plain = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = FULL")
    for table in ("orders", "legs", "audit"):
        plain.execute(f"CREATE TABLE {table} (id TEXT, a TEXT, b TEXT, c TEXT, d TEXT)")

    def peer() -> None:
        number = str(next(numbers))
        plain.execute("BEGIN IMMEDIATE")
        plain.execute("SELECT count(*) FROM orders WHERE a = 'open'").fetchone()
        for table in ("orders", "legs", "legs", "audit"):
            statement = f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)"  # noqa: S608
            plain.execute(statement, (number, "open", "x", "-1.25", NOW.isoformat()))
        plain.execute("COMMIT")

    taken = median_ms(ours, repeat=200)
    report("commit an intent with its audit event", taken, median_ms(peer, repeat=200), "sqlite3")
    print(f"{'transactions a second':42s} {1000 / taken:9.0f}")
    report("pending executions", median_ms(lambda: book.pending_executions("main"), repeat=200))
    plain.close()
    book.close()


def main() -> None:
    """Measure both in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        measure_lake(Path(name))
        measure_ledger(Path(name))


if __name__ == "__main__":
    main()
