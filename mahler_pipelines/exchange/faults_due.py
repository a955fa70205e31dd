"""Whose turn it is: counts requests, and messages of streams, against the rules of a fault plan.

The same plan and the same sequence of requests and messages meet the same faults.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from mahler_pipelines.exchange.faults import FaultPlan, FaultRule


@dataclass(slots=True)
class RuleCount:
    """A rule, the requests or messages that it matched, and those that met its fault."""

    rule: FaultRule
    draws: np.random.Generator
    matched: int = 0
    met: int = 0

    def is_due(self, method: str | None, path: str) -> bool:
        """Count what the rule matches and say whether it is its turn; messages have no method."""
        rule = self.rule
        if rule.method not in (None, method) or not fnmatchcase(path, rule.path):
            return False
        self.matched += 1
        # Drawn for every match: the draws depend on the requests alone, not on what was met.
        drawn = rule.probability is None or self.draws.random() < rule.probability
        if rule.limit is not None and self.met >= rule.limit:
            return False
        if rule.nth is not None:
            return self.matched >= rule.nth
        return drawn if rule.every is None else self.matched % rule.every == 0


class FaultBook:
    """The plan in force and its counts. A new plan is a new book."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._counts = [
            RuleCount(rule, np.random.default_rng([plan.seed, place]))
            for place, rule in enumerate(plan.rules)
        ]

    def meet(self, method: str, path: str) -> RuleCount | None:
        """Count a request against every rule; return the first whose turn it is, counted as met."""
        return self._first_due(method, path, of_streams=False)

    def meet_message(self, path: str) -> RuleCount | None:
        """Count a message that the stream at this path is about to tell, as `meet` a request."""
        return self._first_due(None, path, of_streams=True)

    def _first_due(self, method: str | None, path: str, *, of_streams: bool) -> RuleCount | None:
        asked = [count for count in self._counts if count.rule.is_of_streams is of_streams]
        due = [count for count in asked if count.is_due(method, path)]
        if not due:
            return None
        due[0].met += 1
        return due[0]

    def as_json(self) -> dict[str, Any]:
        """Return the plan, and per rule how many it matched and how many met it."""
        return {
            "plan": self.plan.model_dump(mode="json", exclude_none=True),
            "counts": [
                {"name": count.rule.label, "matched": count.matched, "met": count.met}
                for count in self._counts
            ],
        }
