"""Contracts of one name as arrays, and their identities."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.exchange.simulated.horizon import day_of
from mahler_pipelines.exchange.simulated.randomness import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Contracts:
    """Contracts of one name, arrays of one shape.

    `expiry` is the index of the expiration's session, `right` +1 or -1, `first_session` when the
    contract was listed, `code` its identity for hashing.
    """

    expiry: IntArray
    right: IntArray
    strike: FloatArray
    first_session: IntArray
    monthly: NDArray[np.bool_]
    code: IntArray

    def __len__(self) -> int:
        return len(self.strike)

    def take(self, rows: NDArray[np.bool_] | IntArray) -> "Contracts":
        """Return the contracts of a mask or of row numbers, which may repeat."""
        return Contracts(*(getattr(self, each.name)[rows] for each in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Contracts"]) -> "Contracts":
        """Return all contracts of the parts, in order."""
        columns = (each.name for each in fields(cls))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))

    @classmethod
    def none(cls) -> "Contracts":
        """Return no contracts."""
        integers, floats = np.empty(0, dtype=np.int64), np.empty(0)
        return cls(integers, integers, floats, integers, np.empty(0, dtype=np.bool_), integers)


def contract_codes(name: int, expiry: IntArray, right: IntArray, strike: FloatArray) -> IntArray:
    """Return one integer per contract, distinct within a seed."""
    thousandths = np.rint(strike * 1000.0).astype(np.int64)
    return np.asarray(((thousandths * 4096 + expiry) * 32 + name) * 2 + (right > 0))


def occ_symbols(
    ticker: str, days: IntArray, right: IntArray, strike: FloatArray
) -> pd.api.extensions.ExtensionArray:
    """Return OCC symbols as a pandas string array; `days` counts from the epoch."""
    dates = {int(day): f"{day_of(int(day)):%y%m%d}" for day in np.unique(days)}
    thousandths = np.rint(strike * 1000.0).astype(np.int64).tolist()
    rows = zip(days.tolist(), right.tolist(), thousandths, strict=True)
    return pd.array(
        [f"{ticker}{dates[day]}{'C' if sign > 0 else 'P'}{k:08d}" for day, sign, k in rows],
        dtype="str",
    )
