"""How values look on the wire: numbers as text, moments in RFC 3339."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from mahler_pipelines.exchange.wire.errors import DUPLICATE_OR_BAD, WireRefusal
from mahler_pipelines.market.sessions import NEW_YORK


def number(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def utc_stamp(moment: datetime) -> str:
    """Write a moment in UTC to the microsecond, ending in Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_york_stamp(moment: datetime) -> str:
    """Write a moment in New York time with its offset."""
    return moment.astimezone(NEW_YORK).isoformat()


def day_stamp(session: date) -> str:
    """Write the start of a New York day in UTC: the time of a daily bar."""
    midnight = datetime.combine(session, time(0), tzinfo=NEW_YORK)
    return midnight.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: str, parameter: str) -> datetime:
    """Read RFC 3339 or a bare date (its start in UTC); refuse anything else with 400."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"invalid {parameter}: {text}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_day(text: str, parameter: str) -> date:
    """Read the date of a bare date or of a moment; refuse anything else with 400."""
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise bad_request(f"invalid {parameter}: {text}") from None


def parse_count(text: str | None, parameter: str, *, default: int, largest: int) -> int:
    """Read a positive page size, at most `largest`."""
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= largest:
        raise bad_request(f"invalid {parameter}: {text}")
    return int(text)


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object, every number exactly; refuse anything else with 400."""
    try:
        value = json.loads(body or b"{}", parse_float=Decimal)
    except ValueError:
        raise bad_request("request body format is invalid") from None
    if not isinstance(value, dict):
        raise bad_request("request body format is invalid")
    return value


def bad_request(message: str) -> WireRefusal:
    """Build a 400 for a parameter that can't be read."""
    return WireRefusal(400, DUPLICATE_OR_BAD, message)
