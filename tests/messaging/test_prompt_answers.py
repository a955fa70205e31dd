"""Answers come in time whatever the handler does, and before what may take its time."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from mahler_pipelines.cards.message import Button, Message, Modal
from mahler_pipelines.messaging import prompt_answers
from mahler_pipelines.messaging.answer import Answer, AnswerKind, opened, put_off, told, updated
from mahler_pipelines.messaging.interaction import Interaction, InteractionKind
from mahler_pipelines.messaging.prompt_answers import TOO_LATE_FOR_A_FORM, PromptAnswers


def pressed(identifier: str) -> Interaction:
    kind = InteractionKind.COMPONENT
    return Interaction(identifier, kind, "token", "1", "2", "3", "4", "you", ())


@dataclass
class Desk:
    """Answers with what is given, the slow one only when it may."""

    answers: dict[str, Answer]
    may_answer: threading.Event = field(default_factory=threading.Event)
    done: list[str] = field(default_factory=list)
    filled: list[Message] = field(default_factory=list)

    def respond(self, interaction: Interaction, *, door: str) -> Answer:
        assert door == "test"
        if interaction.id == "slow":
            assert self.may_answer.wait(10)
        self.done.append(interaction.id)
        return self.answers[interaction.id]

    def finish(self, interaction: Interaction, answer: Answer) -> None:
        assert answer.later is not None
        self.filled.append(answer.later())
        self.done.append(f"{interaction.id} filled in")


@pytest.mark.parametrize(
    ("late", "shown"),
    [
        (told("approved"), Message(content="approved")),
        (
            updated(Message(content="the card", rows=((Button("b", "Approve"),),))),
            Message(content="the card"),
        ),
        (opened(Modal("m", "Reject", ())), Message(content=TOO_LATE_FOR_A_FORM)),
        (put_off(lambda: Message(content="the gates")), Message(content="the gates")),
    ],
    ids=["message", "update", "form", "put off anyway"],
)
def test_an_answer_that_comes_late_is_filled_in_as_far_as_it_can_be(
    late: Answer, shown: Message
) -> None:
    """A copy of a card has no buttons, and a form cannot open any more."""
    desk = Desk({"slow": late})
    answers = PromptAnswers(desk, patience_seconds=0.05)

    async def press() -> Answer:
        answer = await answers.answer(pressed("slow"), door="test")
        desk.may_answer.set()
        await answers.finish(pressed("slow"), answer)
        return answer

    answer = asyncio.run(press())
    answers.close()
    assert (answer.kind, answer.ephemeral) == (AnswerKind.DEFERRED_MESSAGE, True)
    assert desk.filled == [shown]


def test_what_is_put_off_lets_those_who_wait_go_first() -> None:
    later = put_off(lambda: Message(content="the gates"))
    desk = Desk({"slow": told("hello"), "details": later})
    answers = PromptAnswers(desk, patience_seconds=5)

    async def press() -> None:
        waiting = asyncio.create_task(answers.answer(pressed("slow"), door="test"))
        answer = await answers.answer(pressed("details"), door="test")
        filling = asyncio.create_task(answers.finish(pressed("details"), answer))
        await asyncio.sleep(0.1)
        assert desk.done == ["details"]
        desk.may_answer.set()
        await asyncio.gather(waiting, filling)

    asyncio.run(press())
    answers.close()
    assert desk.done == ["details", "slow", "details filled in"]


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_answers, "WAY_SECONDS", 0.1)
    later = put_off(lambda: Message(content="the gates"))
    desk = Desk({"slow": told("hello"), "details": later})
    answers = PromptAnswers(desk, patience_seconds=5)

    async def press() -> None:
        waiting = asyncio.create_task(answers.answer(pressed("slow"), door="test"))
        answer = await answers.answer(pressed("details"), door="test")
        await answers.finish(pressed("details"), answer)
        desk.may_answer.set()
        await waiting

    asyncio.run(press())
    answers.close()
    assert desk.done == ["details", "details filled in", "slow"]


def test_work_in_no_hurry_lets_answers_go_first() -> None:
    """Who draws cards beside the answers waits while somebody is answered, but not for ever."""
    desk = Desk({"slow": told("approved")})

    async def play() -> None:
        answers = PromptAnswers(desk)
        try:
            answers.go_first(60)  # nobody is there
            answering = asyncio.ensure_future(answers.answer(pressed("slow"), door="test"))
            await asyncio.sleep(0)
            await asyncio.to_thread(answers.go_first, 0.01)
            drawing = asyncio.ensure_future(asyncio.to_thread(answers.go_first, 60))
            await asyncio.sleep(0.05)
            assert not drawing.done()
            desk.may_answer.set()
            await drawing
            assert desk.done == ["slow"]
            await answering
        finally:
            answers.close()

    asyncio.run(play())
