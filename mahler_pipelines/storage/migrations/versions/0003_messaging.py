"""Messages on their way, cards in the channel, and what people press."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

TABLES = ("cards", "seen_interactions", "approvals", "close_requests")


def upgrade() -> None:
    """Add what delivery and the doors keep."""
    op.add_column("outbox", sa.Column("sending_since", MOMENT))
    op.add_column("outbox", sa.Column("next_attempt_at", MOMENT))
    _create_cards()
    _create_seen_interactions()
    _create_approvals()
    _create_close_requests()


def downgrade() -> None:
    """Take it off again."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("outbox", "next_attempt_at")
    op.drop_column("outbox", "sending_since")


def _create_cards() -> None:
    op.create_table(
        "cards",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_cards"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_cards_accounts"),
        sa.UniqueConstraint("account_id", "key", name="uq_cards_account_id_key"),
        sa.UniqueConstraint("account_id", "message_id", name="uq_cards_account_id_message_id"),
    )
    op.create_index("ix_cards_account_id_settled", "cards", ["account_id", "settled"])


def _create_seen_interactions() -> None:
    op.create_table(
        "seen_interactions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", name="pk_seen_interactions"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_seen_interactions_accounts"
        ),
    )


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("recommendation_id", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_approvals"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_approvals_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "recommendation_id"],
            ["recommendations.account_id", "recommendations.id"],
            name="fk_approvals_recommendations",
        ),
        sa.UniqueConstraint(
            "account_id",
            "recommendation_id",
            "decided_by",
            name="uq_approvals_account_id_recommendation_id_decided_by",
        ),
    )


def _create_close_requests() -> None:
    op.create_table(
        "close_requests",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_close_requests"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_close_requests_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_close_requests_trades",
        ),
    )
    op.create_index(
        "ix_close_requests_account_id_trade_id", "close_requests", ["account_id", "trade_id"]
    )
