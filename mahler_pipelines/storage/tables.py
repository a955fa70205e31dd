"""The tables of the ledger. Every row carries its account; the newest migration makes the same."""

import sqlalchemy as sa

from mahler_pipelines.storage.columns import ExactDecimal, JsonText, UtcDateTime

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _seq() -> sa.Column[int]:
    """Order of arrival, which breaks ties between rows of one moment."""
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def _account(*, key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=key, nullable=False
    )


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=null)


def _moment(name: str, *, null: bool = False) -> "sa.Column[object]":
    return sa.Column(name, UtcDateTime, nullable=null)


def _amount(name: str, *, null: bool = False) -> "sa.Column[object]":
    return sa.Column(name, ExactDecimal, nullable=null)


def _parent(column: str, parent: str, key: str = "id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", column], [f"{parent}.account_id", f"{parent}.{key}"]
    )


accounts = sa.Table("accounts", metadata, sa.Column("id", sa.Text, primary_key=True))

trading_state = sa.Table(
    "trading_state",
    metadata,
    _account(key=True),
    _text("state"),
    _text("reason"),
    _text("changed_by"),
    _moment("changed_at"),
)

recommendations = sa.Table(
    "recommendations",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    sa.Column("session", sa.Date, nullable=False),
    _text("scan"),
    _text("underlying"),
    _text("strategy"),
    _text("status"),
    _text("status_reason"),
    _moment("created_at"),
    _moment("expires_at"),
    _moment("updated_at"),
    _whole("contracts"),
    _amount("target_credit"),
    _amount("floor_credit"),
    _amount("max_loss_usd"),
    _text("snapshot_hash"),
    _text("content_hash"),
    _text("run_id"),
    _text("content"),
    _text("requotes", null=True),
    _text("rolls", null=True),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "status"),
    sa.Index(None, "account_id", "session"),
)

recommendation_legs = sa.Table(
    "recommendation_legs",
    metadata,
    _account(key=True),
    sa.Column("recommendation_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("symbol"),
    _text("side"),
    _whole("ratio"),
    _parent("recommendation_id", "recommendations"),
)

decisions = sa.Table(
    "decisions",
    metadata,
    _account(key=True),
    sa.Column("recommendation_id", sa.Text, primary_key=True),
    _text("verdict"),
    _text("decided_by"),
    _text("door"),
    _moment("decided_at"),
    _text("content_hash"),
    _text("reason"),
    _parent("recommendation_id", "recommendations"),
)

orders = sa.Table(
    "orders",
    metadata,
    _seq(),
    _account(),
    _text("client_order_id"),
    _text("purpose"),
    _text("subject_id"),
    _text("underlying"),
    _whole("quantity"),
    _amount("limit_price", null=True),
    _text("status"),
    _text("status_reason"),
    _moment("intended_at"),
    _moment("updated_at"),
    _text("broker_order_id", null=True),
    _whole("filled_quantity"),
    _amount("average_fill_price", null=True),
    _amount("mid_at_submission", null=True),
    _text("run_id"),
    sa.Column("cancel_reason", sa.Text, nullable=False, server_default=""),
    sa.Column("rolls", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("account_id", "client_order_id"),
    sa.Index(None, "account_id", "status"),
    sa.Index(None, "account_id", "subject_id"),
    sa.Index(None, "account_id", "rolls"),
    sa.Index(None, "account_id", "purpose", "intended_at"),
)

order_legs = sa.Table(
    "order_legs",
    metadata,
    _account(key=True),
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("symbol"),
    _text("side"),
    _whole("ratio"),
    _text("intent"),
    _parent("client_order_id", "orders", "client_order_id"),
)

fills = sa.Table(
    "fills",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("client_order_id"),
    _text("symbol"),
    _text("side"),
    _whole("quantity"),
    _amount("price"),
    _amount("bid", null=True),
    _amount("ask", null=True),
    _text("snapshot", null=True),
    _moment("filled_at"),
    _amount("mid", null=True),
    _amount("slippage", null=True),
    _moment("quoted_at", null=True),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "client_order_id"),
    _parent("client_order_id", "orders", "client_order_id"),
)

trades = sa.Table(
    "trades",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("recommendation_id"),
    _text("strategy"),
    _text("underlying"),
    _whole("contracts"),
    _moment("entry_time"),
    _amount("entry_credit"),
    _text("status"),
    _moment("exit_time", null=True),
    _amount("exit_debit", null=True),
    _text("exit_reason", null=True),
    _amount("fees_usd"),
    _amount("pnl_usd", null=True),
    _moment("updated_at"),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "status"),
    sa.Index(None, "account_id", "exit_time"),
)

