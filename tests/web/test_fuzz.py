"""Ten thousand requests that nobody allowed sent: none changes state, none is a server's error.

Every card of the desk stands in the channel and waits; the requests go through the real
application, the real handler and a real ledger. At the end the same press by the right person
counts, so that a door that takes nothing would fail too.
"""

import asyncio
import copy
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.cards.forms import REASON_LENGTH
from mahler_pipelines.decisions.recommendation import RecommendationStatus
from mahler_pipelines.messaging.commands import COMMANDS
from mahler_pipelines.messaging.prompt_answers import PromptAnswers
from mahler_pipelines.web.app import interactions_app
from mahler_pipelines.web.signatures import SIGNATURE, TIMESTAMP
from tests.messaging.office_scene import ANNA, BEN, CARDS, EVE, OfficeScene
from tests.web.signing import Signer, encoded

COUNT = 10_000
AT_ONCE = 8
SEED = 5
PATH = "/discord/interactions"

Request = tuple[bytes, dict[str, str]]
PRESSES = (
    (Action.APPROVE, "recommendation"),
    (Action.CLOSE, "exit"),
    (Action.KEEP, "exit"),
    (Action.ADOPT_RULE, "learning"),
    (Action.REFUSE_RULE, "learning"),
)
"""Each of them would count at once, sent by the right person."""
OLD_SECONDS = (61, 3600, 10**9)
NONSENSE: tuple[Any, ...] = (
    None, True, -1, 10**400, 1e308, "", "x" * 5000, "\ud800", "\u0000", "٣", [], {}, [[]],
    {"id": None}, "9001\n", "1; DROP TABLE decisions", "@everyone", float("nan"),
)  # fmt: skip


