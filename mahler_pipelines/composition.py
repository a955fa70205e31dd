"""The composition root without Dagster: settings in, a desk with its ports out.

`definitions` binds the same desk to the graph; the command line uses it as it is, so that an
approval does not pay for importing the graph.
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mahler_pipelines.decisions.terms import ApprovalTerms
from mahler_pipelines.decisions.thesis import Analyst
from mahler_pipelines.errors import BadInput, BrokerUnavailable, MissingData
from mahler_pipelines.execution.broker import Broker, BrokerClock
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.repricing import NATURAL_AT_ONCE, WalkTerms
from mahler_pipelines.execution.request_budget import RequestBudget, RequestLimits
from mahler_pipelines.market.chains import Scan
from mahler_pipelines.market.data import MarketData
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.halts import HaltTerms
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.settings import AnalystChoice, Mode, Settings
from mahler_pipelines.storage.books import BookPaths
from mahler_pipelines.strategies.limits import ScreenLimits

if TYPE_CHECKING:
    from mahler_pipelines.adapters.alpaca import AlpacaConnection
    from mahler_pipelines.exchange.control import ExchangeControl
    from mahler_pipelines.exchange.process import LocalExchange
    from mahler_pipelines.execution.desk import ExecutionDesk
    from mahler_pipelines.messaging.approving import ApprovalRule
    from mahler_pipelines.messaging.courier import Courier
    from mahler_pipelines.messaging.handler import Handler
    from mahler_pipelines.messaging.inquiries import Inquiries
    from mahler_pipelines.messaging.ledger import MessagingBook
    from mahler_pipelines.messaging.mail_room import MailRoom
    from mahler_pipelines.messaging.market_clock import MarketClock
    from mahler_pipelines.messaging.notifier import Notifier
    from mahler_pipelines.messaging.rendering import DeskRenderer
    from mahler_pipelines.storage.ingest_report import IngestReport

LOCAL_KEY, LOCAL_SECRET = "local-main", "local-secret"
RANK_STAND_INS = {"SPX": "VIX", "SPY": "VIX", "NDX": "VXN", "QQQ": "VXN", "RUT": "RVX"}
"""Underlying -> the volatility index that may stand in for its history."""
ARCHIVED_CHAIN_DAYS = 3660
"""An archive is read whole, so that every pair of its files is accounted for."""
KEPT_BY_A_FRESH_START = ("archive",)

Progress = Callable[[Path, int, int], None]


@dataclass(frozen=True)
class MarketSource:
    """Which market stands behind a local desk: `sim:SEED` or `archive:PATH[,PATH…]`."""

    kind: str
    seed: int = 0
    given: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "MarketSource":
        """Read the setting; raise `BadInput` when it is neither form."""
        kind, _, rest = text.partition(":")
        if kind == "sim" and rest.isascii() and rest.isdigit():
            return cls("sim", seed=int(rest))
        paths = [part.strip() for part in rest.split(",")]
        # An empty part would be the working folder, with every table in it.
        if kind == "archive" and all(paths):
            return cls("archive", given=tuple(Path(part).expanduser() for part in paths))
        raise BadInput("market", text, "neither sim:SEED nor archive:PATH")

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The archive's files; bars, indices and rates that lie beside a chain file come along."""
        from mahler_pipelines.storage.ingest import companion_files

        found = dict.fromkeys(self.given)
        for path in self.given:
            if path.is_file():
                found.update(dict.fromkeys(companion_files(path)))
        return tuple(found)

    @cached_property
    def book(self) -> str:
        """The name of the book that belongs to this market."""
        if self.kind == "sim":
            return f"sim-{self.seed}"
        from mahler_pipelines.storage.ingest import archive_identity

        return archive_identity(self.files)


