"""A ledger, a channel on the local Discord, and a courier between them, on one clock."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drills.channel import is_true
from mahler_pipelines.adapters.discord.rest import DiscordConnection, DiscordRest
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.local_discord.people import (
    APPLICATION_ID,
    CHANNEL_ID,
    GUILD_ID,
    LOCAL_TOKEN,
)
from mahler_pipelines.messaging.courier import Courier, DeliveryReport, DeliveryTerms
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.ledger import CardRecord
from mahler_pipelines.messaging.rendering import DeskRenderer
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.local_discord.serving import Local, local_discord
from tests.storage import samples

ACCOUNT = "main"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
NOTE = "test_note"
"""A kind that nothing has a card for."""


@dataclass
class Post:
    """Everything of one account between the ledger and its channel."""

    book: SqlLedgerBook
    local: Local
    market_now: datetime = samples.NOW
    couriers: list[Courier] = field(default_factory=list)
    renderer: DeskRenderer = field(
        default_factory=lambda: DeskRenderer(payoff=lambda _: PNG, approvals_needed=lambda _: 1)
    )

    def present(self) -> datetime:
        return datetime.fromtimestamp(self.local.clock(), UTC)

    def later(self, seconds: float) -> None:
        self.local.clock.ahead += seconds

    def connection(self, **changes: Any) -> DiscordConnection:
        values: dict[str, Any] = {
            "bot_token": LOCAL_TOKEN,
            "application_id": APPLICATION_ID,
            "channel_id": CHANNEL_ID,
            "guild_id": GUILD_ID,
            "base_url": f"{self.local.url}/api/v10",
        }
        return DiscordConnection(**(values | changes))

    def courier(self, *, terms: DeliveryTerms | None = None, **changes: Any) -> Courier:
        """A process that delivers, with a memory of its own."""
        rest = DiscordRest(self.connection(**changes), sleep=self.later, seconds=self.local.clock)
        made = Courier(
            account_id=ACCOUNT,
            book=self.book,
            notifier=rest,
            renderer=self.renderer,
            holder=f"courier-{len(self.couriers)}",
            present=self.present,
            market_now=lambda: self.market_now,
            terms=terms or DeliveryTerms(),
        )
        self.couriers.append(made)
        return made

    def settle(self, courier: Courier) -> None:
        """Deliver until nothing is left to do, with the time between that it takes."""
        for _ in range(4):
            deliver(courier)
            self.later(courier.terms.longest_wait_seconds)

    def note(self, name: str, *, subject: str = "s", **facts: Any) -> str:
        """Put a message in the outbox and return its key."""
        key = f"{NOTE}:{name}"
        with self.book.transaction(ACCOUNT) as ledger:
            ledger.enqueue(
                kind=NOTE, subject=subject, payload={"name": name, **facts}, key=key,
                at=self.present(),
            )  # fmt: skip
        return key

    def propose(self, identifier: str = "r-1", **changes: Any) -> Recommendation:
        """Add a recommendation, and with it its card; return it."""
        shown = samples.recommendation(identifier, **({"gates": ()} | changes))
        with self.book.transaction(ACCOUNT) as ledger:
            ledger.add_recommendation(shown, at=samples.NOW)
        return shown

    def answer(self, identifier: str, verdict: DecisionVerdict, **changes: Any) -> None:
        """Give a person's answer, as a door does."""
        values: dict[str, Any] = {"decided_by": "discord:7", "door": "discord-http"}
        with self.book.transaction(ACCOUNT) as ledger:
            decide(
                ledger,
                recommendation_id=identifier,
                verdict=verdict,
                at=samples.later(1),
                **(values | changes),
            )

    def move(self, identifier: str, *steps: RecommendationStatus, reason: str = "") -> None:
        """Take a recommendation through its states."""
        for to in steps:
            with self.book.transaction(ACCOUNT) as ledger:
                stored = ledger.recommendation(identifier)
                assert stored is not None
                ledger.move_recommendation(
                    identifier, expected=stored.status, to=to, at=samples.later(2), reason=reason
                )

    def cards(self) -> tuple[CardRecord, ...]:
        with self.book.reading(ACCOUNT) as ledger:
            return ledger.cards()

    def waiting(self) -> list[str]:
        with self.book.reading(ACCOUNT) as ledger:
            return [row.key for row in ledger.outgoing(limit=1000)]

    def channel(self) -> list[dict[str, Any]]:
        """What is in the channel, oldest first."""
        return self.local.control.messages(limit=1000)

    def names(self) -> list[str]:
        """The notes in the channel, oldest first."""
        return [one["embeds"][0]["fields"][0]["value"] for one in self.channel()]

    def requests(self, method: str) -> list[dict[str, Any]]:
        """What was asked of Discord by this method."""
        return [one for one in list(self.local.discord.journal) if one["method"] == method]

    def play(self, fault: dict[str, Any], **rule: Any) -> None:
        """Let the next request that sends a message meet a fault, or those that a rule names."""
        where = {"method": "POST", "path": "/api/v10/channels/*"} | rule
        where |= {} if {"times", "every", "probability"} & rule.keys() else {"nth": 1}
        self.local.control.set_faults({"rules": [where | {"fault": fault}]})

    def untrue(self) -> list[str]:
        """Keys of cards that do not show what the ledger says, whatever their record says."""
        seen = {one["id"]: one for one in self.channel()}
        with self.book.reading(ACCOUNT) as ledger:
            return [
                card.key
                for card in ledger.cards()
                if not is_true(seen[card.message_id], self.renderer, ledger, card)
            ]


@contextmanager
def posted(folder: Path, template: Path, **terms: Any) -> Iterator[Post]:
    """Open a post on a copy of a migrated ledger; close what was opened, judge the wire."""
    path = folder / "ledger.sqlite"
    shutil.copy(template, path)
    book = SqlLedgerBook(f"sqlite:///{path}", timeout_seconds=5.0)
    with local_discord(folder / "discord", **terms) as local:
        post = Post(book, local)
        yield post
        for courier in post.couriers:
            assert isinstance(courier.notifier, DiscordRest)
            courier.notifier.close()
    book.close()


def problems(report: DeliveryReport) -> list[str]:
    """What went wrong in a round, in words."""
    return list(report.problems.values())
