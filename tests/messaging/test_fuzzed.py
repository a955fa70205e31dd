"""Ten thousand interactions that nobody may act on: none raises, none changes anything."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.errors import BadInput
from mahler_pipelines.messaging.answer import AnswerKind
from mahler_pipelines.messaging.authority import Stranger
from mahler_pipelines.messaging.interaction import read_interaction
from mahler_pipelines.messaging.refusing import NotTaken
from tests.messaging.office_scene import ANNA, CARDS, EVE, RULE, SHOWN, TRADE, OfficeScene

COUNT = 10_000
SEED = 20261121

REACHED = set(NotTaken) - {
    NotTaken.UNFORESEEN,
    NotTaken.NOT_THERE,
    NotTaken.NOT_NOW,
    NotTaken.DECIDES_NOTHING,
}
"""What the fuzz has to come across; the others need a desk in another state."""

Raw = dict[str, Any]
_TEXTS = ("", "0", "mahler", "\u202e", "<@1>", "🙂" * 40, "a" * 5000, "\x00", "ß:ü:::", "null")
_SUBJECTS = (SHOWN.id, TRADE.id, RULE, "main", "x")


def anything(dice: random.Random) -> Any:
    """A value of some type that stands where another was meant."""
    return dice.choice(
        (None, True, -1, 2**70, 1.5, [], {}, [[]], [{}], {"id": 1}, {"a": {"b": []}}, *_TEXTS)
    )


def garbled(raw: Any, dice: random.Random) -> Any:
    """The same with some of its values replaced."""
    if dice.random() < 0.05:
        return anything(dice)
    if isinstance(raw, dict):
        return {key: garbled(value, dice) for key, value in raw.items() if dice.random() > 0.02}
    if isinstance(raw, list):
        return [garbled(value, dice) for value in raw]
    return raw


def pressed(scene: OfficeScene, dice: random.Random) -> Raw:
    """Something that could be in order: a press, a form or a command."""
    what = dice.choice(tuple(CARDS))
    action = dice.choice((Action.REJECT_REASON, Action.EDITED, *Action))
    kind = dice.random()
    if kind < 0.2:
        options = {"reason": "storm", "id": SHOWN.id}
        return scene.command(dice.choice(("halt", "reduce", "explain", "status")), **options)
    if kind < 0.4:
        return scene.form(action, {"reason": "x", "contracts": "1", "limit": "1.10"})
    return scene.press(action, what)


def stranger(raw: Raw, dice: random.Random) -> Raw:
    """Somebody else, or another place."""
    somebody = {"member": {"user": {"id": EVE}, "roles": [str(dice.randrange(400))]}}
    alone = {"member": None, "user": {"id": dice.choice((ANNA, EVE))}, "guild_id": None}
    places = [{name: str(dice.randrange(5)) for name in (field,)} for field in _PLACES]
    return raw | dice.choice([somebody, alone, *places])


_PLACES = ("application_id", "guild_id", "channel_id")


def odd_name(raw: Raw, dice: random.Random) -> Raw:
    """A custom id or a command that this desk never wrote."""
    account = dice.choice(("main", "other", "Main", ""))
    known = f"mahler:1:{dice.choice(list(Action))}:other:{dice.choice(_SUBJECTS)}"
    unknown = f"mahler:{dice.randrange(3)}:{dice.choice(('', 'buy', 'APPROVE'))}:{account}:x"
    name = dice.choice((known, unknown, *_TEXTS))
    return raw | {"data": {"custom_id": name, "name": name, "component_type": 2}}


def odd_card(raw: Raw, dice: random.Random) -> Raw:
    """A button on a message that does not carry it."""
    subject = f"{dice.choice(('r', 't', 'p'))}-{dice.randrange(10**6)}"
    custom_id = f"mahler:1:{dice.choice(list(Action))}:main:{subject}"
    message = dice.choice((None, {"id": str(dice.randrange(100))}, {"id": CARDS["exit"][0]}))
    return raw | {"type": 3, "message": message, "data": {"custom_id": custom_id}}


def odd_form(raw: Raw, dice: random.Random) -> Raw:
    """A form with what no form can hold."""
    action = dice.choice(("reject_reason", "edited", "edited"))
    values = ["x" * 5001, "\u0661" * 4000, "-1e9" * 200]
    # Any short text is a reason, but not a size or a price.
    values += ["-1", "free", "\u0661", " "] if action == "edited" else []
    value = dice.choice(values)
    boxes = [
        {"type": 18, "component": {"type": 4, "custom_id": name, "value": value}}
        for name in ("reason", "contracts", "limit")
    ]
    custom_id = f"mahler:1:{action}:main:{SHOWN.id}"
    data = {"custom_id": custom_id, "components": boxes}
    return raw | {"type": 5, "message": {"id": CARDS["recommendation"][0]}, "data": data}


SPOILED: tuple[Callable[[Raw, random.Random], Raw], ...] = (
    stranger,
    odd_name,
    odd_card,
    odd_form,
)


def test_ten_thousand_fuzzed_interactions_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = OfficeScene(tmp_path)
    scene.fill()
    scene.halt()
    dice = random.Random(SEED)  # noqa: S311 the same every time
    before, came = scene.digest(), Counter[str]()
    for _ in range(COUNT):
        whole = pressed(scene, dice)
        shaken = garbled(whole, dice) if dice.random() < 0.4 else whole
        raw = shaken if isinstance(shaken, dict) else whole
        try:
            asked = read_interaction(dice.choice(SPOILED)(raw, dice))
        except BadInput:
            came["unreadable"] += 1
            continue
        answer = scene.handler.respond(asked, door="discord-http")
        assert answer.kind in (AnswerKind.MESSAGE, AnswerKind.PONG)
        assert answer.ephemeral or answer.kind is AnswerKind.PONG
        came["refused"] += 1
        came["pings"] += answer.kind is AnswerKind.PONG
    assert scene.digest() == before
    assert scene.seen() == 0
    assert came["refused"] > COUNT / 2
    assert came["unreadable"] > COUNT / 20
    codes = Counter(record.getMessage().rsplit(" ", 1)[-1] for record in caplog.records)
    assert codes.total() == came["refused"] - came["pings"]
    assert codes.keys() >= {*Stranger, *REACHED}, codes
    assert NotTaken.UNFORESEEN not in codes
    # The same desk still answers whom it should.
    assert scene.send(scene.press(Action.APPROVE)).kind is AnswerKind.UPDATE
    scene.book.close()
