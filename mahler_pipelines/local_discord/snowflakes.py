"""Discord's ids: milliseconds since 2015 and a count, as text. Later ids are larger."""

import time
from collections.abc import Callable

_EPOCH_MILLISECONDS = 1_420_070_400_000


class Snowflakes:
    """Makes ids, each larger than the one before, across restarts too."""

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._last = 0

    def next(self) -> str:
        """Return a new id."""
        now = (int(self._seconds() * 1000) - _EPOCH_MILLISECONDS) << 22
        self._last = max(now, self._last + 1)
        return str(self._last)

    def pass_over(self, seen: str) -> None:
        """Give out no id up to this one, whatever the machine's clock says."""
        self._last = max(self._last, int(seen))
