"""Delivery for who comes round now and then: a round beside the caller, who never waits long."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.messaging.courier import Courier
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.reactions import ReactionDoor, read_reactions

WAIT_SECONDS = 2.0


@dataclass
class MailRoom:
    """Makes rounds one after another, each in a thread of its own.

    Whoever asks for a round waits a moment for its end and no longer: a chat that hangs holds only
    the round. `courier` is None where no chat is set, `door` where reactions are not read.
    """

    courier: Courier | None = None
    door: ReactionDoor | None = None
    said: str = ""
    _round: threading.Thread | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def make_round(self, *, wait_seconds: float = WAIT_SECONDS) -> str:
        """Begin a round unless one is on its way; return what the last one did, in words."""
        if self.courier is None:
            return "no chat is set"
        with self._lock:
            if self._round is None or not self._round.is_alive():
                # A daemon: the program that asks may end while Discord hangs.
                self._round = threading.Thread(target=self._make, name="mail", daemon=True)
                self._round.start()
            running = self._round
        running.join(wait_seconds)
        return "a round is on its way" if running.is_alive() else self.said

    def _make(self) -> None:
        self.said = (
            "; ".join(filter(None, (_told(step) for step in self._steps()))) or "nothing new"
        )

    def _steps(self) -> list[Callable[[], str]]:
        return [self._hear, self._deliver]

    def _hear(self) -> str:
        """Take answers first, so that the same round shows them."""
        decided = read_reactions(self.door) if self.door is not None else ()
        return f"answered: {', '.join(decided)}" if decided else ""

    def _deliver(self) -> str:
        if self.courier is None:
            return ""
        report = deliver(self.courier)
        counts = {"sent": report.sent, "edited": report.edited, "expired": report.expired}
        words = [f"{name} {len(keys)}" for name, keys in counts.items() if keys]
        return ", ".join([*words, *dict.fromkeys(report.problems.values())])


def _told(step: Callable[[], str]) -> str:
    try:
        return step()
    except MahlerError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 said, so that a thread does not end unheard
        return f"{type(error).__name__}: {error}"
