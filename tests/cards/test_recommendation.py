"""The card of a recommendation: enough to decide, then what became of it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.custom_ids import Action, parse_custom_id
from mahler_pipelines.cards.message import Colour
from mahler_pipelines.cards.recommendation import (
    PAYOFF_PICTURE,
    CardState,
    Yes,
    recommendation_card,
    who,
)
from mahler_pipelines.cards.wording import DASH
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.recommendation import (
    Decision,
    DecisionVerdict,
    RecommendationStatus,
)
from mahler_pipelines.execution.intents import opening_intent
from mahler_pipelines.messaging.marks import shown_hash
from tests.cards.cases import EVIL, conforming, field, harmless, labels, texts
from tests.execution.scenes import NOW, recommendation, trade

GATES = (
    {"code": "portfolio_heat", "value": "0.0517", "limit": "0.30", "passed": "true"},
    {"code": "per_trade", "value": "0.0117", "limit": "0.20", "passed": "true"},
)
SHOWN = replace(recommendation(), gates=GATES)
Status = RecommendationStatus


def stored(status: Status = Status.PENDING, reason: str = "") -> StoredRecommendation:
    return StoredRecommendation(SHOWN, status, reason, None)


def decided(
    status: Status, verdict: DecisionVerdict = DecisionVerdict.APPROVE, *, reason: str = ""
) -> StoredRecommendation:
    decision = Decision(
        recommendation_id=SHOWN.id,
        verdict=verdict,
        decided_by="discord:123456789012345678",
        door="discord-http",
        decided_at=NOW + timedelta(minutes=2),
        content_hash=SHOWN.content_hash,
        reason=reason,
    )
    return StoredRecommendation(SHOWN, status, "", decision)


def test_a_pending_card_is_enough_to_decide() -> None:
    """Every number that the issue names stands on it."""
    card = recommendation_card(CardState(stored()))
    conforming(card)
    embed = card.embeds[0]
    assert embed.title == "SPY · bull put spread 580/575 · 20 Feb (39 days)"
    assert embed.colour is Colour.WAITING
    assert embed.picture == PAYOFF_PICTURE
    assert embed.at == SHOWN.created_at
    for said in (
        "Sell the 580 put, buy the 575 put** · 3 contracts",
        "**Credit 1.20**, not below 1.10",
        "$330 to win, **$1,170 to lose**",
        "Probability of profit **80 %** · return on risk **28 %**",
        "Breakeven 578.9 · SPY at 600",
    ):
        assert said in embed.description
    assert field(card, "Volatility") == "IV rank 42 · percentile 55\none year"
    assert field(card, "Greeks") == "Δ +1200 shares · Θ +900.00 $ a day\nvega -2,700.00 $ a point"
    assert field(card, "Account heat") == "4.0 % → **5.2 %**\nof at most 30 %"
    assert field(card, "Exits") == "profit at 0.55 · stop at 3.30\nout by 30 Jan"
    liquidity = field(card, "Liquidity")
    assert "580 put: 4.10 / 4.20 · OI 900 · volume 90 · IV 20 %" in liquidity
    assert liquidity.endswith(f"quoted {moment_with_countdown(NOW)}")
    assert field(card, "Thesis · rules, confidence 60 %") == "Rich premium over a calm index."
    assert field(card, "Risks") == "- A fall of the index."
    expires = moment_with_countdown(SHOWN.expires_at)
    assert field(card, "State") == f"waits for an answer, expires {expires}"
    assert SHOWN.id in embed.footer


def test_a_roll_says_what_it_rolls_and_that_its_credit_is_net() -> None:
    shown = replace(SHOWN, rolls="t-260112-mo-abcdef12")
    message = recommendation_card(CardState(replace(stored(), recommendation=shown)))
    conforming(message)
    assert "Roll of t-260112-mo-abcdef12: net credit" in texts(message)


def test_a_pending_card_has_its_four_buttons() -> None:
    card = recommendation_card(CardState(stored()))
    assert labels(card) == ["Approve", "Reject", "Edit", "Details"]
    ids = [parse_custom_id(button.custom_id) for button in card.rows[0]]
    assert [one.action for one in ids] == [
        Action.APPROVE,
        Action.REJECT,
        Action.EDIT,
        Action.DETAILS,
    ]
    assert {(one.account_id, one.subject) for one in ids} == {("main", SHOWN.id)}


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_a_card_that_waits_no_more_has_no_buttons(status: Status) -> None:
    for one in (stored(status), decided(status)):
        card = recommendation_card(CardState(one))
        conforming(card)
        assert labels(card) == []
        assert field(card, "State")


def test_the_rules_are_heard_where_a_model_wrote_the_thesis() -> None:
    by_model = replace(SHOWN, analyst="claude", second_opinion="would not trade, confidence 41%.")
    card = recommendation_card(CardState(replace(stored(), recommendation=by_model)))
    assert field(card, "The rules say") == "would not trade, confidence 41%."
    assert by_model.content_hash == SHOWN.content_hash, "an approval binds the trade, not words"
    assert "The rules say" not in texts(recommendation_card(CardState(stored())))


def test_a_decided_card_says_who_and_when() -> None:
    yes = field(recommendation_card(CardState(decided(Status.APPROVED))), "State")
    assert yes == "**approved** by <@123456789012345678> at 12 Jan 10:02 ET"
    no = decided(Status.REJECTED, DecisionVerdict.REJECT, reason="too near *earnings*")
    said = field(recommendation_card(CardState(no)), "State")
    assert said.startswith("**rejected** by <@123456789012345678>")
    assert said.endswith(r"too near \*earnings\*")


def test_an_order_at_work_and_its_fill_are_shown_in_place() -> None:
    order = opening_intent(
        SHOWN, attempt=1, limit_price=Decimal("-1.15"), mid=Decimal("-1.2"), at=NOW, run_id="run-1"
    )
    working = recommendation_card(CardState(decided(Status.EXECUTING), orders=(order,)))
    assert "order intended at 1.15, attempt 1" in field(working, "State")
    filled = recommendation_card(CardState(decided(Status.EXECUTED), trade=trade(credit="1.15")))
    said = field(filled, "State")
    assert "**filled** 3 contracts at 1.15, 12 Jan 10:00 ET · trade `t-260112-mo-abcdef12`" in said
    assert filled.embeds[0].colour is Colour.GOOD


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (Status.LAPSED, "underlying_moved", "**lapsed**: underlying moved"),
        (Status.FAILED, "", "**failed**"),
        (Status.EXPIRED, "", "**expired**"),
    ],
)
def test_what_came_to_nothing_says_why(status: Status, reason: str, said: str) -> None:
    state = CardState(stored(status, reason), offered_as="r-260112-mo-abcdef12-q1")
    shown = field(recommendation_card(state), "State")
    assert shown == f"{said}\noffered anew as `r-260112-mo-abcdef12-q1`"


def test_the_first_of_two_approvals_is_shown_and_the_second_waited_for() -> None:
    one = CardState(stored(), approvals=(Yes("discord:7", "10:01 ET"),), approvals_needed=2)
    card = recommendation_card(one)
    assert field(card, "State").startswith("approval 1 of 2 by <@7>, 10:01 ET")
    assert labels(card)


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    unknown = replace(
        SHOWN,
        gates=(),
        iv_rank=None,
        iv_percentile=None,
        quotes=tuple(replace(quote, open_interest=None, volume=None) for quote in SHOWN.quotes),
    )
    card = recommendation_card(CardState(replace(stored(), recommendation=unknown)))
    assert field(card, "Volatility").startswith(f"IV rank {DASH} · percentile {DASH}")
    assert field(card, "Account heat") == DASH
    assert f"OI {DASH} · volume {DASH}" in field(card, "Liquidity")


def test_text_of_a_model_stays_text_and_is_cut() -> None:
    said = replace(
        SHOWN,
        thesis=EVIL + " word" * 400,
        risks=(EVIL,) * 6,
        second_opinion=EVIL * 20,
        iv_rank_basis=EVIL,
        analyst=EVIL,
    )
    card = recommendation_card(CardState(replace(stored(), recommendation=said)))
    conforming(card)
    harmless(card)
    assert len(field(card, "Risks").splitlines()) <= 6, "three risks, each with its own line break"


def test_the_same_state_is_the_same_card() -> None:
    """Nothing on it ticks: whether it must be edited is a comparison of two hashes."""
    state = CardState(decided(Status.EXECUTED), trade=trade())
    assert shown_hash(recommendation_card(state)) == shown_hash(recommendation_card(state))
    other = replace(state, trade=trade(credit="1.10"))
    assert shown_hash(recommendation_card(other)) != shown_hash(recommendation_card(state))


def test_only_a_person_of_the_chat_is_named_by_their_account_there() -> None:
    assert who("discord:42") == "<@42>"
    assert who("discord:@everyone") == "discord\u200b:@\u200beveryone"
    assert who("anna") == "anna"
