"""Alpaca as the desk's broker."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from mahler_pipelines.adapters.alpaca import errors
from mahler_pipelines.adapters.alpaca.client import AlpacaClients, AlpacaConnection
from mahler_pipelines.adapters.alpaca.orders import broker_order, order_body
from mahler_pipelines.adapters.alpaca.wire_models import (
    WireAccount,
    WireActivity,
    WireClock,
    WirePosition,
    read_as,
)
from mahler_pipelines.errors import BrokerOutcomeUnknown, BrokerUnavailable, MalformedSymbol
from mahler_pipelines.execution.broker import (
    BrokerAccount,
    BrokerActivity,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    OrderRequest,
)
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import parse_occ
from mahler_pipelines.options.structures import dollars

_log = logging.getLogger(__name__)

ORDERS_PER_PAGE = 500
ACTIVITIES_PER_PAGE = 100

_KIND_MISSPELT = {"OPXRC": "OPEXC"}


class AlpacaBroker:
    """Orders, positions, money and history of one account; satisfies `execution.broker.Broker`.

    Writes are sent once. Reads are repeated within bounds and then raise `BrokerUnavailable`.
    """

    def __init__(self, connection: AlpacaConnection) -> None:
        self._clients = AlpacaClients(connection)

    def clock(self) -> BrokerClock:
        """The present and the next open and close."""
        return read_clock(self._clients)

    def account(self) -> BrokerAccount:
        """Money and permissions now."""
        wire = read_as(WireAccount, self._get("/account"), what="GET /account")
        levels = (wire.options_trading_level, wire.options_approved_level)
        return BrokerAccount(
            id=wire.id,
            status=wire.status,
            equity=wire.equity,
            last_equity=wire.last_equity,
            cash=wire.cash,
            options_buying_power=wire.options_buying_power,
            # Level 0 permits nothing: the right reading of an account that states none.
            options_level=min((level for level in levels if level is not None), default=0),
            trading_blocked=(
                wire.trading_blocked or wire.account_blocked or wire.trade_suspended_by_user
            ),
        )

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send an order once.

        Raises `BadInput` for an order that could not be meant, before anything is sent.
        """
        body = order_body(order)
        answer = self._clients.write("POST", "/orders", body)
        try:
            taken = broker_order(answer, what="POST /orders")
        except BrokerUnavailable as error:
            raise BrokerOutcomeUnknown(str(error)) from error
        if taken.client_order_id != order.client_order_id:
            raise BrokerOutcomeUnknown(
                f"POST /orders: sent {order.client_order_id}, answered for {taken.client_order_id}"
            )
        return taken

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """The order with this id, or None when Alpaca itself says that there is none.

        A 404 of something in between, without Alpaca's code, proves nothing and is raised.
        """
        path = "/orders:by_client_order_id"
        try:
            answer = self._get(path, {"client_order_id": client_order_id})
        except BrokerUnavailable as error:
            if error.status == 404 and error.code == errors.NOT_FOUND:
                return None
            raise
        found = broker_order(answer, what=f"GET {path}")
        if answer.get("legs") is None and answer.get("order_class") == "mleg":
            return self._order(found.id)
        return found

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel; the outcome is read afterwards."""
        self._clients.write("DELETE", f"/orders/{quote(order_id, safe='')}")

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that can still fill, oldest first, all pages followed."""
        found: dict[str, BrokerOrder] = {}
        params: dict[str, Any] = {"status": "open", "limit": ORDERS_PER_PAGE}
        params |= {"nested": True, "direction": "asc"}
        while True:
            page = self._rows("/orders", params)
            orders = [broker_order(row, what="GET /orders") for row in page]
            fresh = [order for order in orders if order.id not in found]
            found |= {order.id: order for order in fresh}
            if len(page) < ORDERS_PER_PAGE:
                return tuple(found.values())
            if not fresh:
                raise BrokerUnavailable("GET /orders: the same page came twice")
            params["after_order_id"] = orders[-1].id

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held now."""
        return tuple(_position(row) for row in self._rows("/positions"))

    def activities(self, *, after: datetime | None = None) -> tuple[BrokerActivity, ...]:
        """Account history, oldest first, all pages followed."""
        params: dict[str, Any] = {"direction": "asc", "page_size": ACTIVITIES_PER_PAGE}
        if after is not None:
            params["after"] = after.astimezone(UTC).isoformat().replace("+00:00", "Z")
        found: dict[str, BrokerActivity] = {}
        while True:
            page = [_activity(row) for row in self._rows("/account/activities", params)]
            fresh = {row.id: row for row in page if row.id not in found}
            found |= fresh
            if len(page) < ACTIVITIES_PER_PAGE:
                return tuple(found.values())
            if not fresh:
                raise BrokerUnavailable("GET /account/activities: the same page came twice")
            params["page_token"] = page[-1].id

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _order(self, order_id: str) -> BrokerOrder:
        path = f"/orders/{quote(order_id, safe='')}"
        return broker_order(self._get(path, {"nested": True}), what=f"GET {path}")

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self._clients.read(self._clients.trading(), path, params)

    def _rows(self, path: str, params: Mapping[str, Any] | None = None) -> list[Any]:
        return read_as(list[Any], self._get(path, params), what=f"GET {path}")


def read_clock(clients: AlpacaClients) -> BrokerClock:
    """Return the broker's clock, in UTC."""
    answer = clients.read(clients.trading(), "/clock")
    wire = read_as(WireClock, answer, what="GET /clock")
    return BrokerClock(
        now=wire.timestamp.astimezone(UTC),
        is_open=wire.is_open,
        next_open=wire.next_open.astimezone(UTC),
        next_close=wire.next_close.astimezone(UTC),
    )


