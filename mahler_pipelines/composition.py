"""The composition root without Dagster: settings in, a desk with its ports out.

`definitions` binds the same desk to the graph; the command line uses it as it is, so that an
approval does not pay for importing the graph.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from mahler_pipelines.adapters.alpaca import AlpacaBroker, AlpacaMarketData
from mahler_pipelines.decisions.proposing import ApprovalTerms
from mahler_pipelines.decisions.rules_analyst import RulesAnalyst
from mahler_pipelines.decisions.thesis import Analyst
from mahler_pipelines.errors import BadInput, BrokerUnavailable
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.risk.exit_terms import ExitAction, ExitTerms
from mahler_pipelines.risk.limits import RiskLimits
from mahler_pipelines.settings import Mode, Settings
from mahler_pipelines.storage.books import BookPaths
from mahler_pipelines.storage.lake import ParquetLake
from mahler_pipelines.storage.ledger import SqlLedgerBook
from mahler_pipelines.strategies.limits import ScreenLimits

LOCAL_KEY, LOCAL_SECRET = "local-main", "local-secret"
RANK_STAND_INS = {"SPX": "VIX", "SPY": "VIX", "NDX": "VXN", "QQQ": "VXN", "RUT": "RVX"}


@dataclass(frozen=True, slots=True)
class MarketSource:
    """Which market stands behind a local desk: `sim:SEED` or `archive:PATH[,PATH…]`."""

    kind: str
    seed: int = 0
    archive: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "MarketSource":
        """Read the setting; raise `BadInput` when it is neither form."""
        kind, _, rest = text.partition(":")
        if kind == "sim" and rest.isdigit():
            return cls("sim", seed=int(rest))
        if kind == "archive" and rest:
            return cls("archive", archive=tuple(Path(part).expanduser() for part in rest.split(",")))
        raise BadInput("market", text, "neither sim:SEED nor archive:PATH")

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The archive's files with their companions (bars, indices, rates)."""
        from mahler_pipelines.storage.ingest import with_companions

        return with_companions(self.archive)

    def book(self) -> str:
        """The name of the book that belongs to this market."""
        if self.kind == "sim":
            return f"sim-{self.seed}"
        from mahler_pipelines.storage.ingest import archive_identity

        return f"archive-{archive_identity(self.archive)}"
