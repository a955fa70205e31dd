"""The first gate that each row of a table fails, gathered gate by gate over whole columns."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_pipelines.strategies.limits import NotAvailablePolicy
from mahler_pipelines.strategies.refusals import RefusalCode

PASSED = 0
"""Code index of a row that failed nothing."""

CODE_INDEX: dict[RefusalCode, int] = {
    code: position for position, code in enumerate(RefusalCode, start=1)
}
"""Refusal code -> its index; 0 stands for a row that passed."""

CODE_NAMES: NDArray[np.object_] = np.array(["", *(code.value for code in RefusalCode)], object)
"""Index -> code, the inverse of `CODE_INDEX`."""

FloatColumn = NDArray[np.float64]
BoolColumn = NDArray[np.bool_]


class FirstFailures:
    """First failing gate per row: code index, the value measured, the limit it broke.

    Gates are asked in order; a row that failed one is not asked again. A comparison with NaN is
    never a pass, so a gate says what it does with NaN before it compares.
    """

    __slots__ = ("code", "limit", "value")

    def __init__(self, rows: int) -> None:
        self.code: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.value: FloatColumn = np.full(rows, np.nan)
        self.limit: FloatColumn = np.full(rows, np.nan)

    @property
    def passed(self) -> BoolColumn:
        """Rows that failed nothing so far."""
        return np.asarray(self.code == PASSED)

    @property
    def names(self) -> NDArray[np.object_]:
        """Code of each row in words, empty for a pass."""
        names: NDArray[np.object_] = CODE_NAMES[self.code]
        return names

    def rows(self, positions: NDArray[np.int64]) -> "FirstFailures":
        """Return the failures of these rows, in this order."""
        chosen = FirstFailures(positions.size)
        chosen.code = self.code[positions]
        chosen.value = self.value[positions]
        chosen.limit = self.limit[positions]
        return chosen

    def refuse(
        self, failing: BoolColumn, code: RefusalCode, *, value: ArrayLike, limit: ArrayLike
    ) -> None:
        """Refuse rows that fail here and failed nothing before."""
        rows = np.flatnonzero(failing & self.passed)
        if rows.size == 0:
            return
        self.code[rows] = CODE_INDEX[code]
        self.value[rows] = np.broadcast_to(np.asarray(value, np.float64), self.value.shape)[rows]
        self.limit[rows] = np.broadcast_to(np.asarray(limit, np.float64), self.limit.shape)[rows]

    def refuse_outside(
        self, values: FloatColumn, low: float | None, high: float | None, code: RefusalCode
    ) -> None:
        """Refuse values outside [low, high]; the limit kept is the bound that was broken."""
        if low is not None:
            self.refuse(~(values >= low), code, value=values, limit=low)
        if high is not None:
            self.refuse(~(values <= high), code, value=values, limit=high)

    def refuse_not_above(
        self,
        values: FloatColumn,
        minimum: float | None,
        *,
        too_low: RefusalCode,
        not_available: RefusalCode,
        policy: NotAvailablePolicy,
    ) -> None:
        """Refuse values at or below the minimum, and NaN where the policy says so."""
        if minimum is None:
            return
        missing = np.isnan(values)
        if policy is NotAvailablePolicy.REFUSE:
            self.refuse(missing, not_available, value=np.nan, limit=minimum)
        self.refuse(~missing & ~(values > minimum), too_low, value=values, limit=minimum)

    def refuse_not_below(
        self,
        values: FloatColumn,
        maximum: float | None,
        *,
        too_high: RefusalCode,
        not_available: RefusalCode,
        policy: NotAvailablePolicy,
    ) -> None:
        """Refuse values at or above the maximum, and NaN where the policy says so."""
        if maximum is None:
            return
        missing = np.isnan(values)
        if policy is NotAvailablePolicy.REFUSE:
            self.refuse(missing, not_available, value=np.nan, limit=maximum)
        self.refuse(~missing & ~(values < maximum), too_high, value=values, limit=maximum)