class Fuzzer:
    """Makes requests that must not count, each kind of wrong in its turn, from one seed."""

    def __init__(self, scene: OfficeScene, signer: Signer, seen: dict[str, Any]) -> None:
        self.scene, self.signer, self.seen = scene, signer, seen
        self.chance = random.Random(SEED)  # noqa: S311 no secret
        self.kinds: tuple[Callable[[], Request], ...] = (
            self.badly_signed,
            self.signed_noise,
            self.mangled,
            self.stranger,
            self.elsewhere,
            self.wrong_button,
            self.wrong_card,
            self.wrong_form,
            self.wrong_command,
            self.replayed,
        )

    def press(self, **changes: Any) -> dict[str, Any]:
        action, what = self.chance.choice(PRESSES)
        return self.scene.press(action, what, **changes)

    def sign(self, raw: Any) -> Request:
        body = raw if isinstance(raw, bytes) else encoded(raw)
        return body, self.signer.headers(body)

    def badly_signed(self) -> Request:
        """The right person's press, under a signature that is missing, broken, old or another's."""
        body, true = self.sign(self.press())
        place, old = self.chance.randrange(len(body)), self.chance.choice(OLD_SECONDS)
        changed = bytearray(body)
        changed[place] ^= 1 << self.chance.randrange(8)
        swapped = true[SIGNATURE][64:] + true[SIGNATURE][:64]
        wrong: tuple[Request, ...] = (
            (body, {}),
            (bytes(changed), true),
            (body + b" ", true),
            (body, Signer().headers(body)),
            (body, self.signer.headers(body, at=int(true[TIMESTAMP]) - old)),
            (body, true | {TIMESTAMP: str(int(true[TIMESTAMP]) + 1)}),
            (body, true | {TIMESTAMP: self.chance.choice(["", "x", "-1", "1e9", "9" * 40])}),
            (body, true | {SIGNATURE: swapped}),
            (body, true | {SIGNATURE: self.chance.choice(["", "00", "g" * 128, "0" * 128])}),
            (body, {name: value for name, value in true.items() if name != TIMESTAMP}),
        )
        return self.chance.choice(wrong)

    def signed_noise(self) -> Request:
        """Discord's signature over what is no interaction at all."""
        noise = self.chance.randbytes(self.chance.randrange(400))
        whole = encoded(self.press())
        cut = whole[: self.chance.randrange(len(whole))]
        deep = b"[" * self.chance.randrange(1, 50_000)
        large = b" " * self.chance.randrange(262_145, 300_000)
        value = encoded(self.chance.choice([1, "x", [], None, True, {}]))
        return self.sign(self.chance.choice([noise, cut, deep, large, value]))

    def mangled(self) -> Request:
        """A stranger's press, with nonsense in one to three places."""
        raw = self.press(by=EVE)
        for _ in range(self.chance.randrange(1, 4)):
            branch = self.chance.choice(
                [part for part in [raw, *raw.values()] if isinstance(part, dict)]
            )
            branch[self.chance.choice([*branch, "roles"])] = copy.deepcopy(
                self.chance.choice(NONSENSE)
            )
        return self.sign(raw)

    def stranger(self) -> Request:
        """Somebody who is not on the list, whatever roles and permissions they claim elsewhere."""
        roles = [str(self.chance.randrange(10**18)) for _ in range(self.chance.randrange(4))]
        user = {"id": self.chance.choice([EVE, "0", ANNA + "0", "1" + BEN]), "username": "anna"}
        member = {"user": user, "roles": roles, "permissions": str(2**53), "nick": ANNA}
        pressed = self.press() | {"member": member, "roles": ["500"]}
        asked = self.scene.command(self.chance.choice([*COMMANDS])) | {"member": member}
        return self.sign(self.chance.choice([pressed, asked]))

    def elsewhere(self) -> Request:
        """The right person, by another application, in another server or channel, or in private."""
        raw = self.press()
        where = self.chance.choice(["application_id", "guild_id", "channel_id", "private"])
        if where == "private":
            raw["user"] = raw.pop("member")["user"]
            del raw["guild_id"]
        else:
            raw[where] = str(self.chance.randrange(10**17, 10**18))
        return self.sign(raw)

    def wrong_button(self) -> Request:
        """The right person, with a custom id that is none of ours or of another account or kind."""
        action, what = self.chance.choice(PRESSES)
        mine = self.scene.press(action, what)
        *_, subject = mine["data"]["custom_id"].split(":")
        custom_id = self.chance.choice(
            [
                "",
                f"mahler:2:{action}:main:{subject}",
                f"mahler:1:{action}:other:{subject}",
                f"mahler:1:{action}:main:{subject}\n",
                f"mahler:1:{action}:main:{subject}:{subject}",
                f"mahler:1:{action}:main:",
                f"mahler:1:{action.upper()}:main:{subject}",
                f"mahler:1:sell_everything:main:{subject}",
                f"mahler:1:{Action.REJECT_REASON}:main:{subject}",
                f"mahler:1:{Action.EDITED}:main:{subject}",
                f"mahler:1:{Action.RESUME_CONFIRMED}:main:{self.chance.getrandbits(64):016x}",
                f" {mine['data']['custom_id']}",
                "".join(map(chr, self.chance.choices(range(32, 1000), k=90))),
            ]
        )
        mine["data"]["custom_id"] = custom_id
        return self.sign(mine)

    def wrong_card(self) -> Request:
        """The right person's button under a message that is not the button's card, or none."""
        action, what = self.chance.choice(PRESSES)
        raw = self.scene.press(action, what)
        others = [message for name, (message, _) in CARDS.items() if name != what]
        other = self.chance.choice([*others, str(self.chance.randrange(10**18))])
        raw["message"] = {"id": other}
        if self.chance.random() < 0.3:
            del raw["message"]
        return self.sign(raw)

    def wrong_form(self) -> Request:
        """A form that nobody could have filled in: too long, no number, or of a button."""
        long = "n" * self.chance.randrange(REASON_LENGTH + 1, 4000)
        number = self.chance.choice(["0", "-1", "1.5", "x", "9" * 13, "", "1e3", "NaN", "½"])
        forms = [
            self.scene.form(Action.REJECT_REASON, {"reason": long}),
            self.scene.form(Action.EDITED, {"contracts": number, "limit": "1.15"}),
            self.scene.form(Action.EDITED, {"contracts": "1", "limit": f"{number}/1"}),
            self.scene.form(Action.EDITED, {}),
            self.scene.form(self.chance.choice(PRESSES)[0], {"reason": "because"}),
        ]
        return self.sign(self.chance.choice(forms))

    def wrong_command(self) -> Request:
        """A command that there is not, or a halt without its reason."""
        name = self.chance.choice(["resume", "approve", "HALT", "halt ", "sudo", "", "x" * 100])
        return self.sign(self.scene.command(self.chance.choice([name, "halt", "reduce"])))

    def replayed(self) -> Request:
        """What was taken once, sent again, and signed anew as only Discord can."""
        return self.sign(self.seen | {"token": f"another-{self.chance.random()}"})


