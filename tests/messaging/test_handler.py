"""The one handler on a real ledger: who may, what each button does, and what changes nothing."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.cards.forms import REASON_LENGTH
from mahler_pipelines.decisions.approvals import expire_due
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.errors import LedgerBusy
from mahler_pipelines.execution.close_requests import CloseWish, wanted_closes
from mahler_pipelines.execution.trades import TradeStatus
from mahler_pipelines.messaging.answer import AnswerKind
from mahler_pipelines.messaging.authority import Authority
from mahler_pipelines.messaging.handler import Handler
from mahler_pipelines.messaging.ledger import CardRecord
from mahler_pipelines.messaging.marks import mark, marked, shown_hash
from mahler_pipelines.messaging.notifier import (
    NotifierOutcomeUnknown,
    NotifierRefused,
    NotifierUnavailable,
)
from mahler_pipelines.risk.trading_state import TradingState
from tests.execution.scenes import NOW
from tests.messaging.office_scene import (
    ANNA,
    BEN,
    CARDS,
    CHANNEL,
    EVE,
    MACHINE,
    ROLE,
    RULE,
    SHOWN,
    TRADE,
    OfficeScene,
    buttons,
    words,
)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[OfficeScene]:
    made = OfficeScene(tmp_path)
    made.fill()
    yield made
    made.book.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[OfficeScene]:
    """Two people have to agree: the heat of this recommendation is not known."""
    made = OfficeScene(tmp_path, second_above=Decimal("0.05"))
    made.fill()
    yield made
    made.book.close()


def test_approve_records_who_when_and_by_which_door(scene: OfficeScene) -> None:
    answer = scene.send(scene.press(Action.APPROVE))
    stored = scene.shown()
    decision = stored.decision
    assert stored.status is RecommendationStatus.APPROVED
    assert decision is not None
    assert (decision.verdict, decision.decided_by) == (DecisionVerdict.APPROVE, f"discord:{ANNA}")
    assert (decision.door, decision.decided_at) == ("discord-http", scene.market)
    assert decision.content_hash == SHOWN.content_hash
    assert answer.kind is AnswerKind.UPDATE
    assert f"approved** by <@{ANNA}>" in words(answer)
    assert buttons(answer) == {}
    assert scene.book.pending_executions("main") == (SHOWN.id,)


def test_the_answer_is_what_delivery_would_edit_the_card_to(scene: OfficeScene) -> None:
    answer = scene.send(scene.press(Action.APPROVE))
    with scene.book.reading("main") as ledger:
        card = ledger.card_of_message(CARDS["recommendation"][0])
        assert card is not None
        rendered = scene.handler.office.renderer.card(ledger, card)
    assert answer.message is not None
    expected = marked(rendered.message, mark("main", card.key))
    assert shown_hash(answer.message) == shown_hash(expected)


def test_a_role_on_the_list_is_enough(scene: OfficeScene) -> None:
    raw = scene.press(Action.APPROVE, by=EVE)
    raw["member"]["roles"] = ["1", ROLE]
    assert scene.send(raw).kind is AnswerKind.UPDATE
    assert scene.shown().status is RecommendationStatus.APPROVED


ACTS = [
    (Action.APPROVE, "recommendation", {}),
    (Action.CLOSE, "exit", {}),
    (Action.KEEP, "exit", {}),
    (Action.ADOPT_RULE, "learning", {}),
    (Action.REFUSE_RULE, "learning", {}),
    (Action.REJECT_REASON, "recommendation", {"reason": "no"}),
]


def act(scene: OfficeScene, action: Action, what: str, values: dict[str, str]) -> dict[str, Any]:
    return scene.form(action, values) if values else scene.press(action, what)


@pytest.mark.parametrize(("action", "what", "values"), ACTS)
def test_a_replayed_interaction_changes_nothing(
    scene: OfficeScene, action: Action, what: str, values: dict[str, str]
) -> None:
    """By the same process, and by one that shares the ledger alone."""
    raw = act(scene, action, what, values)
    assert scene.send(raw).kind is AnswerKind.UPDATE
    for handler in (scene.handler, scene.another_process()):
        again = scene.unchanged(lambda handler=handler: scene.send(raw, handler))  # type: ignore[misc]
        assert again.ephemeral
        assert "answered before" in words(again)


@pytest.mark.parametrize(("action", "what", "values"), ACTS)
def test_a_second_press_decides_nothing(
    scene: OfficeScene, action: Action, what: str, values: dict[str, str]
) -> None:
    scene.send(act(scene, action, what, values))
    before = scene.shown(), _requests(scene), _rules(scene)
    again = scene.send(act(scene, action, what, values))
    assert again.ephemeral
    assert again.kind is AnswerKind.MESSAGE
    assert "lready" in words(again)
    assert (scene.shown(), _requests(scene), _rules(scene)) == before


@pytest.mark.parametrize("action", [Action.REJECT, Action.EDIT, Action.DETAILS])
def test_a_replay_of_what_only_shows_shows_nothing(scene: OfficeScene, action: Action) -> None:
    raw = scene.press(action)
    assert scene.unchanged(lambda: scene.send(raw)).kind is not AnswerKind.MESSAGE
    assert "answered before" in words(scene.send(raw))


def _requests(scene: OfficeScene) -> object:
    with scene.book.reading("main") as ledger:
        return ledger.close_requests()


def _rules(scene: OfficeScene) -> object:
    with scene.book.reading("main") as ledger:
        return ledger.rules()


def test_too_late_is_told_and_opens_nothing(scene: OfficeScene) -> None:
    scene.market = SHOWN.expires_at
    answer = scene.send(scene.press(Action.APPROVE))
    assert answer.ephemeral
    assert "Expired at" in words(answer)
    assert scene.shown().decision is None
    assert scene.shown().status is RecommendationStatus.EXPIRED


def test_what_was_decided_elsewhere_stands(scene: OfficeScene) -> None:
    scene.send(scene.press(Action.APPROVE, by=BEN))
    answer = scene.send(scene.form(Action.REJECT_REASON, {"reason": "no"}))
    assert "Already answered: approve by discord:101" in words(answer)
    for action in (Action.REJECT, Action.EDIT):
        told = scene.unchanged(lambda action=action: scene.send(scene.press(action)))  # type: ignore[misc]
        assert f"approved already by <@{BEN}>" in words(told)


def test_what_expired_meanwhile_opens_no_form(scene: OfficeScene) -> None:
    with scene.book.transaction("main") as ledger:
        expire_due(ledger, SHOWN.expires_at)
    assert "expired already" in words(scene.send(scene.press(Action.REJECT)))


STRANGERS = [
    ({"application_id": "12"}, "another application", "wrong_application"),
    ({"guild_id": "23"}, "own server", "wrong_guild"),
    ({"guild_id": None, "member": None, "user": {"id": ANNA}}, "own server", "wrong_guild"),
    ({"channel_id": "34"}, "own channel", "wrong_channel"),
    ({"member": {"user": {"id": EVE}, "roles": ["1"]}}, "not on the list", "not_on_the_list"),
]


@pytest.mark.parametrize(("changes", "told", "code"), STRANGERS)
def test_strangers_are_refused_politely_and_logged(
    scene: OfficeScene,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    told: str,
    code: str,
) -> None:
    for raw in (scene.press(Action.APPROVE), scene.command("halt", reason="storm")):
        answer = scene.unchanged(lambda raw=raw: scene.send(raw | changes))  # type: ignore[misc]
        assert answer.ephemeral
        assert told in words(answer)
    (line, _) = [record.getMessage() for record in caplog.records]
    assert line.endswith(code)
    assert "secret-token" not in caplog.text


def test_without_a_list_nobody_may() -> None:
    nobody = Authority("", "", "")
    from mahler_pipelines.messaging.interaction import read_interaction

    raw = {"id": "1", "type": 3, "application_id": "1", "token": "t", "user": {"id": ANNA}}
    assert nobody.stranger(read_interaction(raw)) == "not_on_the_list"


BAD_IDS = [
    ("", "not a button"),
    ("hello", "not a button"),
    ("mahler:1:approve:main", "not a button"),
    ("mahler:1:approve:main:r 1", "not a button"),
    ("mahler:0:approve:main:r-1", "version 0"),
    ("mahler:1:steal:main:r-1", "no such action"),
    ("mahler:1:reject_reason:main:r-1", "no button of this desk"),
    (f"mahler:1:approve:other:{SHOWN.id}", "another account"),
    ("mahler:1:approve:main:r-260112-mo-99999999", "another card"),
    ("mahler:1:close:main:t-1", "another card"),
    ("mahler:1:resume_confirmed:main:0123456789abcdef", "has changed"),
    (f"mahler:1:adopt_rule:main:{RULE}", "another card"),
]


@pytest.mark.parametrize(("custom_id", "told"), BAD_IDS)
def test_bad_custom_ids_change_nothing(
    scene: OfficeScene, caplog: pytest.LogCaptureFixture, custom_id: str, told: str
) -> None:
    raw = scene.press(Action.APPROVE)
    raw["data"]["custom_id"] = custom_id
    answer = scene.unchanged(lambda: scene.send(raw))
    assert answer.ephemeral
    assert told in words(answer)
    assert "was not taken" in caplog.text


@pytest.mark.parametrize("message", [None, {"id": "1"}, {"id": CARDS["exit"][0]}])
def test_a_button_counts_on_its_own_card_only(
    scene: OfficeScene, message: dict[str, str] | None
) -> None:
    raw = scene.press(Action.APPROVE) | {"message": message}
    answer = scene.unchanged(lambda: scene.send(raw))
    assert answer.ephemeral
    assert "card" in words(answer)


def test_a_card_of_another_account_is_none_of_ours(scene: OfficeScene) -> None:
    """Two desks in one channel: each answers for its own cards."""
    with scene.book.transaction("other") as ledger:
        ledger.put_card(CardRecord("k", "x", SHOWN.id, CHANNEL, "9999", "", False, MACHINE))
    raw = scene.press(Action.APPROVE) | {"message": {"id": "9999"}}
    assert "not known here" in words(scene.unchanged(lambda: scene.send(raw)))


def test_a_card_that_showed_something_else_is_not_approved(scene: OfficeScene) -> None:
    from sqlalchemy import text

    with scene.book._opened().begin() as connection:
        connection.execute(
            text("UPDATE outbox SET payload = json_set(payload, '$.content_hash', 'other')")
        )
    answer = scene.send(scene.press(Action.APPROVE))
    assert "Differs from what was shown" in words(answer)
    assert scene.shown().decision is None


def test_reject_asks_why_and_keeps_the_reason(scene: OfficeScene) -> None:
    asked = scene.unchanged(lambda: scene.send(scene.press(Action.REJECT)))
    assert asked.kind is AnswerKind.MODAL
    assert asked.modal is not None
    assert asked.modal.custom_id == f"mahler:1:reject_reason:main:{SHOWN.id}"
    answer = scene.send(scene.form(Action.REJECT_REASON, {"reason": " *Too* early @everyone\x07 "}))
    decision = scene.shown().decision
    assert decision is not None
    assert (decision.verdict, decision.reason) == (DecisionVerdict.REJECT, "*Too* early @everyone")
    assert answer.kind is AnswerKind.UPDATE
    assert r"\*Too\*" in words(answer)
    assert "@everyone" not in words(answer)


@pytest.mark.parametrize(
    ("action", "values"),
    [
        (Action.REJECT_REASON, {"reason": "x" * (REASON_LENGTH + 1)}),
        (Action.REJECT_REASON, {"reason": "x" * 100_000}),
        (Action.EDITED, {"contracts": "1" * 5000, "limit": "1.10"}),
        (Action.EDITED, {"contracts": "2", "limit": "1" * 13}),
    ],
)
def test_oversize_text_is_refused(
    scene: OfficeScene, action: Action, values: dict[str, str]
) -> None:
    answer = scene.unchanged(lambda: scene.send(scene.form(action, values)))
    assert answer.ephemeral
    assert "longer than" in words(answer)


def test_two_people_have_to_agree_above_the_threshold(two: OfficeScene) -> None:
    first = two.send(two.press(Action.APPROVE))
    assert first.kind is AnswerKind.UPDATE
    assert "approval 1 of 2" in words(first)
    assert set(buttons(first)) == {"Approve", "Reject", "Edit", "Details"}
    assert two.shown().decision is None
    again = two.unchanged(lambda: two.send(two.press(Action.APPROVE)))
    assert again.ephemeral
    assert "another person has to agree" in words(again)
    second = two.send(two.press(Action.APPROVE, by=BEN))
    assert second.kind is AnswerKind.UPDATE
    decision = two.shown().decision
    assert decision is not None
    assert decision.decided_by == f"discord:{BEN}"


def test_below_the_threshold_one_person_is_enough() -> None:
    from mahler_pipelines.messaging.approving import ApprovalRule

    def with_heat(value: str) -> Any:
        gate = {"code": "portfolio_heat", "value": value, "limit": "0.3", "passed": "true"}
        return replace(SHOWN, gates=(gate,))

    rule = ApprovalRule(Decimal("0.10"))
    assert [rule.needed(with_heat(v)) for v in ("0.09", "0.10", "0.1001", "")] == [1, 1, 2, 2]
    assert ApprovalRule().needed(with_heat("0.9")) == 1


def test_two_at_once_are_one_decision(two: OfficeScene) -> None:
    """Anna and Ben press at the same moment, many times over: one yes each, one decision."""
    handlers = [two.another_process() for _ in range(8)]
    presses = [two.press(Action.APPROVE, by=(ANNA, BEN)[n % 2]) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(two.send, presses, handlers))
    with two.book.reading("main") as ledger:
        given = [one.decided_by for one in ledger.approvals(SHOWN.id)]
        kinds = [event.kind for event in ledger.audit_events(subject=SHOWN.id)]
    assert sorted(given) == [f"discord:{ANNA}", f"discord:{BEN}"]
    assert kinds.count("decision_added") == 1
    assert [answer.kind for answer in answers].count(AnswerKind.UPDATE) == 2


def test_twenty_presses_at_once_are_one_decision(scene: OfficeScene) -> None:
    handlers = [scene.another_process() for _ in range(20)]
    presses = [scene.press(Action.APPROVE, by=(ANNA, BEN)[n % 2]) for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(scene.send, presses, handlers))
    assert [answer.kind for answer in answers].count(AnswerKind.UPDATE) == 1
    assert sum("lready answered" in words(answer) for answer in answers) == 19


def test_close_now_is_a_request_and_the_card_says_so(scene: OfficeScene) -> None:
    answer = scene.send(scene.press(Action.CLOSE, "exit"))
    with scene.book.reading("main") as ledger:
        (request,) = ledger.close_requests()
        assert wanted_closes(ledger) == {TRADE.id}
    assert (request.wish, request.requested_by) == (CloseWish.CLOSE, f"discord:{ANNA}")
    assert (request.door, request.requested_at) == ("discord-http", scene.market)
    assert f"close by <@{ANNA}>" in words(answer)
    assert buttons(answer) == {}


def test_keep_asks_nobody_to_close(scene: OfficeScene) -> None:
    answer = scene.send(scene.press(Action.KEEP, "exit"))
    with scene.book.reading("main") as ledger:
        assert wanted_closes(ledger) == frozenset()
    assert f"keep by <@{ANNA}>" in words(answer)


@pytest.mark.parametrize(
    ("status", "told"), [(TradeStatus.CLOSED, "closed"), (TradeStatus.CLOSING, "works")]
)
def test_what_is_closing_is_not_closed_again(
    scene: OfficeScene, status: TradeStatus, told: str
) -> None:
    with scene.book.transaction("main") as ledger:
        ledger.update_trade(
            replace(TRADE, status=status), expected=TradeStatus.OPEN, at=NOW + timedelta(minutes=1)
        )
    for action in (Action.CLOSE, Action.KEEP):
        answer = scene.unchanged(lambda action=action: scene.send(scene.press(action, "exit")))  # type: ignore[misc]
        assert told in words(answer)


def test_closing_and_halting_wait_for_no_broker(scene: OfficeScene) -> None:
    """Approving does: its time decides whether it counts."""
    scene.market = None
    assert scene.send(scene.press(Action.CLOSE, "exit")).kind is AnswerKind.UPDATE
    scene.send(scene.command("halt", reason="storm"))
    with scene.book.reading("main") as ledger:
        assert ledger.close_requests()[0].requested_at == MACHINE
        assert ledger.trading_state()[0] is TradingState.HALTED
    told = scene.unchanged(lambda: scene.send(scene.press(Action.APPROVE)))
    assert "clock can't be read" in words(told)


@pytest.mark.parametrize(
    ("action", "status"),
    [(Action.ADOPT_RULE, RuleStatus.ADOPTED), (Action.REFUSE_RULE, RuleStatus.REFUSED)],
)
def test_rules_are_decided_on_their_report(
    scene: OfficeScene, action: Action, status: RuleStatus
) -> None:
    answer = scene.send(scene.press(action, "learning"))
    with scene.book.reading("main") as ledger:
        (rule,) = ledger.rules()
        (event,) = [e for e in ledger.audit_events(subject=RULE) if e.kind == "rule_decided"]
    assert rule.status is status
    assert event.detail["by"] == f"discord:{ANNA}"
    assert answer.kind is AnswerKind.UPDATE
    assert str(status) in words(answer)


def test_resume_asks_once_more_and_names_what_is_accepted(scene: OfficeScene) -> None:
    scene.halt()
    asked = scene.unchanged(lambda: scene.send(scene.press(Action.RESUME, "halt")))
    assert asked.ephemeral
    assert "losing streak 5, limit 5" in words(asked)
    (confirm,) = buttons(asked).values()
    raw = scene.press(Action.RESUME_CONFIRMED, subject=confirm.subject)
    raw["message"] = {"id": "123456"}
    answer = scene.send(raw)
    assert answer.kind is AnswerKind.UPDATE
    assert "Resumed" in words(answer)
    with scene.book.reading("main") as ledger:
        assert ledger.trading_state()[0] is TradingState.ACTIVE
        events = ledger.audit_events(subject="main")
    accepted = [e.detail for e in events if e.kind == "halts_acknowledged"]
    assert accepted == [{"by": f"discord:{ANNA}", "causes": ["losing_streak:t-9:1"]}]


def test_a_confirmation_is_for_one_person_and_one_halt(scene: OfficeScene) -> None:
    scene.halt()
    asked = scene.send(scene.press(Action.RESUME, "halt"))
    (confirm,) = buttons(asked).values()

    def confirmed(by: str) -> dict[str, Any]:
        return scene.press(Action.RESUME_CONFIRMED, subject=confirm.subject, by=by)

    told = scene.unchanged(lambda: scene.send(confirmed(BEN)))
    assert "has changed since" in words(told)
    scene.send(confirmed(ANNA))
    assert "has changed since" in words(scene.unchanged(lambda: scene.send(confirmed(ANNA))))
    scene.send(scene.command("halt", reason="storm"))
    assert "has changed since" in words(scene.unchanged(lambda: scene.send(confirmed(ANNA))))


def test_an_active_desk_is_not_resumed(scene: OfficeScene) -> None:
    scene.halt()
    with scene.book.transaction("main") as ledger:
        ledger.set_trading_state(TradingState.ACTIVE, reason="by hand", by="ops", at=NOW)
    told = scene.unchanged(lambda: scene.send(scene.press(Action.RESUME, "halt")))
    assert "active already" in words(told)


def test_details_are_put_off_and_filled_in_for_one_person(scene: OfficeScene) -> None:
    answer = scene.send(scene.press(Action.DETAILS))
    assert answer.body() == {"type": 5, "data": {"flags": 64}}


def test_what_goes_wrong_later_is_told(scene: OfficeScene) -> None:
    """This lake holds no snapshot: what was to be shown can't be had."""
    message = scene.filled_in(scene.press(Action.DETAILS))
    assert message.content.startswith("That did not work: ")