trade_legs = sa.Table(
    "trade_legs",
    metadata,
    _account(key=True),
    sa.Column("trade_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("symbol"),
    _text("side"),
    _whole("ratio"),
    _parent("trade_id", "trades"),
)

trade_leg_prices = sa.Table(
    "trade_leg_prices",
    metadata,
    _account(key=True),
    sa.Column("trade_id", sa.Text, primary_key=True),
    sa.Column("moment", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("symbol"),
    _amount("price"),
    _amount("bid", null=True),
    _amount("ask", null=True),
    _text("snapshot", null=True),
    _parent("trade_id", "trades"),
)

position_marks = sa.Table(
    "position_marks",
    metadata,
    _seq(),
    _account(),
    _text("trade_id"),
    _moment("marked_at"),
    _amount("cost_to_close", null=True),
    _amount("natural_cost_to_close", null=True),
    _amount("unrealised_pnl_usd", null=True),
    _amount("underlying_price", null=True),
    _whole("dte"),
    _text("snapshot_hash", null=True),
    _text("problem"),
    sa.Column("warning", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("account_id", "trade_id", "marked_at"),
    sa.Index(None, "account_id", "marked_at"),
    _parent("trade_id", "trades"),
)

daily_performance = sa.Table(
    "daily_performance",
    metadata,
    _account(key=True),
    sa.Column("session", sa.Date, primary_key=True),
    _amount("equity"),
    _amount("cash"),
    _amount("realised_pnl"),
    _amount("unrealised_pnl"),
    _amount("fees"),
    _whole("trades_opened"),
    _whole("trades_closed"),
    _whole("wins"),
    _whole("losses"),
    _whole("open_trades"),
    _amount("drawdown"),
)

playbook_rules = sa.Table(
    "playbook_rules",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("text"),
    _text("status"),
    _text("evidence"),
    _moment("proposed_at"),
    _moment("decided_at", null=True),
    _text("decided_by", null=True),
    _moment("adopted_at", null=True),
    _moment("retired_at", null=True),
    sa.UniqueConstraint("account_id", "id"),
)

reflections = sa.Table(
    "reflections",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("trade_id"),
    _moment("written_at"),
    _text("outcome"),
    _amount("pnl_usd"),
    _text("lesson_code"),
    _text("text"),
    sa.Column("facts", JsonText, nullable=False),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "trade_id"),
    _parent("trade_id", "trades"),
)

model_calls = sa.Table(
    "model_calls",
    metadata,
    _seq(),
    _account(),
    _moment("at"),
    _text("run_id"),
    _text("candidate_id"),
    _text("analyst"),
    _text("model"),
    _text("request_hash"),
    _text("raw_message"),
    _text("stop_reason"),
    _whole("input_tokens"),
    _whole("output_tokens"),
    sa.Column("latency_seconds", sa.Double, nullable=False),
    _text("outcome"),
    sa.Index(None, "account_id", "candidate_id"),
)

# A lease is no fact of the account but of the processes at work: it may exist before the account
# does, and taking one never waits for the account's row.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    _text("holder"),
    _text("token"),
    sa.Column("expires_epoch", sa.Double, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    _seq(),
    _account(),
    _text("key"),
    _text("kind"),
    _text("subject"),
    sa.Column("payload", JsonText, nullable=False),
    _moment("created_at"),
    _moment("delivered_at", null=True),
    sa.Column("receipt", JsonText, nullable=True),
    _whole("attempts"),
    _text("problem"),
    _moment("sending_since", null=True),
    _moment("next_attempt_at", null=True),
    sa.UniqueConstraint("account_id", "key"),
    sa.Index(None, "account_id", "delivered_at"),
)

audit_events = sa.Table(
    "audit_events",
    metadata,
    _seq(),
    _account(),
    _moment("at"),
    _text("kind"),
    _text("subject"),
    sa.Column("detail", JsonText, nullable=False),
    sa.Index(None, "account_id", "subject"),
)

broker_activities = sa.Table(
    "broker_activities",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("kind"),
    sa.Column("day", sa.Date, nullable=False),
    _text("symbol"),
    _amount("quantity"),
    _amount("price", null=True),
    _amount("net_amount"),
    _text("order_id", null=True),
    _text("group_id", null=True),
    sa.Column("ours", sa.Boolean, nullable=False),
    _amount("booked_quantity"),
    _moment("seen_at"),
    sa.UniqueConstraint("account_id", "id"),
)

leg_settlements = sa.Table(
    "leg_settlements",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("trade_id"),
    _text("symbol"),
    _text("side"),
    _whole("quantity"),
    _amount("price"),
    _text("cause"),
    _text("activity_id", null=True),
    _moment("settled_at"),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "trade_id"),
    _parent("trade_id", "trades"),
)

holdings = sa.Table(
    "holdings",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("symbol"),
    _whole("opened_quantity"),
    _whole("quantity"),
    _amount("average_price"),
    _amount("carried_price"),
    _text("source"),
    _text("origin"),
    _moment("opened_at"),
    _moment("closed_at", null=True),
    _amount("realised_usd"),
    _amount("fees_usd"),
    sa.UniqueConstraint("account_id", "id"),
)

findings = sa.Table(
    "findings",
    metadata,
    _seq(),
    _account(),
    _text("id"),
    _text("kind"),
    _text("subject"),
    _amount("expected"),
    _amount("found"),
    _moment("first_seen"),
    _moment("last_seen"),
    _text("status"),
    _text("repair"),
    sa.Column("detail", JsonText, nullable=False),
    _moment("resolved_at", null=True),
    _text("resolved_by"),
    sa.UniqueConstraint("account_id", "id"),
    sa.Index(None, "account_id", "status"),
)

cash_beginnings = sa.Table(
    "cash_beginnings", metadata, _account(key=True), _moment("at"), _amount("cash")
)