def requests(fuzzer: Fuzzer) -> Iterator[tuple[str, Request]]:
    for place in range(COUNT):
        make = fuzzer.kinds[place % len(fuzzer.kinds)]
        yield make.__name__, make()


async def _send_all(app: Any, wanted: Iterator[tuple[str, Request]]) -> Counter[tuple[str, int]]:
    """Send them, some at a time; count kinds and statuses."""
    found: Counter[tuple[str, int]] = Counter()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:

        async def sender() -> None:
            for kind, (body, headers) in wanted:
                answer = await client.post(PATH, content=body, headers=headers)
                found[kind, answer.status_code] += 1
                if answer.status_code == 200:
                    _is_polite(answer.json())

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return found


def _is_polite(answer: dict[str, Any]) -> None:
    """A refusal is told to who asked, in words, and to nobody else."""
    assert answer["type"] == 4, answer
    assert answer["data"]["flags"] == 64, answer
    assert answer["data"]["content"], answer


def test_none_changes_state_and_none_is_a_server_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    scene, signer = OfficeScene(tmp_path), Signer()
    scene.fill()
    scene.halt()
    seen = scene.press(Action.KEEP, "exit")
    scene.send(seen)
    before, known = scene.digest(), scene.seen()
    answers = PromptAnswers(scene.handler)
    app = interactions_app(
        answers=answers, verifier=signer.verifier, health=lambda: {"status": "ok"}
    )
    found = asyncio.run(_send_all(app, requests(Fuzzer(scene, signer, seen))))
    assert (scene.digest(), scene.seen()) == (before, known)
    assert sum(found.values()) == COUNT
    assert {status for _, status in found} == {200, 400, 401, 413}
    assert {status for kind, status in found if kind == "badly_signed"} == {401}
    assert {kind for kind, status in found if status == 200} >= {
        *("mangled", "stranger", "elsewhere", "wrong_button", "wrong_card", "wrong_form"),
        *("wrong_command", "replayed"),
    }
    assert caplog.records == [], "an error was hidden behind a polite answer"

    body = encoded(scene.press(Action.APPROVE))
    allowed = iter([("allowed", (body, signer.headers(body)))])
    with pytest.raises(AssertionError, match="'type': 7"):
        asyncio.run(_send_all(app, allowed))
    answers.close()
    assert scene.digest() != before
    assert scene.shown().status is RecommendationStatus.APPROVED


def test_the_seed_makes_the_same_requests(tmp_path: Path) -> None:
    """So that a failure can be looked at again."""
    first, second = (_first_bodies(tmp_path / name) for name in ("a", "b"))
    assert first == second
    assert len(set(first)) > 90


def _first_bodies(folder: Path) -> list[bytes]:
    folder.mkdir()
    scene = OfficeScene(folder)
    fuzzer = Fuzzer(scene, Signer(), scene.press(Action.KEEP, "exit"))
    return [fuzzer.kinds[place % len(fuzzer.kinds)]()[0] for place in range(100)]
