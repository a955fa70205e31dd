"""Rows of recommendations and trades: money as exact text, every figure recomputable."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.execution.trades import ExitReason, LegPrice, TradeStatus
from mahler_pipelines.review.rows import money, recommendation_row, trade_row
from tests.execution.scenes import LONG, NOW, SHORT, later_copy, recommendation, trade


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ("0", "0.00"),
        ("-0.00", "0.00"),
        ("1", "1.00"),
        ("1.5", "1.50"),
        ("1.50000", "1.50"),
        ("-12.3", "-12.30"),
        ("1.005", "1.005"),
        ("0.0001", "0.0001"),
        ("1E+5", "100000.00"),
        ("1E-7", "0.0000001"),
        ("1234567.89", "1234567.89"),
        ("-0.0100", "-0.01"),
    ],
)
def test_money_is_plain_with_two_decimals_at_least(value: str | None, shown: str | None) -> None:
    assert money(None if value is None else Decimal(value)) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-1e9, max_value=1e9))
def test_no_digit_of_money_is_lost(value: Decimal) -> None:
    shown = money(value)
    assert shown is not None
    assert Decimal(shown) == value
    assert "E" not in shown
    assert len(shown.partition(".")[2]) >= 2


def test_an_open_trade_has_no_exit_rather_than_zeros() -> None:
    row = trade_row(trade(credit="1.15"))
    assert (row["entry_credit"], row["exit_debit"], row["pnl"]) == ("1.15", None, None)
    assert (row["exit_time"], row["exit_reason"], row["status"]) == (None, None, "open")
    short = row["legs"][0]
    assert (short["symbol"], short["side"], short["entry_price"]) == (SHORT.symbol, "sell", "2.00")
    assert (short["entry_bid"], short["exit_price"], short["exit_snapshot"]) == (None, None, None)


def test_a_closed_trade_can_be_recomputed_from_its_legs() -> None:
    legs = (
        LegPrice(LONG.symbol, Decimal("0.30"), Decimal("0.30"), Decimal("0.35"), "5" * 64),
        LegPrice(SHORT.symbol, Decimal("0.90"), Decimal("0.85"), Decimal("0.90"), "5" * 64),
    )
    row = trade_row(
        later_copy(
            trade(credit="1.15", contracts=3),
            status=TradeStatus.CLOSED,
            exit_time=NOW,
            exit_debit=Decimal("0.60"),
            exit_reason=ExitReason.PROFIT_TARGET,
            exit_legs=legs,
            fees_usd=Decimal("7.80"),
            pnl_usd=Decimal("157.20"),
        )
    )
    signs = {"sell": 1, "buy": -1}
    entry = sum(signs[leg["side"]] * Decimal(leg["entry_price"]) for leg in row["legs"])
    exit_ = sum(signs[leg["side"]] * Decimal(leg["exit_price"]) for leg in row["legs"])
    assert (str(entry), str(exit_)) == (row["entry_credit"], row["exit_debit"])
    earned = (entry - exit_) * 100 * row["contracts"] - Decimal(row["fees"])
    assert str(earned) == row["pnl"]
    assert row["exit_reason"] == "profit_target"


def test_a_recommendation_is_json_with_everything_that_was_shown() -> None:
    shown = recommendation()
    row = recommendation_row(StoredRecommendation(shown, RecommendationStatus.PENDING, "", None))
    assert json.loads(json.dumps(row)) == row
    assert (row["target_credit"], row["floor_credit"]) == ("1.20", "1.10")
    assert (row["content_hash"], row["snapshot"]) == (shown.content_hash, shown.snapshot_hash)
    assert row["quotes"][0]["bid"] == "4.10"
    assert row["decision"] is None


def test_who_decided_and_why_is_told() -> None:
    shown = recommendation()
    said = Decision(
        shown.id, DecisionVerdict.REJECT, "anna", "discord", NOW, shown.content_hash, "too near"
    )
    stored = StoredRecommendation(shown, RecommendationStatus.REJECTED, "rejected", said)
    row = recommendation_row(stored)
    assert row["decision"] == {
        "verdict": "reject",
        "by": "anna",
        "door": "discord",
        "at": NOW.isoformat(),
        "reason": "too near",
    }
    assert (row["status"], row["status_reason"]) == ("rejected", "rejected")


def test_a_rank_that_is_not_there_stays_null() -> None:
    shown = replace(recommendation(), iv_rank=None, iv_percentile=None)
    row = recommendation_row(StoredRecommendation(shown, RecommendationStatus.PENDING, "", None))
    assert (row["iv_rank"], row["iv_percentile"]) == (None, None)
