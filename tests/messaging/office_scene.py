"""An office on a real ledger: cards of every kind in the channel, and a person who presses."""

import atexit
import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mahler_pipelines.cards.custom_ids import Action, CustomId
from mahler_pipelines.cards.message import Message
from mahler_pipelines.decisions.ledger import StoredRecommendation
from mahler_pipelines.decisions.playbook import PlaybookRule, RuleStatus
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution import halting
from mahler_pipelines.execution.messages import announce_exit_reached
from mahler_pipelines.execution.trades import ExitReason, PositionMark
from mahler_pipelines.messaging.answer import Answer
from mahler_pipelines.messaging.approving import ApprovalRule
from mahler_pipelines.messaging.authority import Authority
from mahler_pipelines.messaging.handler import Handler
from mahler_pipelines.messaging.inquiries import Inquiries
from mahler_pipelines.messaging.interaction import read_interaction
from mahler_pipelines.messaging.ledger import CardRecord, OutgoingMessage
from mahler_pipelines.messaging.notifier import NotifierError
from mahler_pipelines.messaging.office import Office
from mahler_pipelines.messaging.rendering import DeskRenderer
from mahler_pipelines.review import learning_report
from mahler_pipelines.risk.halts import HaltCode, HaltReason
from mahler_pipelines.storage.lake import ParquetLake
from mahler_pipelines.storage.ledger import SqlLedgerBook
from tests.execution.scenes import NOW, SESSION, Scene, recommendation, trade
from tests.execution.test_account_view import terms

APPLICATION, GUILD, CHANNEL = "11", "22", "33"
ANNA, BEN, ROLE, EVE = "100", "101", "500", "666"
"""Two people on the list, a role on it, and a stranger."""
SHOWN = recommendation()
TRADE = replace(trade(), recommendation_id="r-of-the-trade")
RULE = "p-1a2b3c4d"
CARDS = {
    "recommendation": ("9001", f"recommendation_card:{SHOWN.id}"),
    "exit": ("9002", ""),
    "halt": ("9003", ""),
    "learning": ("9004", ""),
}
"""What -> the id of its message, and the key of its outbox row."""
MACHINE = datetime.fromisoformat("2026-11-20T10:00:00+00:00")
VOLATILE = ("seen_interactions",)


