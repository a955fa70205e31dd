"""Books: where everything of one book lives under the home directory."""

import re
from dataclasses import dataclass
from pathlib import Path

from mahler_pipelines.errors import BadInput

_BOOK = re.compile(
    r"sim-\d{1,18}|archive-[0-9a-f]{4,64}|(?:paper|live)-[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
)


@dataclass(frozen=True, slots=True)
class BookPaths:
    """The folders and files of one book: `sim-<seed>`, `archive-<hash>`, `paper-…` or `live-…`.

    Raises `BadInput` for any other name, so that no name can lead out of the home directory.
    """

    home: Path
    book: str

    def __post_init__(self) -> None:
        if not _BOOK.fullmatch(self.book):
            raise BadInput(
                "book",
                self.book,
                "not sim-<seed>, archive-<hash>, paper-<account> or live-<account>",
            )

    @property
    def root(self) -> Path:
        """The book's own folder."""
        return self.home / "books" / self.book

    @property
    def lake(self) -> Path:
        """Root of the book's lake."""
        return self.root / "lake"

    @property
    def ledger(self) -> Path:
        """The book's SQLite ledger."""
        return self.root / "ledger.sqlite"

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the SQLite ledger."""
        return f"sqlite:///{self.ledger}"

    @property
    def requests(self) -> Path:
        """The SQLite file in which the book's processes count their requests to the broker."""
        return self.root / "requests.sqlite"

    @property
    def dagster(self) -> Path:
        """The book's Dagster home."""
        return self.root / "dagster"

    @property
    def exchange(self) -> Path:
        """State of the local exchange."""
        return self.root / "exchange"

    @property
    def discord(self) -> Path:
        """State of the local Discord."""
        return self.root / "discord"

    @property
    def logs(self) -> Path:
        """What the programs of `mahler dev` say.

        Not under the Dagster home: what lies in its folder `logs` is posted to Dagster's telemetry
        server when the webserver starts, whether or not telemetry is enabled (1.13).
        """
        return self.root / "logs"

    @property
    def reports(self) -> Path:
        """Written reports."""
        return self.root / "reports"

    def create(self) -> None:
        """Make the folders; existing ones stay as they are."""
        for folder in (self.lake, self.dagster, self.exchange, self.reports):
            folder.mkdir(parents=True, exist_ok=True)
