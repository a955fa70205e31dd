"""Kill who answers and delivers, and read the channel: `python -m drills.messages --kills 200`."""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import sqlalchemy as sa

from drills.channel import Raw, is_true, mark_of, marks_in
from drills.mail import (
    ACCOUNT,
    DECIDED,
    LEDGER_FILE,
    READY,
    RENDERER,
    STAGES,
    TERMS,
    open_book,
    open_chat,
    open_courier,
    work,
)
from mahler_pipelines.local_discord.process import LocalDiscord
from mahler_pipelines.messaging.delivery import deliver
from mahler_pipelines.messaging.marks import mark
from mahler_pipelines.messaging.upkeep import NOT_KNOWN
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.storage.tables import leases, outbox

READY_SECONDS, STAGE_SECONDS, SETTLE_SECONDS = 60.0, 2.0, 120.0
ANYWHERE_SECONDS = 0.4
BEFORE_ALL = datetime(2020, 1, 1, tzinfo=UTC)
FORGETTING = 20
"""After so many kills Discord forgets its nonces, and the minutes in which they count pass."""

ENOUGH_TO_SEE_ALL = 100
MOST_PER_KILL = 5
"""So many processes are killed for each kill that falls where it should, at the most."""

LEFT = (
    "sending begun, not in the channel",
    "in the channel, not recorded",
    "decided, and its card does not show it",
    "edit begun, not recorded",
)
BETWEEN = "between a decision row and its card's edit"
FOUND = (
    "decisions lost",
    "decisions twice",
    "messages lost",
    "messages twice",
    "messages of unknown origin",
    "cards that are not true",
    "cards that lost their picture",
    "cards that never settled",
)


@dataclass
class Drill:
    """One channel, one ledger, and processes that die over them."""

    home: Path
    discord: LocalDiscord
    seed: int
    book: SqlLedgerBook = field(init=False)
    decided: dict[str, str] = field(default_factory=dict)
    aims: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0

    def __post_init__(self) -> None:
        self.book = open_book(self.home)
        self.draws = random.Random(self.seed)  # noqa: S311 draws that repeat are the purpose

    def play(self, kills: int) -> dict[str, list[str]]:
        """Kill until so many kills fell between a decision and its card's edit; judge what is left.

        Returns what is wrong, by kind.
        """
        while self.left[BETWEEN] < kills and self.aims.total() < MOST_PER_KILL * kills:
            self._kill_one(self.aims.total())
            self.left.update(self._what_is_left())
            self._let_leases_expire()
            if self.aims.total() % FORGETTING == 0:
                self._forget_nonces()
        self._settle()
        return self._verdict()

    def _kill_one(self, number: int) -> None:
        """Start a process and kill it: anywhere, or just after it said where it stands."""
        aim = self.draws.choice(["anywhere", *STAGES])
        skip = self.draws.randrange(2)
        here, there = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("forkserver")
        arguments = (str(self.home), self.discord.api_base, self.seed * 100_000 + number, there)
        child = context.Process(target=work, args=arguments, daemon=True)
        child.start()
        there.close()
        try:
            self._hear(here, READY, seconds=READY_SECONDS)
            if aim == "anywhere":
                time.sleep(self.draws.uniform(0.0, ANYWHERE_SECONDS))
            else:
                for _ in range(skip + 1):
                    self._hear(here, aim, seconds=STAGE_SECONDS)
                time.sleep(self.draws.choice([0.0, 0.0, 0.001, 0.003]))
        finally:
            child.kill()
            child.join()
        self.aims[aim] += 1
        self._hear(here, None, seconds=0.0)
        here.close()

    def _hear(self, here: Connection, what: str | None, *, seconds: float) -> None:
        """Read until something is said, time is over, or nobody is there; keep the decisions."""
        deadline = time.monotonic() + seconds
        while here.poll(max(0.0, deadline - time.monotonic())):
            try:
                said = here.recv()
            except EOFError:
                return
            if said[0] == DECIDED:
                self.decided[said[1]] = said[2]
            if said[0] == what:
                return

    def _channel(self, since: datetime = BEFORE_ALL) -> list[Raw]:
        """What stands in the channel, read as the desk reads it."""
        with open_chat(self.discord.api_base) as chat:
            return [message.raw for message in chat.recent(since=since)]

    def _what_is_left(self) -> set[str]:
        """The states in which a kill left ledger and channel."""
        recent = self._channel(datetime.now(UTC) - timedelta(seconds=60))
        channel = {mark_of(raw): raw for raw in recent}
        left = set()
        with self.book.reading(ACCOUNT) as ledger:
            for row in ledger.outgoing(limit=1000):
                if row.sending_since is not None:
                    left.add(LEFT[1] if mark(ACCOUNT, row.key) in channel else LEFT[0])
            for card in ledger.cards(unsettled_only=True):
                raw, stored = (
                    channel.get(mark(ACCOUNT, card.key)),
                    ledger.recommendation(card.subject),
                )
                if raw is None or stored is None or stored.decision is None:
                    continue
                if not is_true(raw, RENDERER, ledger, card):
                    left |= {LEFT[2], BETWEEN}
                if card.shown.startswith(NOT_KNOWN):
                    left |= {LEFT[3], BETWEEN}
        return left

    def _let_leases_expire(self) -> None:
        """Let the time pass that a dead process's lease still lasts."""
        self._execute(sa.update(leases).values(expires_epoch=0.0))

    def _forget_nonces(self) -> None:
        """Start Discord anew and let the nonces' minutes pass: what is open is searched for."""
        self.discord.stop()
        self.discord.start()
        long_ago = datetime.now(UTC) - timedelta(seconds=2 * TERMS.nonce_seconds)
        begun = outbox.c.delivered_at.is_(None) & outbox.c.sending_since.is_not(None)
        self.forgotten += self._execute(
            sa.update(outbox).where(begun).values(sending_since=long_ago)
        )

    def _execute(self, statement: sa.Update) -> int:
        engine = sa.create_engine(f"sqlite:///{self.home / LEDGER_FILE}", poolclass=sa.NullPool)
        with engine.begin() as connection:
            return connection.execute(statement).rowcount

    def _settle(self) -> None:
        """Deliver without kills until two rounds in a row find nothing to do."""
        deadline, quiet = time.monotonic() + SETTLE_SECONDS, 0
        with open_chat(self.discord.api_base) as chat:
            courier = open_courier(self.book, chat)
            while quiet < 2 and time.monotonic() < deadline:
                report = deliver(courier)
                quiet = 0 if report.sent or report.edited or report.problems else quiet + 1
                time.sleep(2 * TERMS.longest_wait_seconds)

    def _verdict(self) -> dict[str, list[str]]:
        channel = self._channel()
        found: dict[str, list[str]] = {kind: [] for kind in FOUND}
        counts, by_id = marks_in(channel), {raw["id"]: raw for raw in channel}
        with self.book.reading(ACCOUNT) as ledger:
            stored = {one.recommendation.id: one for one in ledger.recommendations()}
            for key, verdict in self.decided.items():
                decision = stored[key].decision
                if decision is None or decision.verdict != verdict:
                    found["decisions lost"].append(key)
            written = Counter(
                one.subject for one in ledger.audit_events() if one.kind == "decision_added"
            )
            found["decisions twice"] = [key for key, count in written.items() if count > 1]
            ours = {mark(ACCOUNT, row["key"]): str(row["key"]) for row in ledger.outbox()}
            found["messages lost"] = [key for sign, key in ours.items() if not counts[sign]]
            found["messages twice"] = [key for sign, key in ours.items() if counts[sign] > 1]
            found["messages of unknown origin"] = [sign for sign in counts if sign not in ours]
            for card in ledger.cards():
                raw = by_id[card.message_id]
                if not is_true(raw, RENDERER, ledger, card):
                    found["cards that are not true"].append(card.key)
                if "image" not in raw["embeds"][0]:
                    found["cards that lost their picture"].append(card.key)
                if RENDERER.card(ledger, card).settled and not card.settled:
                    found["cards that never settled"].append(card.key)
            self.answered = sum(one.decision is not None for one in stored.values())
            self.cards = len(ledger.cards())
        self.messages = len(channel)
        return found


