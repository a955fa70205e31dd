"""The wire itself: keys, limits, paging, journal, control, and how fast a chain is written."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import RateLimit, build_wire
from mahler_pipelines.exchange.wire.option_views import snapshots
from mahler_pipelines.market.chains import conform_quotes
from mahler_pipelines.market.sessions import NEW_YORK
from tests.exchange.fakes import FAR, NEAR, OPENING, HandMadeMarket, Quote, call, put
from tests.exchange.orders import leg, single, spread

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
CREDIT_SPREAD = [leg(put(95), "sell", "open"), leg(put(90), "buy", "open")]


@pytest.fixture
def market() -> HandMadeMarket:
    return HandMadeMarket()


@pytest.fixture
def exchange(market: HandMadeMarket, tmp_path: Path) -> Exchange:
    return Exchange(market, tmp_path, ExchangeTerms(start_at=OPENING))


@pytest.fixture
def client(exchange: Exchange) -> Iterator[TestClient]:
    with TestClient(build_wire(exchange), headers=KEYS) as client:
        yield client


def test_unknown_keys_are_unauthorized(exchange: Exchange) -> None:
    with TestClient(build_wire(exchange)) as client:
        answer = client.get("/v2/account", headers={**KEYS, "APCA-API-SECRET-KEY": "wrong"})
        assert (answer.status_code, answer.json()) == (401, {"message": "unauthorized"})
        assert client.get("/control/status").status_code == 200


def test_requests_beyond_the_limit_are_told_when_there_are_more(exchange: Exchange) -> None:
    real = [600.0]
    limit = RateLimit(2, seconds=lambda: real[0])
    with TestClient(build_wire(exchange, limit=limit), headers=KEYS) as client:
        answers = [client.get("/v2/clock") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["1", "0", "0"]
        assert answers[-1].json()["code"] == 42910000
        assert answers[-1].headers["X-RateLimit-Reset"] == "660"
        real[0] = 660.0
        assert client.get("/v2/clock").status_code == 200


def test_first_answer_is_pending_and_the_next_look_shows_the_fill(client: TestClient) -> None:
    body = spread(CREDIT_SPREAD, "-0.50", qty=2, client_order_id="mine")
    sent = client.post("/v2/orders", json=body).json()
    assert (sent["status"], sent["filled_qty"], sent["symbol"]) == ("pending_new", "0", "")
    assert [row["type"] for row in sent["legs"]] == ["", ""]
    seen = client.get(f"/v2/orders/{sent['id']}").json()
    assert (seen["status"], seen["filled_qty"]) == ("filled", "2")
    assert float(seen["filled_avg_price"]) < 0
    named = client.get("/v2/orders:by_client_order_id", params={"client_order_id": "mine"}).json()
    assert named == seen
    one = client.get(f"/v2/orders/{seen['legs'][0]['id']}").json()
    assert one == seen["legs"][0]
    again = client.post("/v2/orders", json=body)
    assert (again.status_code, again.json()["code"]) == (422, 40010001)
    missing = client.get("/v2/orders:by_client_order_id", params={"client_order_id": "other"})
    assert (missing.status_code, missing.json()["code"]) == (404, 40410000)


def test_numbers_may_come_as_json_numbers_or_as_text(client: TestClient) -> None:
    text = spread(CREDIT_SPREAD, "-4.25", qty=2)
    numbers = {**text, "qty": 2.0, "limit_price": -4.25}
    numbers["legs"] = [{**one, "ratio_qty": 1.0} for one in CREDIT_SPREAD]
    for body in (text, numbers):
        answer = client.post("/v2/orders", json=body).json()
        assert (answer["qty"], answer["limit_price"]) == ("2", "-4.25")


def test_resting_orders_are_listed_cancelled_and_not_replaced(client: TestClient) -> None:
    order = client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-4.50")).json()
    assert [row["id"] for row in client.get("/v2/orders").json() if row["symbol"] == ""] == [
        order["id"]
    ]
    nested = client.get("/v2/orders", params={"nested": "True", "symbols": "XYZ"}).json()
    assert [len(row["legs"]) for row in nested] == [2]
    replaced = client.patch(f"/v2/orders/{order['id']}", json={"limit_price": "-4.40"})
    assert replaced.status_code == 403
    assert replaced.json()["message"] == "replace mleg order is disabled"
    leg_id = order["legs"][0]["id"]
    assert client.delete(f"/v2/orders/{leg_id}").status_code == 422
    assert client.delete(f"/v2/orders/{order['id']}").status_code == 204
    assert client.delete(f"/v2/orders/{order['id']}").status_code == 422
    assert client.get("/v2/orders").json() == []
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-4.50"))
    ended = client.delete("/v2/orders")
    assert (ended.status_code, len(ended.json())) == (207, 1)


def test_orders_page_by_time_and_by_id(client: TestClient) -> None:
    sent = []
    for minute in (31, 32, 33):
        client.post("/control/clock", json={"to": OPENING.replace(minute=minute).isoformat()})
        sent.append(client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-4.50")).json())
    ids = [row["id"] for row in sent]

    def listed(**params: str) -> list[str]:
        answer = client.get("/v2/orders", params={"status": "all", "nested": "true"} | params)
        return [row["id"] for row in answer.json()]

    assert listed() == ids[::-1]
    assert listed(direction="asc", limit="2") == ids[:2]
    assert listed(after=sent[0]["submitted_at"], direction="asc") == ids[1:]
    assert listed(until=sent[2]["submitted_at"], direction="asc") == ids[:2]
    assert listed(after_order_id=ids[1]) == [ids[2]]
    assert listed(before_order_id=ids[1]) == [ids[0]]


def test_positions_carry_side_and_signed_value(client: TestClient) -> None:
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-0.50", qty=3))
    rows = {row["symbol"]: row for row in client.get("/v2/positions").json()}
    short = rows[put(95)]
    assert (short["side"], short["qty"], short["asset_class"]) == ("short", "-3", "us_option")
    assert float(short["market_value"]) < 0
    assert client.get(f"/v2/positions/{put(95)}").json() == short
    flat = client.get(f"/v2/positions/{call(100)}")
    assert (flat.status_code, flat.json()["code"]) == (404, 40410000)


def test_account_adds_up(client: TestClient) -> None:
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-0.50", qty=3))
    account = client.get("/v2/account").json()
    parts = [float(account[name]) for name in ("cash", "long_market_value", "short_market_value")]
    assert float(account["equity"]) == pytest.approx(sum(parts))
    assert account["last_equity"] == "100000"
    assert float(account["initial_margin"]) == 1500
    patched = client.patch("/v2/account/configurations", json={"suspend_trade": True})
    assert patched.json()["suspend_trade"] is True
    assert client.get("/v2/account").json()["trade_suspended_by_user"] is True
    assert client.post("/v2/orders", json=single(call(105), "buy", "1")).status_code == 403


def test_activities_are_tailed_by_the_last_id(client: TestClient) -> None:
    client.post("/v2/orders", json=spread(CREDIT_SPREAD, "-0.50"))
    client.post("/v2/orders", json=single(call(105), "buy", None))
    first = client.get("/v2/account/activities", params={"direction": "asc", "page_size": 2}).json()
    token = first[-1]["id"]
    rest = client.get(
        "/v2/account/activities", params={"direction": "asc", "page_token": token}
    ).json()
    assert [row["symbol"] for row in first + rest] == [put(95), put(90), call(105)]
    only = client.get("/v2/account/activities/FILL", params={"order_id": rest[0]["order_id"]})
    assert [row["symbol"] for row in only.json()] == [call(105)]
    none = client.get("/v2/account/activities", params={"activity_types": "OPEXP,OPASN"})
    assert none.json() == []
    later = client.get("/v2/account/activities", params={"after": "2026-11-03T00:00:00Z"})
    assert later.json() == []


def test_chain_pages_are_complete_and_without_repeats(client: TestClient) -> None:
    seen: list[str] = []
    params = {"limit": "7", "type": "put", "expiration_date_gte": str(FAR)}
    while True:
        page = client.get("/v1beta1/options/snapshots/SPX", params=params).json()
        seen += page["snapshots"]
        if page["next_page_token"] is None:
            break
        params["page_token"] = page["next_page_token"]
    roots = ("SPX", "SPXW")
    assert seen == sorted(put(k, FAR, root) for root in roots for k in (90, 95, 100, 105, 110))


def test_chain_filters_by_strike_root_and_expiration(client: TestClient) -> None:
    params = {
        "root_symbol": "SPXW",
        "strike_price_gte": "95",
        "strike_price_lte": "100",
        "expiration_date": str(NEAR),
        "type": "call",
    }
    page = client.get("/v1beta1/options/snapshots/SPX", params=params).json()
    assert set(page["snapshots"]) == {call(95, NEAR, "SPXW"), call(100, NEAR, "SPXW")}
    assert client.get("/v1beta1/options/snapshots/SPX", params={"limit": 2000}).status_code == 400


def test_snapshot_carries_quote_volume_and_yesterdays_volume(
    client: TestClient, market: HandMadeMarket
) -> None:
    market.overrides[put(95)] = Quote(float("nan"), 0.05, float("nan"), float("nan"))
    row = client.get("/v1beta1/options/snapshots", params={"symbols": put(95)}).json()
    shown = row["snapshots"][put(95)]
    assert (shown["latestQuote"]["bp"], shown["latestQuote"]["bs"]) == (0.0, 0)
    assert shown["latestQuote"]["t"] == "2026-11-02T14:30:00.000000Z"
    assert "latestTrade" not in shown
    full = client.get("/v1beta1/options/snapshots", params={"symbols": put(100)}).json()
    shown = full["snapshots"][put(100)]
    assert (shown["dailyBar"]["v"], shown["prevDailyBar"]["v"]) == (12, 34)
    assert shown["prevDailyBar"]["c"] == 1.25
    assert shown["prevDailyBar"]["t"] == "2026-10-30T04:00:00Z"


def test_index_has_a_level_and_no_quote(client: TestClient) -> None:
    rows = client.get("/v2/stocks/snapshots", params={"symbols": "SPX,XYZ,NOPE"}).json()
    assert set(rows) == {"SPX", "XYZ"}
    assert "latestQuote" not in rows["SPX"]
    assert rows["SPX"]["latestTrade"]["p"] == 100.0
    quotes = client.get("/v2/stocks/quotes/latest", params={"symbols": "SPX,XYZ"}).json()
    assert set(quotes["quotes"]) == {"XYZ"}


def test_bars_end_at_the_last_completed_session_and_page(client: TestClient) -> None:
    params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2026-10-28", "limit": "2"}
    params["end"] = "2026-12-31"
    first = client.get("/v2/stocks/bars", params=params).json()
    params["page_token"] = first["next_page_token"]
    second = client.get("/v2/stocks/bars", params=params).json()
    days = [bar["t"][:10] for page in (first, second) for bar in page["bars"]["XYZ"]]
    assert days == ["2026-10-28", "2026-10-29", "2026-10-30"], "today is not over"
    assert second["next_page_token"] is None
    options = {"symbols": put(95), "timeframe": "1Day", "start": "2026-10-29T00:00:00Z"}
    bars = client.get("/v1beta1/options/bars", params=options).json()["bars"]
    assert [bar["t"][:10] for bar in bars[put(95)]] == ["2026-10-29", "2026-10-30"]
    assert client.get("/v2/stocks/bars", params={**params, "timeframe": "1Min"}).status_code == 400


def test_contracts_are_listed_while_active_and_found_when_expired(client: TestClient) -> None:
    params = {"underlying_symbols": "XYZ", "expiration_date_lte": "2027-01-31", "limit": "13"}
    page = client.get("/v2/options/contracts", params=params).json()
    rest = client.get(
        "/v2/options/contracts", params={**params, "page_token": page["next_page_token"]}
    ).json()
    both = page["option_contracts"] + rest["option_contracts"]
    assert len({row["symbol"] for row in both}) == 20
    assert rest["next_page_token"] is None
    one = both[0]
    assert (one["open_interest"], one["open_interest_date"]) == ("567", "2026-10-30")
    assert client.get(f"/v2/options/contracts/{one['id']}").json() == one
    assert client.get("/v2/options/contracts/NOPE").status_code == 404
    soon = client.get("/v2/options/contracts", params={"underlying_symbols": "XYZ"}).json()
    assert soon["option_contracts"] == [], "without dates: up to the coming weekend"
    client.post("/control/clock", json={"to": "2026-11-23T10:00:00-05:00"})
    gone = client.get(
        "/v2/options/contracts",
        params={"underlying_symbols": "XYZ", "status": "inactive", "expiration_date": str(NEAR)},
    ).json()["option_contracts"]
    assert {row["status"] for row in gone} == {"inactive"}
    assert len(gone) == 10


def test_calendar_shows_early_closes(client: TestClient) -> None:
    params = {"start": "2026-11-25", "end": "2026-11-30"}
    rows = client.get("/v2/calendar", params=params).json()
    assert [(row["date"], row["close"]) for row in rows] == [
        ("2026-11-25", "16:00"),
        ("2026-11-27", "13:00"),
        ("2026-11-30", "16:00"),
    ]
    assert rows[0]["settlement_date"] == "2026-11-27"


def test_dividends_show_when_they_are_declared(client: TestClient, market: HandMadeMarket) -> None:
    market.paid["XYZ"] = tuple(
        (day, Decimal("0.37")) for day in (date(2026, 11, 24), date(2027, 1, 5))
    )
    params = {"symbols": "XYZ", "types": "cash_dividend", "start": "2026-11-01"}
    params["end"] = "2027-02-01"
    rows = client.get("/v1/corporate-actions", params=params).json()["corporate_actions"]
    assert [row["ex_date"] for row in rows["cash_dividends"]] == ["2026-11-24"]


def test_control_moves_the_clock_and_says_where_it_stands(client: TestClient) -> None:
    status = client.post("/control/clock", json={"to": "next_scan"}).json()
    assert (status["now"], status["next_scan"]) == ("2026-11-02T14:35:00+00:00", "midday")
    status = client.post("/control/clock", json={"seconds": 60}).json()
    assert status["now"] == "2026-11-02T14:36:00+00:00"
    status = client.post("/control/clock", json={"to": "next_close"}).json()
    assert status["is_open"] is False
    back = client.post("/control/clock", json={"to": "2026-11-02T10:00:00-05:00"})
    assert back.status_code == 422
    assert "before" in back.json()["message"]
    for bad in ({}, {"to": "noon"}, {"to": "2026-11-03T10:00:00"}, {"rate": -1}, {"what": 1}):
        assert client.post("/control/clock", json=bad).status_code == 422
    assert client.post("/control/clock", content=b"[]").status_code == 400
    clock = client.get("/v2/clock").json()
    assert (clock["timestamp"], clock["is_open"]) == ("2026-11-02T16:00:00-05:00", False)
    assert clock["next_open"] == "2026-11-03T09:30:00-05:00"


def test_failure_inside_is_an_alpaca_shaped_500(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(exchange, "figures", fail)
    app = build_wire(exchange)
    with TestClient(app, headers=KEYS, raise_server_exceptions=False) as client:
        answer = client.get("/v2/account")
        assert (answer.status_code, answer.json()["code"]) == (500, 50010000)
        lost = client.get("/v2/nowhere")
        assert (lost.status_code, lost.json()["code"]) == (404, 40410000)


def test_journal_keeps_what_was_asked(client: TestClient) -> None:
    client.get("/v2/positions", params={"a": "b"})
    client.get("/v2/nowhere")
    rows = client.get("/control/journal").json()
    assert [(row["path"], row["status"]) for row in rows] == [
        ("/v2/positions?a=b", 200),
        ("/v2/nowhere", 404),
    ]
    assert rows[0]["account"] == "main"


def test_page_of_600_contracts_is_written_whole(exchange: Exchange) -> None:
    """A page is made from columns at once; every contract is on it with its own quote."""

    class Wide(HandMadeMarket):
        def quotes(self, underlying: str, when: datetime) -> pd.DataFrame:
            strikes = np.arange(600) + 100
            symbols = [f"XYZ261218C{k:05d}000" for k in strikes]
            table: dict[str, Any] = {
                "underlying": underlying,
                "symbol": symbols,
                "root": underlying,
                "expiration": pd.Timestamp(FAR),
                "right": 1,
                "strike": strikes.astype(float),
                "bid": np.linspace(1, 9, 600).round(2),
                "ask": np.linspace(1, 9, 600).round(2) + 0.1,
                "bid_size": 10.0,
                "ask_size": 10.0,
                "last": 2.5,
                "volume": 5.0,
                "previous_volume": 6.0,
                "open_interest": 7.0,
                "quote_time": pd.Timestamp(when).tz_convert("UTC"),
                "underlying_price": 100.0,
            }
            return conform_quotes(pd.DataFrame(table))

    exchange.view.market = Wide()
    exchange.advance(datetime(2026, 11, 2, 10, tzinfo=NEW_YORK))
    chain = exchange.view.chain("XYZ")
    rows = np.arange(600)
    exchange.view.previous_closes("XYZ", chain)
    page = json.loads(json.dumps(snapshots(exchange, "XYZ", chain, rows)))
    assert len(page) == 600
    assert len({shown["latestQuote"]["bp"] for shown in page.values()}) > 500
