"""Refusals in the exchange's own words: HTTP status, code, message."""

from typing import Any

from mahler_pipelines.errors import MahlerError

DUPLICATE_OR_BAD = 40010001
FORBIDDEN = 40310000
FORBIDDEN_SHORT = 40310001
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
RATE_LIMITED = 42910000
INTERNAL = 50010000


class WireRefusal(MahlerError):
    """An answer other than success; `code` is None where the wire has only a message."""

    def __init__(self, status: int, code: int | None, message: str, **extra: Any) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra
        super().__init__(f"{status} {code}: {message}")

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.extra}


def unprocessable(message: str, **extra: Any) -> WireRefusal:
    """Build a 422 with the code of an input that can't be processed."""
    return WireRefusal(422, UNPROCESSABLE, message, **extra)


def forbidden(message: str, **extra: Any) -> WireRefusal:
    """Build a 403: permission, power or quantity is lacking."""
    return WireRefusal(403, FORBIDDEN, message, **extra)


def not_found(message: str) -> WireRefusal:
    """Build a 404."""
    return WireRefusal(404, NOT_FOUND, message)