@cache
def _migrated() -> Path:
    """An empty ledger, made once: its copies need no migration."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "ledger.sqlite"
    book = SqlLedgerBook(f"sqlite:///{path}")
    book.upgrade()
    book.close()
    return path


class FakeNotifier:
    """Keeps what was filled in; `failing` are errors that the next calls raise."""

    def __init__(self) -> None:
        self.filled: list[tuple[str, Message]] = []
        self.failing: list[NotifierError] = []

    def follow_up(self, token: str, message: Message) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.filled.append((token, message))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the handler has nothing to do with {name}")


@dataclass
class OfficeScene:
    """A handler and what is around it. `market` is the market's time, None when nobody knows."""

    folder: Path
    second_above: Decimal | None = None
    market: datetime | None = NOW + timedelta(minutes=2)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    scene: Scene = field(default_factory=Scene)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copy(_migrated(), self.folder / "ledger.sqlite")
        self.book = SqlLedgerBook(f"sqlite:///{self.folder / 'ledger.sqlite'}")
        self.lake = ParquetLake(self.folder / "lake")
        self.scene.later(minutes=2)
        self.scene.quote((4.10, 4.20), (2.90, 2.95))
        self.numbers = itertools.count(1)
        self.handler = self.another_process()

    def another_process(self) -> Handler:
        """A handler that shares the ledger alone with the others."""
        rule = ApprovalRule(self.second_above)
        return Handler(
            authority=Authority(
                APPLICATION, GUILD, CHANNEL, frozenset({ANNA, BEN}), frozenset({ROLE})
            ),
            office=Office(
                account_id="main",
                book=self.book,
                renderer=DeskRenderer(payoff=lambda _: None, approvals_needed=rule.needed),
                rule=rule,
                inquiries=Inquiries(
                    terms=terms(),
                    mode="local",
                    book=self.book,
                    lake=self.lake,
                    reference_lake=self.lake,
                    desk=lambda run_id: replace(
                        self.scene.desk, book=self.book, lake=self.lake, run_id=run_id
                    ),
                    picture=lambda rows: b"png" if rows else None,
                    present=lambda: MACHINE,
                ),
                market_now=self.market_now,
                present=lambda: MACHINE,
            ),
            notifier=self.notifier,
            sleep=self.slept.append,
        )

    def market_now(self) -> datetime:
        if self.market is None:
            raise BrokerUnavailable("nobody answers")
        return self.market

    def fill(self) -> None:
        """Put a card of every kind into the channel."""
        with self.book.transaction("main") as ledger:
            ledger.add_recommendation(SHOWN, at=NOW)
            ledger.add_recommendation(replace(SHOWN, id=TRADE.recommendation_id), at=NOW)
            ledger.open_trade(TRADE)
            announce_exit_reached(ledger, TRADE, MARK, ExitReason.PROFIT_TARGET)
            ledger.add_marks([MARK])
            ledger.propose_rule(
                PlaybookRule(RULE, "main", "Wait a day.", RuleStatus.PROPOSED, "3 lost", NOW)
            )
            told = learning_report.learning_report(ledger, session=SESSION)
            ledger.enqueue(
                kind=learning_report.KIND,
                subject=told.week,
                payload=told.model_dump(mode="json"),
                key="learning",
                at=NOW,
            )
            rows = ledger.outgoing()
        for row in rows:
            self.post(row)

    def post(self, row: OutgoingMessage) -> None:
        """Have a message of the outbox stand in the channel."""
        name = {"recommendation_card": "recommendation", "exit_reached": "exit", "halted": "halt"}
        what = name.get(row.kind, "learning")
        if row.subject == TRADE.recommendation_id:
            return
        with self.book.transaction("main") as ledger:
            message = CARDS[what][0]
            ledger.put_card(
                CardRecord(row.key, row.kind, row.subject, CHANNEL, message, "", False, MACHINE)
            )

    def halt(self) -> None:
        """Halt by rule, and let its card stand in the channel."""
        reason = HaltReason(HaltCode.LOSING_STREAK, "t-9", Decimal(5), Decimal(5))
        with self.book.transaction("main") as ledger:
            halting._halt(ledger, [reason], at=NOW)
            rows = [row for row in ledger.outgoing() if row.kind == "halted"]
        self.post(rows[0])

    def raw(self, **changes: Any) -> dict[str, Any]:
        """An interaction of Anna's as Discord sends it."""
        number = str(7000 + next(self.numbers))
        user = {"id": ANNA, "username": "anna"}
        return {
            "id": number,
            "application_id": APPLICATION,
            "type": 3,
            "token": f"secret-token-{number}",
            "guild_id": GUILD,
            "channel_id": CHANNEL,
            "member": {"user": user, "roles": []},
            "data": {},
        } | changes

    def press(
        self,
        action: Action | str,
        what: str = "recommendation",
        subject: str | None = None,
        *,
        by: str = ANNA,
        account: str = "main",
        **changes: Any,
    ) -> dict[str, Any]:
        """A press of a card's button."""
        subjects = {"recommendation": SHOWN.id, "exit": TRADE.id, "halt": "main", "learning": RULE}
        custom_id = f"mahler:1:{action}:{account}:{subject or subjects[what]}"
        return self.raw(
            member={"user": {"id": by}, "roles": []},
            message={"id": CARDS[what][0]},
            data={"custom_id": custom_id, "component_type": 2},
            **changes,
        )

    def form(self, action: Action, values: dict[str, str], **more: Any) -> dict[str, Any]:
        """A sent form that a button of the recommendation's card had opened."""
        raw = self.press(action, **more)
        boxes = [
            {"type": 18, "component": {"type": 4, "custom_id": name, "value": value}}
            for name, value in values.items()
        ]
        return raw | {"type": 5, "data": raw["data"] | {"components": boxes}}

    def command(self, name: str, *, by: str = ANNA, **options: str) -> dict[str, Any]:
        """A slash command."""
        listed = [{"name": key, "type": 3, "value": value} for key, value in options.items()]
        data = {"id": "1", "name": name, "type": 1, "options": listed}
        return self.raw(type=2, member={"user": {"id": by}, "roles": []}, data=data)

    def send(self, raw: dict[str, Any], handler: Handler | None = None) -> Answer:
        """What the handler answers."""
        asked = read_interaction(raw)
        return (handler or self.handler).respond(asked, door="discord-http")

    def filled_in(self, raw: dict[str, Any]) -> Message:
        """What an answer that is put off turns into."""
        asked = read_interaction(raw)
        answer = self.handler.respond(asked, door="discord-http")
        assert answer.later is not None, answer.body()
        self.handler.finish(asked, answer)
        token, message = self.notifier.filled[-1]
        assert token == raw["token"]
        return message

    def shown(self, identifier: str = SHOWN.id) -> StoredRecommendation:
        """The recommendation as it stands."""
        with self.book.reading("main") as ledger:
            stored = ledger.recommendation(identifier)
        assert stored is not None
        return stored

    def digest(self) -> str:
        """Everything in the ledger but which interactions were seen."""
        engine = self.book._opened()
        found: dict[str, list[str]] = {}
        with engine.connect() as connection:
            for table in sa.inspect(engine).get_table_names():
                if table not in VOLATILE:
                    rows = connection.exec_driver_sql(f'SELECT * FROM "{table}"')  # noqa: S608
                    found[table] = sorted(map(repr, rows))
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    def unchanged(self, act: Callable[[], Answer]) -> Answer:
        """The answer of an act that may not change anything, seen interactions among it."""
        before, seen = self.digest(), self.seen()
        answer = act()
        assert self.digest() == before
        assert self.seen() == seen
        return answer

    def seen(self) -> int:
        with self.book._opened().connect() as connection:
            query = "SELECT count(*) FROM seen_interactions"
            return int(connection.exec_driver_sql(query).scalar_one())


MARK = PositionMark(
    trade_id=TRADE.id,
    marked_at=NOW + timedelta(minutes=1),
    cost_to_close=Decimal("0.50"),
    natural_cost_to_close=Decimal("0.55"),
    unrealised_pnl_usd=Decimal("150.00"),
    underlying_price=Decimal("603.00"),
    dte=39,
    snapshot_hash=None,
)


def words(answer: Answer | Message) -> str:
    """All text of an answer or a message."""
    message = answer.message if isinstance(answer, Answer) else answer
    assert message is not None
    texts = [message.content]
    for embed in message.embeds:
        texts += [embed.title, embed.description, embed.footer]
        texts += [text for field in embed.fields for text in (field.name, field.value)]
    return "\n".join(texts)


def buttons(answer: Answer | Message) -> dict[str, CustomId]:
    """Label -> custom id of an answer's buttons."""
    from mahler_pipelines.cards.custom_ids import parse_custom_id

    message = answer.message if isinstance(answer, Answer) else answer
    assert message is not None
    return {b.label: parse_custom_id(b.custom_id) for row in message.rows for b in row}
