"""The chat as messaging speaks of it: messages out, reactions in, and the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mahler_pipelines.cards.message import Message
from mahler_pipelines.errors import MahlerError

UNKNOWN_MESSAGE = 10008
"""Discord's code for a message that is not there (any more)."""


class NotifierError(MahlerError):
    """The chat did not do what it was asked."""


class NotifierUnavailable(NotifierError):
    """Nothing was done: the chat is down, or says to wait `retry_after` seconds (None: unsaid)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotifierOutcomeUnknown(NotifierError):
    """The request may have been taken: the connection broke, or a server failed on it."""


class NotifierRefused(NotifierError):
    """A definitive refusal: `code` is the vendor's, such as 10008 for a message that is gone."""

    def __init__(self, message: str, *, status: int, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def is_gone(self) -> bool:
        """Whether the message is not there any more."""
        return self.code == UNKNOWN_MESSAGE


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message as the chat has it. `author_id` is the account that wrote it."""

    id: str
    channel_id: str
    author_id: str
    created_at: datetime
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reaction:
    """One person's reaction to a message."""

    user_id: str
    emoji: str


class Notifier(Protocol):
    """What the desk may ask of a chat, in one channel.

    Each call is one request, repeated only where nothing can have happened twice: `send` carries
    its nonce. Raises `NotifierUnavailable`, `NotifierOutcomeUnknown` or `NotifierRefused`.
    """

    def send(self, message: Message, *, nonce: str) -> SentMessage:
        """Create a message; the same nonce (at most 25 characters) within minutes finds it."""
        ...

    def edit(self, message_id: str, message: Message) -> SentMessage:
        """Replace what a message shows; its pictures stay unless the message brings others."""
        ...

    def recent(self, *, since: datetime) -> tuple[SentMessage, ...]:
        """The channel's messages from a moment on, by the chat's clock, newest first."""
        ...

    def react(self, message_id: str, emoji: str) -> None:
        """Put the desk's own reaction under a message, for people to press."""
        ...

    def reactions(self, message_id: str, emoji: str) -> tuple[Reaction, ...]:
        """Who has pressed it, all pages followed; the desk's own reaction is left out."""
        ...

    def answer(self, interaction_id: str, token: str, body: dict[str, Any]) -> None:
        """Give the first answer to an interaction that came by the gateway; within 3 seconds."""
        ...

    def follow_up(self, token: str, message: Message) -> None:
        """Fill in the answer to an interaction that was put off; within 15 minutes.

        Whether one person sees it or everybody was said by the first answer.
        """
        ...

    def register_commands(self, commands: Sequence[dict[str, Any]]) -> None:
        """Make these the guild's slash commands, instead of those before."""
        ...
