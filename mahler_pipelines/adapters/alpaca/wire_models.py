"""Alpaca's answers as far as we use them. Unknown fields and new enum values do no harm.

Numbers come as strings, missing ones as null, as the empty string or not at all.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from mahler_pipelines.errors import BrokerUnavailable

T = TypeVar("T")


def _blank_is_missing(value: Any) -> Any:
    return None if value == "" else value


_BLANK = BeforeValidator(_blank_is_missing)
Text = Annotated[str | None, _BLANK]
Number = Annotated[Decimal | None, _BLANK]
Real = Annotated[float | None, _BLANK]
Moment = Annotated[AwareDatetime | None, _BLANK]
Day = Annotated[date | None, _BLANK]


class WireModel(BaseModel):
    """Base: fields that we do not know are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Page(WireModel):
    """What every paged answer has."""

    next_page_token: Text = None


class WireClock(WireModel):
    """GET /v2/clock."""

    timestamp: AwareDatetime
    is_open: bool
    next_open: AwareDatetime
    next_close: AwareDatetime


class WireAccount(WireModel):
    """GET /v2/account. `trade_suspended_by_user` and the levels may be missing."""

    id: str
    status: str
    equity: Decimal
    last_equity: Decimal
    cash: Decimal
    options_buying_power: Decimal
    options_approved_level: int | None = None
    options_trading_level: int | None = None
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False


class WirePosition(WireModel):
    """A row of GET /v2/positions; sources disagree on the sign of a short `qty`."""

    symbol: str
    qty: Decimal
    side: Text = None
    asset_class: Text = None
    avg_entry_price: Decimal
    current_price: Number = None


class WireLeg(WireModel):
    """A leg of a multi-leg order, or the order itself where it has one leg."""

    symbol: Text = None
    side: Text = None
    position_intent: Text = None
    qty: Number = None
    ratio_qty: Number = None
    filled_qty: Number = None
    filled_avg_price: Number = None


class WireOrder(WireLeg):
    """An order; a multi-leg parent carries the empty string for symbol and side."""

    id: str
    client_order_id: str
    status: Text = None
    limit_price: Number = None
    legs: tuple[WireLeg, ...] | None = None
    submitted_at: Moment = None
    filled_at: Moment = None


class WireActivity(WireModel):
    """A row of GET /v2/account/activities."""

    id: str
    activity_type: str
    date: Day = None
    transaction_time: Moment = None
    symbol: Text = None
    qty: Number = None
    side: Text = None
    price: Number = None
    net_amount: Number = None
    order_id: Text = None


class WireContract(WireModel):
    """A row of GET /v2/options/contracts."""

    symbol: str
    multiplier: Number = None
    size: Number = None
    open_interest: Real = None


class WireContracts(Page):
    """One page of contracts."""

    option_contracts: tuple[WireContract, ...] = ()


class WireQuote(WireModel):
    """A latest quote."""

    t: Moment = None
    bp: Real = None
    ap: Real = None
    bs: Real = None
    as_: Real = Field(default=None, validation_alias="as")


class WireTrade(WireModel):
    """A latest trade."""

    t: Moment = None
    p: Real = None


class WireBar(WireModel):
    """A bar of a share or an option."""

    t: Moment = None
    o: Real = None
    h: Real = None
    l: Real = None  # noqa: E741  (Alpaca's name)
    c: Real = None
    v: Real = None


class WireSnapshot(WireModel):
    """A snapshot of an option or a share; any member may be missing."""

    quote: WireQuote = Field(
        default=WireQuote(), validation_alias=AliasChoices("latestQuote", "latest_quote")
    )
    trade: WireTrade = Field(
        default=WireTrade(), validation_alias=AliasChoices("latestTrade", "latest_trade")
    )
    day: WireBar = Field(default=WireBar(), validation_alias=AliasChoices("dailyBar", "daily_bar"))
    previous_day: WireBar = Field(
        default=WireBar(), validation_alias=AliasChoices("prevDailyBar", "prev_daily_bar")
    )
