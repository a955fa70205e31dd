"""The processes that are killed while they answer recommendations and deliver what comes of it."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mahler_pipelines.adapters.discord.rest import DiscordConnection, DiscordRest
from mahler_pipelines.cards.message import Message
from mahler_pipelines.decisions.approvals import decide
from mahler_pipelines.decisions.recommendation import (
    DecisionVerdict,
    Recommendation,
    RecommendationStatus,
)
from mahler_pipelines.local_discord.people import APPLICATION_ID, CHANNEL_ID, GUILD_ID, LOCAL_TOKEN
from mahler_pipelines.messaging.courier import Courier, DeliveryTerms
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.notifier import Notifier, SentMessage
from mahler_pipelines.messaging.rendering import DeskRenderer
from mahler_pipelines.options.contracts import OptionContract, Right
from mahler_pipelines.options.structures import Leg, Side, Structure
from mahler_pipelines.storage.ledger import SqlLedgerBook

ACCOUNT = "main"
LEDGER_FILE = "ledger.sqlite"
NOTE = "drill_note"
PENDING = 3
MARKET_NOW = datetime(2026, 1, 12, 15, 0, tzinfo=UTC)
READY, DECIDED, ROUND = "ready", "decided", "round"
STAGES = ("decided", "to send", "sent", "to edit", "edited")
"""Where a process says that it stands: what a kill can wait for."""

# Quick, so that a life of a second sees every step; the order of the steps is the desk's.
TERMS = DeliveryTerms(first_wait_seconds=0.05, longest_wait_seconds=0.2, confirm_seconds=0.1)
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
RENDERER = DeskRenderer(payoff=lambda _: PICTURE, approvals_needed=lambda _: 1)

Say = Callable[..., None]


@dataclass(frozen=True)
class Watched:
    """A chat that tells what is about to be asked of it, and what was."""

    chat: Notifier
    say: Say

    def send(self, message: Message, *, nonce: str) -> SentMessage:
        """Create a message."""
        self.say("to send")
        sent = self.chat.send(message, nonce=nonce)
        self.say("sent")
        return sent

    def edit(self, message_id: str, message: Message) -> SentMessage:
        """Replace what a message shows."""
        self.say("to edit")
        edited = self.chat.edit(message_id, message)
        self.say("edited")
        return edited

    def __getattr__(self, name: str) -> Any:
        return getattr(self.chat, name)


def open_book(home: Path) -> SqlLedgerBook:
    """Return the ledger of a drill."""
    return SqlLedgerBook(f"sqlite:///{home / LEDGER_FILE}", timeout_seconds=10.0)


@contextmanager
def open_chat(api_base: str) -> Iterator[DiscordRest]:
    """Yield the channel of a drill."""
    connection = DiscordConnection(
        LOCAL_TOKEN, APPLICATION_ID, CHANNEL_ID, guild_id=GUILD_ID, base_url=api_base
    )
    chat = DiscordRest(connection)
    try:
        yield chat
    finally:
        chat.close()


def open_courier(book: SqlLedgerBook, chat: Notifier) -> Courier:
    """Return a courier of this process."""
    return Courier(
        account_id=ACCOUNT,
        book=book,
        notifier=chat,
        renderer=RENDERER,
        holder="drill",
        present=lambda: datetime.now(UTC),
        market_now=lambda: MARKET_NOW,
        terms=TERMS,
    )


def work(home: str, api_base: str, seed: int, parent: Connection) -> None:
    """Answer, execute and deliver until killed; tell the parent each step when it is done."""

    def say(what: str, *detail: str) -> None:
        parent.send((what, *detail))

    draws = random.Random(seed)  # noqa: S311 draws that repeat are the purpose
    book = open_book(Path(home))
    with open_chat(api_base) as chat:
        courier = open_courier(book, Watched(chat, say))
        say(READY)
        while True:
            _bring_work(book, draws)
            deliver(courier)
            _answer_one(book, draws, say)
            _execute_one(book, draws)
            say(ROUND)


def _bring_work(book: SqlLedgerBook, draws: random.Random) -> None:
    """A scan proposes, and something else has news, while fewer than a few wait for an answer."""
    with book.transaction(ACCOUNT) as ledger:
        if len(ledger.recommendations(statuses=[RecommendationStatus.PENDING])) < PENDING:
            number = draws.randrange(2**32)
            ledger.add_recommendation(recommendation(number), at=MARKET_NOW)
            key = f"{NOTE}:{number}"
            ledger.enqueue(
                kind=NOTE, subject=key, payload={"number": number}, key=key, at=MARKET_NOW
            )


def _answer_one(book: SqlLedgerBook, draws: random.Random, say: Say) -> None:
    """A person clicks on a card that stands in the channel."""
    with book.transaction(ACCOUNT) as ledger:
        waiting = ledger.recommendations(statuses=[RecommendationStatus.PENDING])
        shown = {card.subject for card in ledger.cards()}
        keys = [one.recommendation.id for one in waiting if one.recommendation.id in shown]
        if not keys:
            return
        key, verdict = draws.choice(keys), draws.choice(list(DecisionVerdict))
        decide(
            ledger,
            recommendation_id=key,
            verdict=verdict,
            decided_by="discord:7",
            door="discord-http",
            at=MARKET_NOW,
            reason=draws.choice(["", "too close to earnings"]),
        )
    say(DECIDED, key, verdict.value)


def _execute_one(book: SqlLedgerBook, draws: random.Random) -> None:
    """An execution that finds the price moved: one step of an approved recommendation."""
    steps = {
        RecommendationStatus.APPROVED: RecommendationStatus.EXECUTING,
        RecommendationStatus.EXECUTING: RecommendationStatus.LAPSED,
    }
    with book.transaction(ACCOUNT) as ledger:
        under_way = ledger.recommendations(statuses=list(steps))
        if under_way:
            one = draws.choice(under_way)
            ledger.move_recommendation(
                one.recommendation.id,
                expected=one.status,
                to=steps[one.status],
                at=MARKET_NOW,
                reason="price moved" if one.status is RecommendationStatus.EXECUTING else "",
            )


def recommendation(number: int) -> Recommendation:
    """Return a recommendation of its own to answer."""
    day = date(2026, 2, 20)
    short, long = (OptionContract("SPY", day, Right.PUT, Decimal(k)) for k in (580, 575))
    return Recommendation(
        id=f"r-260112-mo-{number:08x}",
        account_id=ACCOUNT,
        session=MARKET_NOW.date(),
        scan="morning",
        created_at=MARKET_NOW - timedelta(minutes=1),
        expires_at=MARKET_NOW + timedelta(minutes=29),
        structure=Structure("bull_put_spread", (Leg(short, Side.SELL), Leg(long, Side.BUY))),
        contracts=1 + number % 5,
        target_credit=Decimal("1.20"),
        floor_credit=Decimal("1.10"),
        natural_credit=Decimal("1.15"),
        underlying_price=Decimal("600.00"),
        max_loss_usd=Decimal("1170.00"),
        max_profit_usd=Decimal("330.00"),
        breakevens=(Decimal("578.90"),),
        probability_of_profit=0.8,
        expected_value_usd=12.0,
        return_on_risk=0.28,
        iv_rank=42.0,
        iv_percentile=55.0,
        iv_rank_basis="one year",
        dte=39,
        net_delta=0.04,
        net_theta_per_day=0.03,
        net_vega=-0.09,
        quotes=(),
        snapshot_hash="0" * 64,
        profit_target_debit=Decimal("0.55"),
        stop_debit=Decimal("3.30"),
        stop_reachable=True,
        exit_by=date(2026, 1, 30),
        thesis="Rich premium over a calm index.",
        risks=("A fall of the index.",),
        confidence=0.6,
        analyst="rules",
        playbook_version=0,
        gates=(),
        run_id="drill",
    )
