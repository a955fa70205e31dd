"""The tables of messaging: cards, interactions, approvals, answers to exit alerts."""

import sqlalchemy as sa

from mahler_pipelines.storage.columns import UtcDateTime
from mahler_pipelines.storage.tables import metadata

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _account(*, key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=key, nullable=False
    )


cards = sa.Table(
    "cards",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True),
    _account(),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("confirmed", sa.Boolean, nullable=False),
    sa.UniqueConstraint("account_id", "key"),
    sa.UniqueConstraint("account_id", "message_id"),
    sa.Index(None, "account_id", "settled"),
)

seen_interactions = sa.Table(
    "seen_interactions",
    metadata,
    _account(key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True),
    _account(),
    sa.Column("recommendation_id", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("door", sa.Text, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.UniqueConstraint("account_id", "recommendation_id", "decided_by"),
    sa.ForeignKeyConstraint(
        ["account_id", "recommendation_id"],
        ["recommendations.account_id", "recommendations.id"],
    ),
)

close_requests = sa.Table(
    "close_requests",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True),
    _account(),
    sa.Column("trade_id", sa.Text, nullable=False),
    sa.Column("wish", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("door", sa.Text, nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("taken_at", UtcDateTime, nullable=True),
    sa.Index(None, "account_id", "trade_id"),
    sa.ForeignKeyConstraint(["account_id", "trade_id"], ["trades.account_id", "trades.id"]),
)
