"""Alpaca's answers as far as we use them. Unknown fields and new enum values do no harm.

Numbers come as strings, missing ones as null, as the empty string or not at all.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
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


def _null_is_empty(value: Any) -> Any:
    return {} if value is None else value


_BLANK = BeforeValidator(_blank_is_missing)
_NULL = BeforeValidator(_null_is_empty)
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

    id: Text = None
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
    as_: Real = Field(default=None, alias="as")


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
    """A snapshot of an option or a share; any member may be missing or null."""

    quote: Annotated[WireQuote, _NULL] = Field(default=WireQuote(), alias="latestQuote")
    trade: Annotated[WireTrade, _NULL] = Field(default=WireTrade(), alias="latestTrade")
    day: Annotated[WireBar, _NULL] = Field(default=WireBar(), alias="dailyBar")
    previous_day: Annotated[WireBar, _NULL] = Field(default=WireBar(), alias="prevDailyBar")


class WireSnapshots(Page):
    """One page of option snapshots by OCC symbol."""

    snapshots: Annotated[dict[str, WireSnapshot], _NULL] = {}


class WireBars(Page):
    """One page of bars by symbol."""

    bars: Annotated[dict[str, tuple[WireBar, ...]], _NULL] = {}


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def read_as(kind: type[T], answer: object, *, what: str) -> T:
    """Return an answer as a model; raise `BrokerUnavailable` naming the field that is not one."""
    try:
        value = _adapter(kind).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BrokerUnavailable(
            f"{what}: the answer is not understood at {place or 'its top'}: {first['msg']}"
        ) from error
    return value


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
