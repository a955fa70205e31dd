"""Faults on demand: which requests meet which fault, as a list of rules in JSON.

A rule has a match (method, path pattern), a turn (the nth matching request, every nth, or a
probability), a number of times, and one fault. `docs/discord.md` lists them.
"""

import json
import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mahler_pipelines.errors import BadInput, UnreadableFile

LONGEST_HANG_SECONDS = 3600.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_MEMBERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "refuse": {"status": (int, None), "code": (int, 0), "message": (str, "refused")},
    "rate_limit": {"retry_after": (float, 1.0), "global": (bool, False), "via": (bool, True)},
    "fail": {"status": (int, None), "executed": (bool, False), "body": (str, "json")},
    "hang": {"seconds": (float, None), "executed": (str, "before")},
    "drop": {"executed": (bool, False)},
    "truncate": {},
    "empty": {},
}
"""Kind of fault -> its members: type, and default; None where it must be given."""

_ALLOWED = {
    ("fail", "status"): (500, 502, 503, 504),
    ("fail", "body"): ("json", "html", "empty"),
    ("hang", "executed"): ("before", "after"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and its members."""

    kind: str
    members: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FaultRule:
    """When a fault is met.

    `path` is matched as in a shell (`*` passes over slashes), without the query. From the `nth`
    matching request on, at every `every`-th, or with a `probability`; without one of them at each.
    `times` bounds how often; an `nth` is once unless it says otherwise.
    """

    fault: Fault
    name: str
    method: str | None = None
    path: str = "*"
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None


@dataclass(slots=True)
class _Count:
    rule: FaultRule
    draws: random.Random
    matched: int = 0
    met: int = 0

    def is_due(self, method: str, path: str) -> bool:
        rule = self.rule
        if rule.method not in (None, method) or not fnmatchcase(path, rule.path):
            return False
        self.matched += 1
        # Drawn for every match: the draws depend on the requests alone, not on what was met.
        drawn = rule.probability is None or self.draws.random() < rule.probability
        limit = rule.times or (1 if rule.nth is not None else None)
        if limit is not None and self.met >= limit:
            return False
        if rule.nth is not None:
            return self.matched >= rule.nth
        return drawn if rule.every is None else self.matched % rule.every == 0


@dataclass(slots=True)
class FaultBook:
    """The plan in force and its counts. The same plan and requests meet the same faults."""

    plan: dict[str, Any] = field(default_factory=lambda: {"seed": 0, "rules": []})
    counts: list[_Count] = field(default_factory=list)

    def meet(self, method: str, path: str) -> FaultRule | None:
        """Count a request against every rule; return the first whose turn it is."""
        due = [count for count in self.counts if count.is_due(method, path)]
        if not due:
            return None
        due[0].met += 1
        return due[0].rule

    def as_json(self) -> dict[str, Any]:
        """Return the plan, and per rule how many requests it matched and how many met it."""
        counted = [
            {"name": count.rule.name, "matched": count.matched, "met": count.met}
            for count in self.counts
        ]
        return {"plan": self.plan, "counts": counted}


def parse_faults(text: str | bytes, *, source: str) -> FaultBook:
    """Read a plan from JSON; raise `BadInput` that names the source and what is wrong."""
    try:
        plan = json.loads(text)
        _typed(plan, dict, "the plan")
        _known(plan, {"seed", "rules"}, "the plan")
        seed = _typed(plan.get("seed", 0), int, "seed")
        _typed(plan.get("rules", []), list, "rules")
        rules = [_rule(one, f"rules.{n}") for n, one in enumerate(plan.get("rules", []))]
    except ValueError as error:
        raise BadInput("faults", source, str(error)) from None
    # Draws that repeat are the purpose.
    counts = [
        _Count(rule, random.Random(f"{seed}:{place}"))  # noqa: S311
        for place, rule in enumerate(rules)
    ]
    return FaultBook({"seed": seed, "rules": plan.get("rules", [])}, counts)


def read_faults(path: Path) -> FaultBook:
    """Read a fault file; raise `UnreadableFile` where there is none, `BadInput` for its content."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnreadableFile("faults", str(path), error.strerror or "cannot be read") from None
    return parse_faults(text, source=str(path))


def _rule(raw: Any, place: str) -> FaultRule:
    _typed(raw, dict, place)
    turns = {"nth": int, "every": int, "probability": float}
    _known(raw, {"name", "method", "path", "times", "fault", *turns}, place)
    if sum(name in raw for name in turns) > 1:
        raise ValueError(f"{place}: give one of nth, every, probability")
    fault = _fault(raw.get("fault"), f"{place}.fault")
    rule = FaultRule(
        fault=fault,
        name=_typed(raw.get("name", fault.kind), str, f"{place}.name"),
        method=raw.get("method"),
        path=_typed(raw.get("path", "*"), str, f"{place}.path"),
        **{
            name: _positive(_typed(raw[name], kind, f"{place}.{name}"), f"{place}.{name}")
            for name, kind in {**turns, "times": int}.items()
            if name in raw
        },
    )
    if rule.method not in (None, *_METHODS):
        raise ValueError(f"{place}.method: {rule.method!r} is none of {', '.join(_METHODS)}")
    if not rule.path.startswith(("/api", "*")):
        raise ValueError(f"{place}.path: {rule.path!r} matches nothing: begin with /api or *")
    if rule.probability is not None and rule.probability > 1:
        raise ValueError(f"{place}.probability: {rule.probability} is above 1")
    return rule


def _fault(raw: Any, place: str) -> Fault:
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind not in _MEMBERS:
        raise ValueError(f"{place}.kind: {kind!r} is none of {', '.join(_MEMBERS)}")
    known = _MEMBERS[kind]
    _known(raw, {"kind", *known}, place)
    members = {}
    for name, (wanted, default) in known.items():
        if name not in raw and default is None:
            raise ValueError(f"{place}.{name}: is missing")
        value = _typed(raw.get(name, default), wanted, f"{place}.{name}")
        allowed = _ALLOWED.get((kind, name))
        if allowed is not None and value not in allowed:
            raise ValueError(f"{place}.{name}: {value!r} is none of {allowed}")
        members[name] = value
    if kind == "refuse" and not 400 <= members["status"] < 500:
        raise ValueError(f"{place}.status: {members['status']} is no refusal")
    if kind == "hang" and not 0 < members["seconds"] <= LONGEST_HANG_SECONDS:
        raise ValueError(f"{place}.seconds: {members['seconds']} is out of bounds")
    return Fault(kind, members)


def _known(raw: dict[str, Any], names: set[str], place: str) -> None:
    for name in raw:
        if name not in names:
            raise ValueError(f"unknown key {name!r} in {place}")


def _typed(value: Any, wanted: type, place: str) -> Any:
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"{place}: {value!r} is no {wanted.__name__}")
    return value


def _positive(value: Any, place: str) -> Any:
    if value <= 0:
        raise ValueError(f"{place}: {value!r} is not positive")
    return value