@dataclass
class ComposedDesk:
    """One book's ports, each made when it is first asked for."""

    settings: Settings
    paths: BookPaths
    source: MarketSource | None
    _universe: tuple[str, ...] = field(default=())

    @cached_property
    def terms(self) -> DeskTerms:
        """Every limit, in the words of the rooms."""
        terms = desk_terms(self.settings, universe=self.universe)
        if not self._has_archive:
            return terms
        return replace(
            terms,
            chain_days=ARCHIVED_CHAIN_DAYS,
            scans=(Scan.CLOSE,),
            # One look a day gives no second quote to step by: orders go at natural.
            walk=NATURAL_AT_ONCE,
            # An archive is quoted once a day: at any other moment its quotes are old, and right.
            halts=replace(terms.halts, stale_data_minutes=None),
        )

    @cached_property
    def universe(self) -> tuple[str, ...]:
        """The underlyings of the settings, else what the market behind the desk lists."""
        if self.settings.universe:
            return tuple(self.settings.universe)
        if self.source is None:
            raise BadInput("universe", (), "is needed outside local mode")
        if self.source.kind == "sim":
            from mahler_pipelines.exchange.simulated.universe import UNIVERSE

            # A list: making the market itself to ask it takes a second.
            return tuple(name.ticker for name in UNIVERSE)
        ingested = self.reference_lake.read_reference("ingested_files")
        names = {n for row in ingested.get("underlyings", ()) for n in str(row).split(",") if n}
        return tuple(sorted(names))

    @cached_property
    def lake(self) -> Lake:
        """What this desk saw and computed."""
        from mahler_pipelines.storage.lake import ParquetLake

        return ParquetLake(self.settings.lake_url or self.paths.lake)

    @cached_property
    def reference_lake(self) -> Lake:
        """Ingested quotes, bars, volatility indices and rates: the archive, where there is one."""
        from mahler_pipelines.storage.lake import ParquetLake

        archive = self.paths.root / "archive"
        return ParquetLake(archive) if self._has_archive else self.lake

    @property
    def _has_archive(self) -> bool:
        return self.source is not None and self.source.kind == "archive"

    @cached_property
    def ledger(self) -> "MessagingBook":
        """What was decided and done."""
        from mahler_pipelines.storage.ledger import SqlLedgerBook

        self.paths.create()
        shared = self.settings.database_url
        return SqlLedgerBook(shared.get_secret_value() if shared else self.paths.ledger_url)

    @cached_property
    def broker(self) -> Broker:
        """Alpaca, or the local exchange over the same wire."""
        from mahler_pipelines.adapters.alpaca import AlpacaBroker

        return AlpacaBroker(self._connection)

    @cached_property
    def market_data(self) -> MarketData:
        """Alpaca's market data, or the local exchange's over the same wire."""
        from mahler_pipelines.adapters.alpaca import AlpacaMarketData

        alpaca = self.settings.alpaca
        return AlpacaMarketData(
            self._connection, option_feed=alpaca.options_feed, stock_feed=alpaca.stock_feed
        )

    @cached_property
    def analyst(self) -> Analyst:
        """The rules, or Claude where there is a key and the settings want it."""
        chosen, key = self.settings.analyst, self.settings.anthropic.api_key
        if key is None or self.settings.analyst_in_use is AnalystChoice.RULES:
            from mahler_pipelines.decisions.rules_analyst import RulesAnalyst

            return RulesAnalyst()
        from mahler_pipelines.adapters.anthropic import ClaudeAnalyst

        return ClaudeAnalyst(
            api_key=key,
            model=chosen.model,
            base_url=chosen.base_url,
            timeout_seconds=chosen.timeout_seconds,
            max_tokens=chosen.max_tokens,
            max_attempts=chosen.max_attempts,
        )

    @cached_property
    def _connection(self) -> "AlpacaConnection":
        from mahler_pipelines.adapters.alpaca import AlpacaConnection

        if self.settings.mode is Mode.LOCAL:
            url = self.exchange_url()
            return AlpacaConnection(
                LOCAL_KEY,
                LOCAL_SECRET,
                trading_url=url,
                data_url=url,
                budget=self._request_budget,
            )
        alpaca = self.settings.alpaca
        key, secret = alpaca.api_key, alpaca.secret_key
        if key is None or secret is None:
            raise BadInput(
                "mode",
                self.settings.mode.value,
                "needs ALPACA_API_KEY and ALPACA_SECRET_KEY",
            )
        return AlpacaConnection(
            key.get_secret_value(),
            secret.get_secret_value(),
            paper=self.settings.mode is Mode.PAPER,
            trading_url=alpaca.trading_url,
            data_url=alpaca.data_url,
            budget=self._request_budget,
        )

    @cached_property
    def _request_budget(self) -> RequestBudget | None:
        """What all processes of this book send together, None where nobody counts."""
        limits = request_limits(self.settings)
        if limits.trading is None and limits.data is None:
            return None
        from mahler_pipelines.storage.request_budget import SharedRequestBudget

        return SharedRequestBudget(self.paths.requests, limits)

    @cached_property
    def approval_rule(self) -> "ApprovalRule":
        """How many people have to approve, at every door."""
        from mahler_pipelines.messaging.approving import ApprovalRule

        return ApprovalRule(self.settings.discord.second_approval_heat)

    @cached_property
    def notifier(self) -> "Notifier":
        """Discord, in the channel of the settings; raise `BadInput` for what is not set."""
        from mahler_pipelines.adapters.discord.rest import DiscordConnection, DiscordRest

        found = self.settings.discord
        token, application, channel = found.bot_token, found.application_id, found.channel_id
        if token is None or not application or not channel:
            needed = "DISCORD_BOT_TOKEN, DISCORD_APPLICATION_ID and DISCORD_CHANNEL_ID"
            raise BadInput("discord", "…", f"needs {needed}")
        return DiscordRest(
            DiscordConnection(
                bot_token=token.get_secret_value(),
                application_id=application,
                channel_id=channel,
                guild_id=found.guild_id or "",
                base_url=found.base_url,
            )
        )

    @cached_property
    def renderer(self) -> "DeskRenderer":
        """Makes messages of what the ledger holds."""
        from mahler_pipelines.messaging.rendering import DeskRenderer
        from mahler_pipelines.pictures.gallery import payoff_png

        rate = self.terms.risk_free_rate
        return DeskRenderer(
            payoff=lambda shown: payoff_png(shown, rate=rate),
            approvals_needed=self.approval_rule.needed,
            by_reactions=self.settings.discord.door == "reactions",
            counts_down=self.source is None,
        )

    @cached_property
    def market_clock(self) -> "MarketClock":
        """The market's present, a second old at most."""
        from mahler_pipelines.messaging.market_clock import MarketClock

        def read() -> BrokerClock:
            # Looked up each time: the exchange may start after the desk.
            return self.broker.clock()

        return MarketClock(read, seconds=time.monotonic)

    @cached_property
    def handler(self) -> "Handler":
        """The one handler behind every door of the chat."""
        from mahler_pipelines.messaging.authority import Authority
        from mahler_pipelines.messaging.handler import Handler
        from mahler_pipelines.messaging.office import Office

        found = self.settings.discord
        return Handler(
            authority=Authority(
                application_id=found.application_id or "",
                guild_id=found.guild_id or "",
                channel_id=found.channel_id or "",
                users=frozenset(found.approvers),
                roles=frozenset(found.approver_roles),
            ),
            office=Office(
                account_id=self.terms.account_id,
                book=self.ledger,
                renderer=self.renderer,
                rule=self.approval_rule,
                inquiries=self.inquiries,
                market_now=self.market_clock.now,
                present=_present,
            ),
            notifier=self.notifier,
            sleep=time.sleep,
        )

    @cached_property
    def inquiries(self) -> "Inquiries":
        """What the chat is told that takes longer than a first answer may."""
        from mahler_pipelines.messaging.inquiries import Inquiries
        from mahler_pipelines.pictures.gallery import equity_png

        return Inquiries(
            terms=self.terms,
            mode=self.settings.mode.value,
            book=self.ledger,
            lake=self.lake,
            reference_lake=self.reference_lake,
            desk=self.execution_desk,
            picture=equity_png,
            present=_present,
        )

    @cached_property
    def courier(self) -> "Courier":
        """What delivers the outbox to the chat, and keeps its cards true."""
        from mahler_pipelines.messaging.courier import Courier

        return Courier(
            account_id=self.terms.account_id,
            book=self.ledger,
            notifier=self.notifier,
            renderer=self.renderer,
            holder=_holder(),
            present=_present,
            market_now=self.market_clock.now,
        )

    @cached_property
    def mail_room(self) -> "MailRoom":
        """Delivery in rounds for the graph's sensor, with reactions where they are the door."""
        from mahler_pipelines.messaging.mail_room import MailRoom
        from mahler_pipelines.messaging.reactions import ReactionDoor

        found = self.settings.discord
        is_set = found.bot_token and found.application_id and found.channel_id
        if not is_set or found.door == "off":
            return MailRoom()
        door = ReactionDoor(
            account_id=self.terms.account_id,
            book=self.ledger,
            notifier=self.notifier,
            rule=self.approval_rule,
            users=frozenset(found.approvers),
            market_now=self.market_clock.now,
        )
        return MailRoom(self.courier, door if found.door == "reactions" else None)

    def execution_desk(self, run_id: str) -> "ExecutionDesk":
        """The working place of a run, outside the graph."""
        from mahler_pipelines.execution.desk import ExecutionDesk, ExecutionTerms

        return ExecutionDesk(
            account_id=self.terms.account_id,
            book=self.ledger,
            broker=self.broker,
            market_data=self.market_data,
            lake=self.lake,
            run_id=run_id,
            holder=_holder(),
            sleep=time.sleep,
            dry_run=self.terms.dry_run,
            terms=ExecutionTerms(
                fee_per_contract_usd=self.terms.fee_per_contract,
                risk_free_rate=self.terms.risk_free_rate,
                dividend_days=self.terms.chain_days,
                walk=self.terms.walk,
            ),
        )

    def exchange_url(self) -> str:
        """Where this book's local exchange answers; raise `BrokerUnavailable` when it is down."""
        written = self.paths.exchange / "exchange.json"
        try:
            return f"http://127.0.0.1:{int(json.loads(written.read_text())['port'])}"
        except (OSError, ValueError, KeyError, TypeError):
            raise BrokerUnavailable(
                f"no local exchange runs for {self.paths.book}: start `mahler dev`"
            ) from None

    def exchange_control(self) -> "ExchangeControl":
        """The control routes of this book's local exchange."""
        from mahler_pipelines.exchange.control import ExchangeControl

        return ExchangeControl(self.exchange_url())

    def archive_sessions(self) -> frozenset[date]:
        """Sessions the archive has quotes of; empty for a simulated market."""
        if not self._has_archive:
            return frozenset()
        folder = self.paths.root / "archive" / "archive_quotes"
        return frozenset(
            date.fromisoformat(part.name.removeprefix("session="))
            for part in folder.glob("session=*")
        )

    def ingest(self, progress: Progress | None = None) -> "IngestReport":
        """Bring the archive's files into the book; a file that is there already is not read.

        A broker's book takes them beside what it sees: past chains, volatility indices, rates.
        """
        from mahler_pipelines.storage.ingest import ingest

        source = self.source or MarketSource.parse(str(self.settings.market))
        if source.kind != "archive":
            raise BadInput("market", str(self.settings.market), "is no archive")
        return ingest(source.files, self.reference_lake, progress=progress)

    def start_afresh(self) -> None:
        """Remove what an earlier run of this local book left; ingested archives stay."""
        if self.settings.mode is not Mode.LOCAL:
            raise BadInput("mode", self.settings.mode.value, "only a local book is replaced")
        if self.settings.database_url:
            raise BadInput(
                "database_url",
                "set",
                "a run replaces its book, and a shared database is not emptied: unset it for runs",
            )
        if self.paths.root.exists():
            for child in self.paths.root.iterdir():
                if child.name not in KEPT_BY_A_FRESH_START:
                    shutil.rmtree(child) if child.is_dir() else child.unlink()
        self.paths.create()