def _position(row: object) -> BrokerPosition:
    wire = read_as(WirePosition, row, what="GET /positions")
    is_option = wire.asset_class == "us_option" or _is_occ(wire.symbol)
    amount = abs(wire.qty)
    if amount != amount.to_integral_value():
        if is_option:
            raise BrokerUnavailable(f"GET /positions: {wire.qty} contracts of {wire.symbol}")
        _log.warning("%s shares of %s: the fraction is left out", wire.qty, wire.symbol)
    short = wire.side == "short" if wire.side in ("long", "short") else wire.qty < 0
    return BrokerPosition(
        symbol=wire.symbol,
        quantity=-int(amount) if short else int(amount),
        average_entry_price=wire.avg_entry_price,
        current_price=wire.current_price,
        is_option=is_option,
    )


def _activity(row: object) -> BrokerActivity:
    wire = read_as(WireActivity, row, what="GET /account/activities")
    day = wire.date
    if day is None and wire.transaction_time is not None:
        day = wire.transaction_time.astimezone(NEW_YORK).date()
    if day is None:
        raise BrokerUnavailable(f"GET /account/activities: {wire.id} has no date")
    quantity = wire.qty if wire.qty is not None else Decimal(0)
    if wire.side is not None:
        quantity = abs(quantity) if wire.side.startswith("buy") else -abs(quantity)
    return BrokerActivity(
        id=wire.id,
        kind=_KIND_MISSPELT.get(wire.activity_type, wire.activity_type),
        day=day,
        symbol=wire.symbol or "",
        quantity=quantity,
        price=wire.price,
        net_amount=_net_amount(wire, quantity),
        order_id=wire.order_id,
        raw=dict(row) if isinstance(row, dict) else {},
    )


def _net_amount(wire: WireActivity, quantity: Decimal) -> Decimal:
    """Money that moved. Fills do not say: it is price times quantity, against its sign."""
    if wire.net_amount is not None:
        return wire.net_amount
    if wire.price is None or not quantity:
        return Decimal(0)
    if wire.symbol is not None and _is_occ(wire.symbol):
        return dollars(-wire.price, int(quantity))
    return -wire.price * quantity


def _is_occ(symbol: str) -> bool:
    try:
        parse_occ(symbol)
    except MalformedSymbol:
        return False
    return True
