"""A reflection: what a closed trade taught."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Reflection:
    """One per closed trade. `lesson_code` groups what recurs."""

    id: str
    account_id: str
    trade_id: str
    written_at: datetime
    outcome: str
    pnl_usd: Decimal
    lesson_code: str
    text: str
    facts: dict[str, str]
