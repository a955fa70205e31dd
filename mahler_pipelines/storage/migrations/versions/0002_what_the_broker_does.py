"""What the broker does by itself: assignments, adopted positions, findings and their repairs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
AMOUNT = sa.Numeric().with_variant(sa.Text(), "sqlite")

BROKER_BOOKS = (
    "broker_activities",
    "leg_settlements",
    "holdings",
    "findings",
    "cash_beginnings",
)
"""Tables of what the broker did by itself, in the order of creation."""


def upgrade() -> None:
    """Add what limit walking records, and what the broker does by itself."""
    _add_walking()
    _add_warnings()
    _add_requotes()
    _add_rolls()
    _add_broker_books()


def downgrade() -> None:
    """Take it off again."""
    for table in reversed(BROKER_BOOKS):
        op.drop_table(table)
    _drop_rolls()
    _drop_requotes()
    _drop_warnings()
    _drop_walking()


def _add_walking() -> None:
    op.add_column("orders", sa.Column("cancel_reason", sa.Text, nullable=False, server_default=""))
    op.add_column("fills", sa.Column("mid", AMOUNT))
    op.add_column("fills", sa.Column("slippage", AMOUNT))
    op.add_column("fills", sa.Column("quoted_at", MOMENT))


def _drop_walking() -> None:
    for column in ("mid", "slippage", "quoted_at"):
        op.drop_column("fills", column)
    op.drop_column("orders", "cancel_reason")


def _add_warnings() -> None:
    column = sa.Column("warning", sa.Text, nullable=False, server_default="")
    op.add_column("position_marks", column)


def _drop_warnings() -> None:
    op.drop_column("position_marks", "warning")


def _add_requotes() -> None:
    op.add_column("recommendations", sa.Column("requotes", sa.Text))


def _drop_requotes() -> None:
    op.drop_column("recommendations", "requotes")


def _add_rolls() -> None:
    op.add_column("recommendations", sa.Column("rolls", sa.Text))
    op.add_column("orders", sa.Column("rolls", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_orders_account_id_rolls", "orders", ["account_id", "rolls"])


def _drop_rolls() -> None:
    op.drop_index("ix_orders_account_id_rolls", table_name="orders")
    op.drop_column("orders", "rolls")
    op.drop_column("recommendations", "rolls")


def _add_broker_books() -> None:
    _create_broker_activities()
    _create_leg_settlements()
    _create_holdings()
    _create_findings()
    _create_cash_beginnings()


def _create_broker_activities() -> None:
    op.create_table(
        "broker_activities",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", AMOUNT, nullable=False),
        sa.Column("price", AMOUNT, nullable=True),
        sa.Column("net_amount", AMOUNT, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("booked_quantity", AMOUNT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_broker_activities"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_broker_activities_accounts"
        ),
        sa.UniqueConstraint("account_id", "id", name="uq_broker_activities_account_id_id"),
    )


def _create_leg_settlements() -> None:
    op.create_table(
        "leg_settlements",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=True),
        sa.Column("settled_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_leg_settlements"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_leg_settlements_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_leg_settlements_trades",
        ),
        sa.UniqueConstraint("account_id", "id", name="uq_leg_settlements_account_id_id"),
    )
    op.create_index(
        "ix_leg_settlements_account_id_trade_id", "leg_settlements", ["account_id", "trade_id"]
    )


def _create_holdings() -> None:
    op.create_table(
        "holdings",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("opened_quantity", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("average_price", AMOUNT, nullable=False),
        sa.Column("carried_price", AMOUNT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("realised_usd", AMOUNT, nullable=False),
        sa.Column("fees_usd", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_holdings"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_holdings_accounts"),
        sa.UniqueConstraint("account_id", "id", name="uq_holdings_account_id_id"),
    )


def _create_findings() -> None:
    op.create_table(
        "findings",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("expected", AMOUNT, nullable=False),
        sa.Column("found", AMOUNT, nullable=False),
        sa.Column("first_seen", MOMENT, nullable=False),
        sa.Column("last_seen", MOMENT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("repair", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_findings"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_findings_accounts"),
        sa.UniqueConstraint("account_id", "id", name="uq_findings_account_id_id"),
    )
    op.create_index("ix_findings_account_id_status", "findings", ["account_id", "status"])


def _create_cash_beginnings() -> None:
    op.create_table(
        "cash_beginnings",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("cash", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_cash_beginnings"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_cash_beginnings_accounts"
        ),
    )