def _present() -> datetime:
    """The machine's clock: what vendors' patience runs by."""
    return datetime.now(UTC)


def _holder() -> str:
    """Who holds a lease: this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def compose(settings: Settings) -> ComposedDesk:
    """Return the desk of these settings; nothing is opened or connected yet."""
    home = Path(settings.home).expanduser().resolve()
    if settings.mode is Mode.LOCAL:
        source = MarketSource.parse(str(settings.market))
        return ComposedDesk(settings, BookPaths(home, source.book), source)
    return ComposedDesk(
        settings, BookPaths(home, f"{settings.mode.value}-{settings.account}"), None
    )


def request_limits(settings: Settings) -> RequestLimits:
    """Return what the desk allows itself: in local mode no more than the exchange's own limit."""
    alpaca, local = settings.alpaca, settings.exchange.requests_per_minute
    counts = (alpaca.requests_per_minute_trading, alpaca.requests_per_minute_data)
    if settings.mode is Mode.LOCAL:
        counts = (local, local)
    return RequestLimits(*counts, reserved=alpaca.reserved_for_orders)


def desk_terms(settings: Settings, *, universe: tuple[str, ...]) -> DeskTerms:
    """Translate settings into the rooms' own limits."""
    screen = settings.screen.model_dump()
    strategies = tuple(screen.pop("strategies"))
    lookback, minimum = screen.pop("iv_lookback_sessions"), screen.pop("iv_history_minimum")
    coverage = screen.pop("iv_history_coverage")
    return DeskTerms(
        account_id=settings.account,
        universe=universe,
        strategies=strategies,
        scans=(Scan.MORNING, Scan.MIDDAY, Scan.AFTERNOON),
        screen=ScreenLimits(**screen),
        risk=RiskLimits(**settings.risk.model_dump()),
        approval=ApprovalTerms(
            expires_after=timedelta(minutes=settings.approval.expires_after_minutes),
            underlying_drift=settings.approval.underlying_drift,
            floor_tolerance=settings.approval.floor_tolerance,
            requotes=settings.approval.requotes,
        ),
        exits=ExitTerms(
            profit_target=settings.exits.profit_target,
            stop_loss=settings.exits.stop_loss,
            time_exit_dte=settings.exits.time_exit_dte,
            action=settings.exits.action,
            expiry_cutoff_minutes=settings.exits.expiry_cutoff_minutes,
            expiry_always_closes=settings.exits.expiry_always_closes,
            early_assignment=settings.exits.early_assignment,
        ),
        halts=HaltTerms(**settings.halts.model_dump()),
        risk_free_rate=settings.rates.risk_free,
        rank_lookback=lookback,
        rank_minimum=minimum,
        rank_coverage=coverage,
        rank_stand_ins=dict(RANK_STAND_INS),
        recommendations_per_scan=settings.approval.recommendations_per_scan,
        fee_per_contract=settings.exchange.fee_per_contract,
        dry_run=settings.dry_run,
        walk=WalkTerms(**settings.execution.model_dump()),
    )


def local_exchange(
    desk: ComposedDesk, *, begin: datetime, port: int = 0, state: Path | None = None
) -> "LocalExchange":
    """Return the exchange behind this desk, a child process to be entered with `with`.

    `begin` counts only for a clock that never stood anywhere: a known one goes on where it was
    left. Raises `BadInput` outside local mode, `MissingData` when the archive is not ingested.
    """
    from mahler_pipelines.exchange.process import LocalExchange

    if desk.source is None:
        raise BadInput("mode", desk.settings.mode.value, "the local exchange is for local mode")
    if desk.source.kind == "archive" and not desk.archive_sessions():
        raise MissingData(f"{desk.paths.book} holds no quotes: ingest {desk.settings.market} first")
    desk.paths.create()
    archive = f"archive:{desk.paths.root / 'archive'}"
    return LocalExchange(
        f"sim:{desk.source.seed}" if desk.source.kind == "sim" else archive,
        state or desk.paths.exchange,
        name=desk.paths.book,
        port=port,
        starting_equity=desk.settings.exchange.equity,
        fee_per_contract=desk.settings.exchange.fee_per_contract,
        start_at=begin,
        requests_per_minute=desk.settings.exchange.requests_per_minute,
    )
