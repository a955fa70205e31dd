"""Answers made wrong: an unknown value, or a quote that is stale, crossed or locked."""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from mahler_pipelines.exchange.faults import DistortQuote, UnknownValue
from mahler_pipelines.exchange.wire.format import utc_stamp

_CENT = 0.01


def distort(fault: UnknownValue | DistortQuote, answer: Any) -> bool:
    """Change a parsed answer in place; return whether it had what the fault is about."""
    if isinstance(fault, UnknownValue):
        return _overwrite(fault, answer)
    changed = [_worsen(fault, quote) for quote in _quotes(fault.symbol, answer)]
    return any(changed)


def _overwrite(fault: UnknownValue, answer: Any) -> bool:
    """Write the value over every text member of the name, however deep."""
    found = False
    if isinstance(answer, dict) and isinstance(answer.get(fault.field), str):
        answer[fault.field] = fault.value
        found = True
    for member in _members(answer):
        found |= _overwrite(fault, member)
    return found


def _members(answer: Any) -> list[Any]:
    if isinstance(answer, dict):
        return list(answer.values())
    return answer if isinstance(answer, list) else []


def _quotes(symbol: str, answer: Any) -> list[dict[str, Any]]:
    """Quotes of the symbols that a pattern names: a snapshot's `latestQuote`, or a bare quote."""
    if not isinstance(answer, dict):
        return []
    found = []
    for name, member in answer.items():
        if not isinstance(member, dict):
            continue
        quote = member.get("latestQuote", member)
        if fnmatchcase(name, symbol) and "bp" in quote:
            found.append(quote)
        else:
            found += _quotes(symbol, member)
    return found


def _worsen(fault: DistortQuote, quote: dict[str, Any]) -> bool:
    if fault.state == "stale":
        taken = datetime.fromisoformat(quote["t"]) - timedelta(seconds=fault.seconds)
        quote["t"] = utc_stamp(taken)
        return True
    if quote["ap"] <= 0:
        return False  # Nobody offers: there is no ask to cross.
    above = _CENT if fault.state == "crossed" else 0.0
    quote["bp"] = round(quote["ap"] + above, 4)
    return True
