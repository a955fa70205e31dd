"""The first ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
AMOUNT = sa.Numeric().with_variant(sa.Text(), "sqlite")


TABLES = (
    "accounts",
    "leases",
    "audit_events",
    "daily_performance",
    "model_calls",
    "orders",
    "outbox",
    "playbook_rules",
    "recommendations",
    "trades",
    "trading_state",
    "decisions",
    "fills",
    "order_legs",
    "position_marks",
    "recommendation_legs",
    "reflections",
    "trade_leg_prices",
    "trade_legs",
)
"""In the order of creation: a table comes after those it refers to."""


def upgrade() -> None:
    """Create every table."""
    _create_accounts()
    _create_leases()
    _create_audit_events()
    _create_daily_performance()
    _create_model_calls()
    _create_orders()
    _create_outbox()
    _create_playbook_rules()
    _create_recommendations()
    _create_trades()
    _create_trading_state()
    _create_decisions()
    _create_fills()
    _create_order_legs()
    _create_position_marks()
    _create_recommendation_legs()
    _create_reflections()
    _create_trade_leg_prices()
    _create_trade_legs()


def downgrade() -> None:
    """Drop every table."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("expires_epoch", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_leases"),
    )


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_events"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_audit_events_accounts"),
    )
    op.create_index("ix_audit_events_account_id_subject", "audit_events", ["account_id", "subject"])