@pytest.mark.parametrize(
    ("failing", "waited", "filled"),
    [
        ([NotifierUnavailable("down"), NotifierOutcomeUnknown("broke")], [1.0, 4.0], 1),
        ([NotifierUnavailable("down")] * 9, [1.0, 4.0, 15.0], 0),
        ([NotifierRefused("expired", status=401, code=50027)], [], 0),
    ],
    ids=["down for a while", "down", "an expired token"],
)
def test_filling_in_is_patient_but_not_for_ever(
    scene: OfficeScene,
    caplog: pytest.LogCaptureFixture,
    failing: list[Any],
    waited: list[float],
    filled: int,
) -> None:
    from mahler_pipelines.messaging.interaction import read_interaction

    scene.notifier.failing = list(failing)
    asked = read_interaction(scene.command("status"))
    scene.handler.finish(asked, scene.handler.respond(asked, door="discord-http"))
    assert (scene.slept, len(scene.notifier.filled)) == (waited, filled)
    assert "secret-token" not in caplog.text
    assert filled or "filled in" in caplog.text


def test_a_busy_ledger_and_a_fault_of_ours_are_told(
    scene: OfficeScene, caplog: pytest.LogCaptureFixture
) -> None:
    """A door never sees an error, and the log never what was sent."""

    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def transaction(self, _: str) -> Any:
            raise self.error

    for error, told in (
        (LedgerBusy("locked"), "press again"),
        (ZeroDivisionError("secret-words"), "nothing was changed"),
    ):
        office = replace(scene.handler.office, book=Broken(error))  # type: ignore[arg-type]
        broken: Handler = replace(scene.handler, office=office)
        assert told in words(scene.send(scene.press(Action.APPROVE), broken))
    assert "ZeroDivisionError at " in caplog.text
    assert "secret-words" not in caplog.text


def test_the_answers_are_in_discords_words(scene: OfficeScene) -> None:
    from tests.discord_gate import discord_gate

    gate = discord_gate()
    scene.halt()
    for raw in (
        scene.press(Action.REJECT),
        scene.press(Action.EDIT),
        scene.press(Action.DETAILS),
        scene.press(Action.RESUME, "halt"),
        scene.press(Action.APPROVE),
        scene.press(Action.APPROVE),
        scene.press(Action.KEEP, "exit"),
        scene.press(Action.ADOPT_RULE, "learning"),
        scene.command("positions"),
        scene.command("pending"),
        scene.command("reduce", reason="x"),
    ):
        body = json.loads(json.dumps(scene.send(raw).body()))
        found = gate.request("POST", "/api/v10/interactions/1/token/callback", body)
        assert found == [], (raw["data"], found)


def test_the_log_has_a_line_for_each_refusal(
    scene: OfficeScene, caplog: pytest.LogCaptureFixture
) -> None:
    raw = scene.press(Action.APPROVE, account="other")
    scene.send(raw)
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert record.getMessage() == (
        f"interaction {raw['id']} of user {ANNA} through discord-http was not taken: other_account"
    )
