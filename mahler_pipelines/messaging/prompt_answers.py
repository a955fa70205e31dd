"""A first answer within Discord's three seconds, however long the one handler takes."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from mahler_pipelines.cards.message import Message
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.messaging.answer import Answer, put_off, told
from mahler_pipelines.messaging.interaction import Interaction

PATIENCE_SECONDS = 2.0
"""Discord gives up after 3 s, of which the wire takes its part on both ways."""
ANSWERING_THREADS = 4
"""Writers take turns at the ledger anyway; more threads only wait, and wake each other up."""
TELLING_THREADS = 4
FINISHING_THREADS = 2
"""What is put off computes; more of it at once would only slow down who is answered meanwhile."""
WAY_SECONDS = 5.0
"""How long what is put off lets answers go first, before it is its turn whatever is asked."""

BUSY = "The desk could not answer. Look at the card before you press again."
TOO_LATE_FOR_A_FORM = "That took too long for the form to open: press again."

_log = logging.getLogger(__name__)


class Responder(Protocol):
    """The one handler behind every door."""

    def respond(self, interaction: Interaction, *, door: str) -> Answer:
        """Answer an interaction; never raises for what a person may have sent."""
        ...

    def finish(self, interaction: Interaction, answer: Answer) -> None:
        """Fill in an answer that was put off."""
        ...


class PromptAnswers:
    """Asks the handler on threads of its own, for a door that lives on an event loop.

    An answer that is not there in time is put off, and filled in when it comes. Nothing that the
    handler does raises here: whoever pressed a button is told something. Close it when done.
    """

    def __init__(
        self,
        responder: Responder,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        threads: int = ANSWERING_THREADS,
    ) -> None:
        self._responder = responder
        self._patience_seconds = patience_seconds
        self._answering = ThreadPoolExecutor(threads, thread_name_prefix="answering")
        # Apart from each other: what is finished may wait for an answer that is still asked for.
        self._telling = ThreadPoolExecutor(TELLING_THREADS, thread_name_prefix="telling")
        self._finishing = ThreadPoolExecutor(FINISHING_THREADS, thread_name_prefix="finishing")
        self._nobody_waits = threading.Condition()
        self._waiting = 0

    async def answer(self, interaction: Interaction, *, door: str) -> Answer:
        """Return the handler's answer, or one that puts it off."""
        with self._nobody_waits:
            self._waiting += 1
        asked = self._answering.submit(self._respond, interaction, door)
        awaited = asyncio.wrap_future(asked)
        await asyncio.wait({awaited}, timeout=self._patience_seconds)
        if awaited.done():
            return awaited.result()
        _log.warning("the answer to interaction %s is put off", interaction.id)
        return put_off(_message_of(asked))

    async def finish(self, interaction: Interaction, answer: Answer) -> None:
        """Fill in an answer that was put off; others are complete. People who wait come first."""
        if answer.later is not None:
            await asyncio.wrap_future(self._finishing.submit(self._finish, interaction, answer))

    async def tell(self, telling: Callable[[], bool]) -> bool:
        """Give a first answer that goes out by a request of our own; return whether it did."""
        return await asyncio.wrap_future(self._telling.submit(telling))

    def go_first(self, seconds: float = WAY_SECONDS) -> None:
        """Wait until nobody is being answered, so long at most: for work that is in no hurry."""
        with self._nobody_waits:
            self._nobody_waits.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Wait for what was begun, and end the threads."""
        for threads in (self._answering, self._telling, self._finishing):
            threads.shutdown()

    def _respond(self, interaction: Interaction, door: str) -> Answer:
        try:
            return self._asked(interaction, door)
        finally:
            with self._nobody_waits:
                self._waiting -= 1
                self._nobody_waits.notify_all()

    def _asked(self, interaction: Interaction, door: str) -> Answer:
        try:
            return self._responder.respond(interaction, door=door)
        except MahlerError as error:
            _log.warning("interaction %s was not answered: %s", interaction.id, error)
        except Exception:  # noqa: BLE001 a door answers whatever happens behind it
            _log.exception("interaction %s was not answered", interaction.id)
        return told(BUSY)

    def _finish(self, interaction: Interaction, answer: Answer) -> None:
        self.go_first()
        try:
            self._responder.finish(interaction, answer)
        except MahlerError as error:
            _log.warning("interaction %s was not filled in: %s", interaction.id, error)
        except Exception:  # noqa: BLE001 nobody waits for this thread to raise
            _log.exception("interaction %s was not filled in", interaction.id)


def _message_of(asked: "Future[Answer]") -> Callable[[], Message]:
    """Make a message of its own of whatever the answer turns out to be."""

    def message() -> Message:
        answer = asked.result()
        if answer.later is not None:
            return answer.later()
        if answer.modal is not None or answer.message is None:
            return Message(content=TOO_LATE_FOR_A_FORM)
        # Buttons work on the card itself; a copy of it that one person sees has none.
        return replace(answer.message, rows=())

    return message
