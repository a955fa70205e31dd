"""A person's edit: priced anew, put to every gate, and offered in place of what was shown."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.cards.message import Message
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.messaging.answer import AnswerKind
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.scenes import NOW
from tests.messaging.office_scene import ANNA, SHOWN, OfficeScene, words

EDITED = f"{SHOWN.id}-x1"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[OfficeScene]:
    made = OfficeScene(tmp_path)
    with made.book.transaction("main") as ledger:
        ledger.add_recommendation(SHOWN, at=NOW)
        (row,) = ledger.outgoing()
    made.post(row)
    yield made
    made.book.close()


def edited(scene: OfficeScene, contracts: str, limit: str) -> Message:
    raw = scene.form(Action.EDITED, {"contracts": contracts, "limit": limit})
    return scene.filled_in(raw)


def test_the_form_begins_with_what_was_shown(scene: OfficeScene) -> None:
    modal = scene.send(scene.press(Action.EDIT)).modal
    assert modal is not None
    assert modal.custom_id == f"mahler:1:edited:main:{SHOWN.id}"
    assert [(box.custom_id, box.value) for box in modal.inputs] == [
        ("contracts", "3"),
        ("limit", "1.10"),
    ]


def test_an_edit_is_offered_with_its_own_size_floor_and_gates(scene: OfficeScene) -> None:
    assert EDITED in words(edited(scene, "2", "1.05"))
    old, new = scene.shown(), scene.shown(EDITED)
    assert new.status is RecommendationStatus.PENDING
    made = new.recommendation
    assert (made.contracts, made.floor_credit, made.requotes) == (2, Decimal("1.05"), SHOWN.id)
    assert (made.structure, made.thesis) == (SHOWN.structure, SHOWN.thesis)
    # Five wide, 3.95 lost below the floor, two contracts of a hundred shares.
    assert made.max_loss_usd == Decimal("790.00")
    assert made.natural_credit == Decimal("1.15")
    assert len(made.gates) == 10
    assert all(gate["passed"] == "true" for gate in made.gates)
    gates = {gate["code"]: gate["value"] for gate in made.gates}
    assert Decimal(gates["per_trade"]) == Decimal("790.00") / scene.scene.broker.account().equity
    assert made.run_id.startswith("discord-7")
    assert scene.lake.snapshot(content_hash=made.snapshot_hash).scan == "edit"
    decision = old.decision
    assert decision is not None
    assert (decision.verdict, decision.decided_by) == (DecisionVerdict.REJECT, f"discord:{ANNA}")
    assert decision.reason == f"edited to {EDITED}"


def test_the_edit_has_its_own_card_and_the_old_card_says_where_it_went(scene: OfficeScene) -> None:
    edited(scene, "1", "1.15")
    with scene.book.reading("main") as ledger:
        row = ledger.message(f"recommendation_card:{EDITED}")
        card = ledger.card_of_message("9001")
        assert card is not None
        shown = scene.handler.office.renderer.card(ledger, card)
    assert row is not None
    assert row.payload["content_hash"] == scene.shown(EDITED).recommendation.content_hash
    assert f"offered anew as `{EDITED}`" in words(shown.message)


@pytest.mark.parametrize(("text", "limit"), [("$1.10", "1.10"), ("1,1", "1.10"), ("1", "1.00")])
def test_a_limit_as_phones_write_it(scene: OfficeScene, text: str, limit: str) -> None:
    edited(scene, "1", text)
    assert scene.shown(EDITED).recommendation.floor_credit == Decimal(limit)


@pytest.mark.parametrize(
    ("contracts", "limit", "told"),
    [
        ("0", "1.10", "whole number from 1"),
        ("-1", "1.10", "whole number from 1"),
        ("1.5", "1.10", "whole number from 1"),
        ("", "1.10", "whole number from 1"),
        ("٣", "1.10", "whole number from 1"),
        ("99999", "1.10", "whole number from 1"),
        ("1", "free", "dollars per share"),
        ("1", "-1.10", "dollars per share"),
        ("1", "1.105", "dollars per share"),
        ("1", "NaN", "dollars per share"),
        ("1", "1e9", "dollars per share"),
        ("1", "", "dollars per share"),
    ],
)
def test_what_is_no_size_or_price_is_refused_at_once(
    scene: OfficeScene, contracts: str, limit: str, told: str
) -> None:
    raw = scene.form(Action.EDITED, {"contracts": contracts, "limit": limit})
    answer = scene.unchanged(lambda: scene.send(raw))
    assert answer.ephemeral
    assert told in words(answer)


@pytest.mark.parametrize(
    ("contracts", "limit", "told"),
    [
        ("11", "1.10", "contracts out of range**: 11, limit 10"),
        ("1", "0.00", "limit off the tick**: 0.00, limit 0.01"),
        ("1", "1.16", "limit above natural**: 1.16, limit 1.15"),
    ],
)
def test_what_could_never_be_sent_is_refused_with_numbers(
    scene: OfficeScene, contracts: str, limit: str, told: str
) -> None:
    message = edited(scene, contracts, limit)
    assert "what you saw still stands" in words(message)
    assert told in words(message)
    assert scene.shown().status is RecommendationStatus.PENDING


def test_every_gate_that_refuses_is_named_with_its_numbers(scene: OfficeScene) -> None:
    scene.scene.broker.cash = Decimal(2000)
    said = words(edited(scene, "5", "1.10"))
    # 5 x 390 lost of 2,000: nearly everything.
    assert "per trade**: 0.975, limit 0.20" in said
    assert "portfolio heat**: 0.975, limit 0.30" in said
    assert scene.shown().status is RecommendationStatus.PENDING
    with scene.book.reading("main") as ledger:
        (event,) = [e for e in ledger.audit_events(subject=SHOWN.id) if e.kind == "edit_refused"]
        assert len(ledger.recommendations()) == 1
    assert event.detail["by"] == f"discord:{ANNA}"
    assert any("per_trade value=0.975" in one for one in event.detail["refusals"])


def test_a_halted_desk_offers_no_edit(scene: OfficeScene) -> None:
    with scene.book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.HALTED, reason="storm", by="ops", at=NOW)
    assert "trading state**: halted, limit active" in words(edited(scene, "1", "1.10"))


def test_a_closed_market_has_no_prices_to_edit_by(scene: OfficeScene) -> None:
    scene.scene.broker.is_open = False
    assert "market closed" in words(edited(scene, "1", "1.10"))


def test_what_was_answered_meanwhile_is_not_edited(scene: OfficeScene) -> None:
    """Approved between the form and its pricing: the approval stands, and nothing is offered."""
    raw = scene.form(Action.EDITED, {"contracts": "1", "limit": "1.10"})
    answer = scene.send(raw)
    assert (answer.kind, answer.ephemeral) == (AnswerKind.DEFERRED_MESSAGE, True)
    scene.send(scene.press(Action.APPROVE))
    assert answer.later is not None
    assert "already answered: approve" in words(answer.later())
    assert scene.shown().status is RecommendationStatus.APPROVED
    with scene.book.reading("main") as ledger:
        assert len(ledger.recommendations()) == 1


def test_a_market_that_cannot_be_read_changes_nothing(scene: OfficeScene) -> None:
    scene.scene.market.quotes = scene.scene.market.quotes.iloc[:0]
    before = scene.shown()
    assert "quote not usable" in words(edited(scene, "1", "1.10"))
    assert scene.shown() == before


def test_an_edit_is_edited_and_approved_like_any_other(scene: OfficeScene) -> None:
    edited(scene, "2", "1.05")
    with scene.book.reading("main") as ledger:
        row = ledger.message(f"recommendation_card:{EDITED}")
    assert row is not None
    with scene.book.transaction("main") as ledger:
        card = ledger.card_of_message("9001")
        assert card is not None
        ledger.put_card(
            type(card)(row.key, row.kind, EDITED, "33", "9100", "", False, card.updated_at)
        )
    message = {"message": {"id": "9100"}}
    raw = scene.form(Action.EDITED, {"contracts": "1", "limit": "1.05"}, subject=EDITED) | message
    scene.filled_in(raw)
    again = f"{SHOWN.id}-x2"
    assert scene.shown(EDITED).status is RecommendationStatus.REJECTED
    assert scene.shown(again).recommendation.contracts == 1
    assert scene.shown(again).recommendation.expires_at > SHOWN.created_at + timedelta(minutes=30)
