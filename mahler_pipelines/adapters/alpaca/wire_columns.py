"""Rows of Alpaca's answers as columns, as tolerant as `wire_models` and without a model per row.

A missing member, null and the empty string are missing; numbers may be strings; members that nobody
asks for are not looked at. What is none of that raises `BrokerUnavailable` and names its place.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from mahler_pipelines.errors import BrokerUnavailable

_REALS: TypeAdapter[list[float | None]] = TypeAdapter(list[float | None])
_MOMENTS: TypeAdapter[list[AwareDatetime | None]] = TypeAdapter(list[AwareDatetime | None])


@dataclass(frozen=True, slots=True)
class WireRows:
    """Objects of one kind with the names they are found under; `what` names the answer."""

    what: str
    names: Sequence[str]
    rows: Sequence[Mapping[str, Any]]

    @classmethod
    def by_name(cls, found: object, *, what: str) -> Self:
        """Rows of an object of objects: snapshots by symbol. Null is an empty one, at any level."""
        whole = _object(found, what, "its top")
        rows = [_object(row, what, name) for name, row in whole.items()]
        return cls(what, list(whole), rows)

    @classmethod
    def by_list(cls, found: object, *, what: str) -> Self:
        """Rows of an object of lists: bars by symbol, the symbol repeated for each."""
        whole = _object(found, what, "its top")
        names: list[str] = []
        rows: list[Mapping[str, Any]] = []
        for name, several in whole.items():
            listed = _list(several, what, name)
            names += [name] * len(listed)
            rows += listed
        return cls(what, names, rows)

    @classmethod
    def named_by(cls, found: object, name: str, *, what: str) -> Self:
        """Rows of a list, each with its own name in a member: contracts. Null is an empty one."""
        rows = [] if found is None else _list(found, what, "its top")
        names = [row.get(name) for row in rows]
        for place, value in enumerate(names):
            if not isinstance(value, str) or not value:
                raise _not_understood(what, f"{place}.{name}", "a name is missing")
        return cls(what, [str(value) for value in names], rows)

    def __len__(self) -> int:
        return len(self.rows)

    def member(self, name: str) -> "WireRows":
        """The objects that stand in a member of each row, empty ones where there is none."""
        found = [row.get(name) or {} for row in self.rows]
        if not all(type(value) is dict for value in found):
            found = [
                _object(value, self.what, f"{at}.{name}")
                for at, value in zip(self.names, found, strict=True)
            ]
        return WireRows(self.what, self.names, found)

    def reals(self, name: str) -> NDArray[np.float64]:
        """A member of each row as a number, NaN where it is missing."""
        values = [row.get(name) for row in self.rows]
        try:
            found = np.array(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            found = np.array(self._validated(_REALS, name, values), dtype=np.float64)
        if found.ndim != 1:
            raise _not_understood(self.what, name, "a list is no number")
        return found

    def moments(self, name: str) -> "Moments":
        """A member of each row as a moment with its zone."""
        values = [row.get(name) for row in self.rows]
        try:
            different = list(dict.fromkeys(values))
        except TypeError:
            raise _not_understood(self.what, name, "no moment") from None
        read = self._validated(_MOMENTS, name, different)
        index = {value: place for place, value in enumerate(different)}
        places = np.fromiter((index[value] for value in values), dtype=np.intp, count=len(values))
        in_utc = [None if one is None else one.astimezone(UTC).replace(tzinfo=None) for one in read]
        return Moments(np.array(in_utc, dtype="datetime64[us]"), places)

    def _validated(
        self, adapter: TypeAdapter[list[Any]], name: str, values: Sequence[Hashable]
    ) -> list[Any]:
        given = [None if isinstance(value, str) and not value else value for value in values]
        try:
            return adapter.validate_python(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            shown = f"{name}={given[int(first['loc'][0])]!r:.60}"
            raise _not_understood(self.what, shown, first["msg"]) from error


@dataclass(frozen=True, slots=True)
class Moments:
    """A column of moments of which few differ: those, in UTC, and which of them stands where."""

    different: NDArray[np.datetime64]
    places: NDArray[np.intp]

    def series(self) -> pd.Series:
        """The column, datetime64[us, UTC]."""
        return pd.Series(pd.DatetimeIndex(self.different[self.places], tz="UTC"))

    def at(self, rows: NDArray[np.intp]) -> pd.DatetimeIndex:
        """Some rows of the column; the row -1 is no moment."""
        column = np.append(self.different[self.places], np.datetime64("NaT", "us"))
        return pd.DatetimeIndex(column[rows], tz="UTC")

    def days(self, zone: tzinfo) -> NDArray[np.datetime64]:
        """The day of each in a zone, datetime64[us] at midnight."""
        local = pd.DatetimeIndex(self.different, tz="UTC").tz_convert(zone).tz_localize(None)
        days: NDArray[np.datetime64] = local.normalize().to_numpy(dtype="datetime64[us]")
        return days[self.places]


def _object(value: object, what: str, place: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _not_understood(what, place, f"{type(value).__name__} is no object")
    return value


def _list(value: object, what: str, place: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise _not_understood(what, place, f"{type(value).__name__} is no list")
    if not all(type(row) is dict for row in value):
        return [_object(row, what, f"{place}.{at}") for at, row in enumerate(value)]
    return value


def _not_understood(what: str, place: str, why: str) -> BrokerUnavailable:
    return BrokerUnavailable(f"{what}: the answer is not understood at {place}: {why}")