def _create_daily_performance() -> None:
    op.create_table(
        "daily_performance",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("equity", AMOUNT, nullable=False),
        sa.Column("cash", AMOUNT, nullable=False),
        sa.Column("realised_pnl", AMOUNT, nullable=False),
        sa.Column("unrealised_pnl", AMOUNT, nullable=False),
        sa.Column("fees", AMOUNT, nullable=False),
        sa.Column("trades_opened", sa.Integer(), nullable=False),
        sa.Column("trades_closed", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("open_trades", sa.Integer(), nullable=False),
        sa.Column("drawdown", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "session", name="pk_daily_performance"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_daily_performance_accounts"
        ),
    )


def _create_model_calls() -> None:
    op.create_table(
        "model_calls",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("analyst", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("raw_message", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("latency_seconds", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_model_calls"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_model_calls_accounts"),
    )
    op.create_index(
        "ix_model_calls_account_id_candidate_id", "model_calls", ["account_id", "candidate_id"]
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("limit_price", AMOUNT, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("intended_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=True),
        sa.Column("filled_quantity", sa.Integer(), nullable=False),
        sa.Column("average_fill_price", AMOUNT, nullable=True),
        sa.Column("mid_at_submission", AMOUNT, nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_orders"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_orders_accounts"),
        sa.UniqueConstraint(
            "account_id", "client_order_id", name="uq_orders_account_id_client_order_id"
        ),
    )
    op.create_index(
        "ix_orders_account_id_purpose_intended_at",
        "orders",
        ["account_id", "purpose", "intended_at"],
    )
    op.create_index("ix_orders_account_id_status", "orders", ["account_id", "status"])
    op.create_index("ix_orders_account_id_subject_id", "orders", ["account_id", "subject_id"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_outbox_accounts"),
        sa.UniqueConstraint("account_id", "key", name="uq_outbox_account_id_key"),
    )
    op.create_index("ix_outbox_account_id_delivered_at", "outbox", ["account_id", "delivered_at"])


def _create_playbook_rules() -> None:
    op.create_table(
        "playbook_rules",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("adopted_at", MOMENT, nullable=True),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_playbook_rules"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_playbook_rules_accounts"),
        sa.UniqueConstraint("account_id", "id", name="uq_playbook_rules_account_id_id"),
    )


def _create_recommendations() -> None:
    op.create_table(
        "recommendations",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("scan", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("contracts", sa.Integer(), nullable=False),
        sa.Column("target_credit", AMOUNT, nullable=False),
        sa.Column("floor_credit", AMOUNT, nullable=False),
        sa.Column("max_loss_usd", AMOUNT, nullable=False),
        sa.Column("snapshot_hash", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_recommendations"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_recommendations_accounts"
        ),
        sa.UniqueConstraint("account_id", "id", name="uq_recommendations_account_id_id"),
    )
    op.create_index(
        "ix_recommendations_account_id_session", "recommendations", ["account_id", "session"]
    )
    op.create_index(
        "ix_recommendations_account_id_status", "recommendations", ["account_id", "status"]
    )


def _create_trades() -> None:
    op.create_table(
        "trades",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("recommendation_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("contracts", sa.Integer(), nullable=False),
        sa.Column("entry_time", MOMENT, nullable=False),
        sa.Column("entry_credit", AMOUNT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("exit_time", MOMENT, nullable=True),
        sa.Column("exit_debit", AMOUNT, nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("fees_usd", AMOUNT, nullable=False),
        sa.Column("pnl_usd", AMOUNT, nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_trades"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_trades_accounts"),
        sa.UniqueConstraint("account_id", "id", name="uq_trades_account_id_id"),
    )
    op.create_index("ix_trades_account_id_exit_time", "trades", ["account_id", "exit_time"])
    op.create_index("ix_trades_account_id_status", "trades", ["account_id", "status"])


def _create_trading_state() -> None:
    op.create_table(
        "trading_state",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_trading_state"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_trading_state_accounts"),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("recommendation_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "recommendation_id", name="pk_decisions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_decisions_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "recommendation_id"],
            ["recommendations.account_id", "recommendations.id"],
            name="fk_decisions_recommendations",
        ),
    )


def _create_fills() -> None:
    op.create_table(
        "fills",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("bid", AMOUNT, nullable=True),
        sa.Column("ask", AMOUNT, nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.Column("filled_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_fills"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_fills_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "client_order_id"],
            ["orders.account_id", "orders.client_order_id"],
            name="fk_fills_orders",
        ),
        sa.UniqueConstraint("account_id", "id", name="uq_fills_account_id_id"),
    )
    op.create_index(
        "ix_fills_account_id_client_order_id", "fills", ["account_id", "client_order_id"]
    )


def _create_order_legs() -> None:
    op.create_table(
        "order_legs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("ratio", sa.Integer(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "client_order_id", "position", name="pk_order_legs"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_order_legs_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "client_order_id"],
            ["orders.account_id", "orders.client_order_id"],
            name="fk_order_legs_orders",
        ),
    )


def _create_position_marks() -> None:
    op.create_table(
        "position_marks",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("cost_to_close", AMOUNT, nullable=True),
        sa.Column("natural_cost_to_close", AMOUNT, nullable=True),
        sa.Column("unrealised_pnl_usd", AMOUNT, nullable=True),
        sa.Column("underlying_price", AMOUNT, nullable=True),
        sa.Column("dte", sa.Integer(), nullable=False),
        sa.Column("snapshot_hash", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_position_marks"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_position_marks_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_position_marks_trades",
        ),
        sa.UniqueConstraint(
            "account_id",
            "trade_id",
            "marked_at",
            name="uq_position_marks_account_id_trade_id_marked_at",
        ),
    )
    op.create_index(
        "ix_position_marks_account_id_marked_at", "position_marks", ["account_id", "marked_at"]
    )


def _create_recommendation_legs() -> None:
    op.create_table(
        "recommendation_legs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("recommendation_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("ratio", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "recommendation_id", "position", name="pk_recommendation_legs"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_recommendation_legs_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "recommendation_id"],
            ["recommendations.account_id", "recommendations.id"],
            name="fk_recommendation_legs_recommendations",
        ),
    )


def _create_reflections() -> None:
    op.create_table(
        "reflections",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("pnl_usd", AMOUNT, nullable=False),
        sa.Column("lesson_code", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_reflections"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_reflections_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_reflections_trades",
        ),
        sa.UniqueConstraint("account_id", "id", name="uq_reflections_account_id_id"),
    )
    op.create_index("ix_reflections_account_id_trade_id", "reflections", ["account_id", "trade_id"])


def _create_trade_leg_prices() -> None:
    op.create_table(
        "trade_leg_prices",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("moment", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("bid", AMOUNT, nullable=True),
        sa.Column("ask", AMOUNT, nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "account_id", "trade_id", "moment", "position", name="pk_trade_leg_prices"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_trade_leg_prices_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_trade_leg_prices_trades",
        ),
    )


def _create_trade_legs() -> None:
    op.create_table(
        "trade_legs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("ratio", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_id", "position", name="pk_trade_legs"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_trade_legs_accounts"),
        sa.ForeignKeyConstraint(
            ["account_id", "trade_id"],
            ["trades.account_id", "trades.id"],
            name="fk_trade_legs_trades",
        ),
    )
