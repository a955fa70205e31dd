"""Cash dividends from Alpaca's corporate actions."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from mahler_pipelines.adapters.alpaca.client import AlpacaClients
from mahler_pipelines.adapters.alpaca.wire_models import Day, Page, WireModel, read_as
from mahler_pipelines.market.data import DIVIDEND_COLUMNS

_log = logging.getLogger(__name__)

PATH = "/corporate-actions"
ACTIONS_PER_PAGE = 1_000
CASH_DIVIDENDS = "cash_dividends"
LONGEST_PAYMENT = timedelta(days=120)
"""How long after its ex-date a dividend may be processed: Alpaca selects by the day it pays."""


def _empty(value: Any) -> Any:
    return {} if value is None else value


class WireDividend(WireModel):
    """A cash dividend; `rate` is USD per share."""

    symbol: str
    rate: float
    ex_date: date
    payable_date: Day = None
    special: bool = False


class WireCorporateActions(Page):
    """One page of actions by their kind: what is no cash dividend stays as it came."""

    corporate_actions: Annotated[dict[str, list[Any] | None], BeforeValidator(_empty)] = Field(
        default_factory=dict
    )


def read_dividends(
    clients: AlpacaClients, symbols: Sequence[str], *, start: date, end: date
) -> pd.DataFrame:
    """Return the dividends of these symbols that go ex from start to end, `DIVIDEND_COLUMNS`.

    Actions of another kind are counted in the log and left out. Raises `BrokerUnavailable` without
    an answer, and for a dividend without symbol, rate or ex-date.
    """
    params = {
        "symbols": ",".join(symbols),
        "types": "cash_dividend",
        "start": start.isoformat(),
        "end": (end + LONGEST_PAYMENT).isoformat(),
        "limit": ACTIONS_PER_PAGE,
    }
    found: list[WireDividend] = []
    others: Counter[str] = Counter()
    for page in clients.pages(clients.corporate_actions(), PATH, params):
        actions = read_as(WireCorporateActions, page, what=f"GET {PATH}").corporate_actions
        paid = actions.pop(CASH_DIVIDENDS, None) or []
        found += read_as(list[WireDividend], paid, what=f"GET {PATH}")
        others.update({kind: len(rows or ()) for kind, rows in actions.items()})
    if others:
        _log.warning("corporate actions of other kinds, left out: %s", dict(others))
    return dividends_frame([row for row in found if start <= row.ex_date <= end])


def dividends_frame(dividends: Sequence[WireDividend]) -> pd.DataFrame:
    """Return `DIVIDEND_COLUMNS` by underlying and ex-date."""
    rows = [(row.symbol, row.ex_date, row.rate, row.payable_date, row.special) for row in dividends]
    frame = pd.DataFrame(rows, columns=list(DIVIDEND_COLUMNS)).astype(DIVIDEND_COLUMNS)
    return frame.sort_values(["underlying", "ex_date"], ignore_index=True)
