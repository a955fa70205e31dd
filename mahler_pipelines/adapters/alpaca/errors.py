"""Alpaca's errors, translated once. HTTP status and code decide; the text may change.

`APIError.code` raises on an empty or non-JSON body, so the body is read here.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mahler_pipelines.errors import BrokerOutcomeUnknown, BrokerRefused, BrokerUnavailable

DUPLICATE_CLIENT_ORDER_ID = 40010001
NOT_FOUND = 40410000

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_TEXT = 300


class Transient(Exception):
    """A read that may succeed when it is repeated. Never leaves the adapter."""

    def __init__(self, message: str, *, status: int | None = None, code: int | None = None) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer that is an error: status, Alpaca's code if the body has one, and the text."""

    status: int | None
    code: int | None
    message: str

    @classmethod
    def of(cls, status: int | None, body: str) -> "ErrorAnswer":
        """Read an error's body, whatever it is."""
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            return cls(status, None, body.strip()[:_LONGEST_TEXT] or "no body")
        code = parsed.get("code")
        known = int(code) if isinstance(code, int | str) and str(code).isdigit() else None
        return cls(status, known, str(parsed.get("message", body))[:_LONGEST_TEXT])

    @property
    def is_definitive_refusal(self) -> bool:
        """Whether the order certainly does not exist.

        A duplicate client order id says that an order does exist: ours, if an earlier answer was
        lost. A 422 that does not say what it is may be just that.
        """
        if self.status is None or not 400 <= self.status < 500:
            return False
        if self.status in (408, 409, 429) or "client_order_id" in self.message:
            return False
        return self.status != 422 or self.code not in (None, DUPLICATE_CLIENT_ORDER_ID)

    def __str__(self) -> str:
        return f"{self.status} {self.code or ''} {self.message}"


@contextmanager
def translated_read(path: str) -> Iterator[None]:
    """Turn what a GET raises into `Transient`, or `BrokerUnavailable` where repeating is no use."""
    from alpaca.common.exceptions import APIError
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        answer = ErrorAnswer.of(error.status_code, str(error))
        kind = Transient if answer.status in _TRY_AGAIN else BrokerUnavailable
        raise kind(f"GET {path}: {answer}", status=answer.status, code=answer.code) from error
    except RequestException as error:
        raise Transient(f"GET {path}: {_named(error)}") from error


@contextmanager
def translated_write(method: str, path: str) -> Iterator[None]:
    """Turn what a write raises into `BrokerRefused` or `BrokerOutcomeUnknown`."""
    from alpaca.common.exceptions import APIError
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        answer = ErrorAnswer.of(error.status_code, str(error))
        kind = BrokerRefused if answer.is_definitive_refusal else BrokerOutcomeUnknown
        raise kind(f"{method} {path}: {answer}", status=answer.status, code=answer.code) from error
    except RequestException as error:
        # Even where nothing was sent, asking by client order id is cheap and always right.
        raise BrokerOutcomeUnknown(f"{method} {path}: {_named(error)}") from error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]