def main(arguments: list[str] | None = None) -> int:
    """Run the drill of the command line, print its table, and return 1 on any violation."""
    options = _parser().parse_args(arguments)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["drills.mail"])
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mahler-messages-") as folder:
        home = Path(folder)
        discord = LocalDiscord(
            home / "discord", messages_per_window=1000, window_seconds=1.0, requests_per_second=1000
        )
        with discord:
            drill = Drill(home, discord, options.seed)
            found = drill.play(options.kills)
            drill.book.close()
    sys.stdout.writelines(f"{line}\n" for line in table(drill, found))
    sys.stdout.write(f"{time.monotonic() - began:.0f} s\n")
    unseen = set(LEFT) - drill.left.keys() if options.kills >= ENOUGH_TO_SEE_ALL else set()
    sys.stdout.writelines(f"no kill left: {left}\n" for left in sorted(unseen))
    is_fine = not any(found.values()) and not unseen and drill.left[BETWEEN] >= options.kills
    sys.stdout.write("passed\n" if is_fine else "FAILED\n")
    return 0 if is_fine else 1


def table(drill: Drill, found: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the report: what was done, how it was left, what was found."""
    yield f"kills {drill.aims.total()}, seed {drill.seed}"
    yield f"{BETWEEN:<44}{drill.left[BETWEEN]:>6}"
    yield from (f"  {f'aimed at: {aim}':<42}{count:>6}" for aim, count in drill.aims.items())
    yield "\nhow kills left ledger and channel; one may leave several things open"
    yield from (f"  {left:<42}{drill.left[left]:>6}" for left in LEFT)
    yield f"\n{'answers':<44}{drill.answered:>6}"
    yield f"{'messages in the channel':<44}{drill.messages:>6}"
    yield f"{'of them cards':<44}{drill.cards:>6}"
    yield f"{'sends settled by searching the channel':<44}{drill.forgotten:>6}"
    yield "\nfound"
    for kind, keys in found.items():
        yield f"  {kind:<42}{len(keys):>6}"
        yield from (f"    {key}" for key in keys[:10])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drills.messages", description=__doc__)
    parser.add_argument(
        "--kills",
        type=int,
        default=200,
        help="how many kills between a decision and its card's edit",
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
