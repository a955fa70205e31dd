"""Expiring leases: one holder at a time, by the clock of the database."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles

from mahler_pipelines.errors import BadInput, LeaseHeld
from mahler_pipelines.storage.tables import leases

Begin = Callable[[], AbstractContextManager[sa.Connection]]


@contextmanager
def hold(
    begin: Begin, name: str, *, account_id: str, holder: str, seconds: float
) -> Iterator[None]:
    """Hold a lease for the block, each step in a short transaction that `begin` opens.

    Raises `LeaseHeld` while another has it. A lease is never renewed: work that outlasts it may
    meet the next holder, so `seconds` is chosen above the longest work.
    """
    if seconds <= 0:
        raise BadInput("seconds", seconds, "a lease lasts for a while")
    # The holder's name may come again (a restarted run); the token tells this block's lease.
    token = secrets.token_hex(16)
    with begin() as connection:
        _acquire(
            connection, name, account_id=account_id, holder=holder, token=token, seconds=seconds
        )
    try:
        yield
    finally:
        with begin() as connection:
            connection.execute(sa.delete(leases).where(leases.c.token == token))


def is_held(name: str, *, account_id: str) -> sa.ColumnElement[bool]:
    """Say, as a condition of a query, whether somebody has the lease now."""
    return sa.exists().where(
        leases.c.account_id == account_id, leases.c.name == name, leases.c.expires_epoch > _Now()
    )


def _acquire(
    connection: sa.Connection,
    name: str,
    *,
    account_id: str,
    holder: str,
    token: str,
    seconds: float,
) -> None:
    now = _Now()
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    wanted = {"holder": holder, "token": token, "expires_epoch": now + seconds}
    statement = (
        dialect.insert(leases)
        .values(account_id=account_id, name=name, **wanted)
        .on_conflict_do_update(
            index_elements=["account_id", "name"],
            set_=wanted,
            where=leases.c.expires_epoch <= now,
        )
        .returning(leases.c.token)
    )
    if connection.execute(statement).first() is not None:
        return
    query = sa.select(leases).where(leases.c.account_id == account_id, leases.c.name == name)
    held = connection.execute(query).first()
    if held is None:  # released between the two statements
        raise LeaseHeld(f"lease {name} of {account_id} was held a moment ago: try again")
    until = datetime.fromtimestamp(held.expires_epoch, UTC).isoformat(timespec="milliseconds")
    raise LeaseHeld(f"lease {name} of {account_id} is held by {held.holder} until {until}")


class _Now(sa.ColumnElement[float]):
    """The database's clock in seconds since 1970, as each of the two databases spells it."""

    type = sa.Double()
    inherit_cache = True


@compiles(_Now, "sqlite")
def _now_on_sqlite(_now: _Now, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Now, "postgresql")
def _now_on_postgresql(_now: _Now, _compiler: Any, **_options: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"
