"""Every error Mahler raises on purpose. This module imports nothing.

MahlerError
├── BadInput                 a value that cannot be used; carries parameter, value and reason
│   ├── MalformedSymbol      not an OCC option symbol
│   ├── UnknownSession       the exchange was closed, or the date is outside the calendar
│   ├── UnreadableFile       a file that is missing, truncated or of no known layout
│   └── SettingsError        an unknown or ill-typed setting
├── MissingData              a partition, table or snapshot that is not there
├── CorruptData              stored data that contradicts itself
├── LakeError                the lake could not store or fetch a file (disk full, no permission)
├── LedgerError
│   ├── LedgerBusy           the database stayed locked
│   ├── LeaseHeld            another process works at the broker
│   └── IllegalTransition    a guarded update found another state
├── BrokerError
│   ├── BrokerRefused        a definitive answer: the order does not exist
│   ├── BrokerOutcomeUnknown the request may or may not have been taken
│   └── BrokerUnavailable    a read that could not be answered
├── AnalystError             the analyst gave no usable thesis; keeps the raw message
└── LiveTradingRefused       live mode without its phrase or its gate
"""


class MahlerError(Exception):
    """Base of every error raised on purpose."""


class BadInput(MahlerError, ValueError):
    """A value that cannot be used."""

    def __init__(self, parameter: str, value: object, reason: str) -> None:
        self.parameter = parameter
        self.value = value
        self.reason = reason
        iso = getattr(value, "isoformat", None)
        super().__init__(f"{parameter}={iso() if iso else repr(value)}: {reason}")


class MalformedSymbol(BadInput):
    """Not an OCC option symbol."""


class UnknownSession(BadInput):
    """The exchange was closed that day, or the date is outside the calendar."""


class UnreadableFile(BadInput):
    """A file that is missing, truncated or of no known layout."""


class SettingsError(BadInput):
    """An unknown or ill-typed setting."""


class MissingData(MahlerError, LookupError):
    """A partition, table or snapshot that is not there."""


class CorruptData(MahlerError):
    """Stored data that contradicts itself."""


class LakeError(MahlerError):
    """The lake could not store or fetch a file; what was stored before is intact."""


class LedgerError(MahlerError):
    """The ledger could not do what was asked."""


class LedgerBusy(LedgerError):
    """The database stayed locked beyond the timeout."""


class LeaseHeld(LedgerError):
    """Another process holds the lease."""


class IllegalTransition(LedgerError):
    """A guarded update found the row in another state."""

    def __init__(self, what: str, identifier: str, found: str, wanted: str) -> None:
        self.what = what
        self.identifier = identifier
        self.found = found
        self.wanted = wanted
        super().__init__(f"{what} {identifier} is {found}, so it cannot become {wanted}")


class BrokerError(MahlerError):
    """The broker did not do what was asked."""

    def __init__(self, message: str, *, status: int | None = None, code: int | None = None) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class BrokerRefused(BrokerError):
    """A definitive refusal: the order does not exist at the broker."""


class BrokerOutcomeUnknown(BrokerError):
    """The request may or may not have been taken: ask by client order id."""


class BrokerUnavailable(BrokerError):
    """A read that could not be answered now."""


class AnalystError(MahlerError):
    """The analyst gave no usable thesis."""

    def __init__(self, message: str, *, raw: str | None = None) -> None:
        self.raw = raw
        super().__init__(message)


class LiveTradingRefused(MahlerError):
    """Live mode was asked for without its phrase or without its gate."""
