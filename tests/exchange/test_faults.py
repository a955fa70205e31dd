"""Faults on demand: how a plan is read, whose turn it is, and what comes over the wire."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.errors import BadInput, UnreadableFile
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.faults import FaultPlan, parse_faults, read_faults
from mahler_pipelines.exchange.faults_due import FaultBook
from mahler_pipelines.exchange.process import ExchangeDidNotStart, LocalExchange
from mahler_pipelines.exchange.wire.app import RateLimit, build_wire
from tests.adapters.wire_record import Exchanged, Recorder, violations
from tests.exchange.fakes import OPENING, HandMadeMarket, Quote, put
from tests.exchange.orders import single
from tests.exchange.serving import served

KEYS = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
FAIL = {"kind": "fail", "status": 500}
DROP = {"kind": "drop"}


def plan_of(*rules: dict[str, Any], seed: int = 0) -> FaultPlan:
    return parse_faults(json.dumps({"seed": seed, "rules": rules}), source="test")


# The plan


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('{"rules": [{"fault": {"kind": "fail", "status": 500, "statsu": 1}}]}', "'statsu'"),
        ('{"rules": [{"fautl": {}, "fault": {"kind": "drop"}}]}', "unknown key 'fautl' in rules.0"),
        ('{"rulez": []}', "unknown key 'rulez' in the file"),
        ('{"rules": [{"fault": {"kind": "explode"}}]}', "explode"),
        ('{"rules": [{"fault": {"kind": "fail", "status": 418}}]}', "500, 502, 503 or 504"),
        ('{"rules": [{}]}', "rules.0.fault: Field required"),
        ('{"rules": [{"nth": 0, "fault": {"kind": "drop"}}]}', "rules.0.nth"),
        ('{"rules": [{"nth": 1, "every": 2, "fault": {"kind": "drop"}}]}', "one of nth, every"),
        ('{"rules": [{"path": "v2/orders", "fault": {"kind": "drop"}}]}', "begin with / or"),
        ('{"rules": [{"path": "/control/*", "fault": {"kind": "drop"}}]}', "meet no faults"),
        ('{"rules": [{"method": "FETCH", "fault": {"kind": "drop"}}]}', "rules.0.method"),
        ('{"rules": [{"fault": {"kind": "clock_jump", "seconds": -5}}]}', "greater than 0"),
        ("rules = []", "Invalid JSON"),
        ("[]", "the file"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(tmp_path: Path, rules: str, said: str) -> None:
    file = tmp_path / "faults.json"
    file.write_text(rules)
    with pytest.raises(BadInput) as raised:
        read_faults(file)
    assert raised.value.value == str(file)
    assert said in raised.value.reason


def test_a_plan_that_is_not_there_is_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        read_faults(tmp_path / "none.json")


def test_every_wrong_key_is_named_at_once() -> None:
    text = '{"sede": 1, "rules": [{"pth": "*", "fault": {"kind": "drop"}}]}'
    with pytest.raises(BadInput, match=r"(?s)'sede'.*'pth'|'pth'.*'sede'"):
        parse_faults(text, source="test")


def test_the_documented_plan_is_a_plan_and_names_every_kind(repository_root: Path) -> None:
    """The page's example is what people start from."""
    page = (repository_root / "docs" / "exchange.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    plan = parse_faults(example, source="docs/exchange.md")
    assert len(plan.rules) > 2
    kinds = FaultPlan.model_json_schema()["$defs"]["FaultRule"]["properties"]["fault"][
        "discriminator"
    ]["mapping"]
    assert [kind for kind in kinds if f"| `{kind}` |" not in page] == []


# Whose turn it is


def met(book: FaultBook, count: int, method: str = "GET", path: str = "/v2/clock") -> list[int]:
    """Numbers of the requests, from 1, that met a fault."""
    return [n + 1 for n in range(count) if book.meet(method, path) is not None]


@pytest.mark.parametrize(
    ("turn", "turns"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"times": 2}, [1, 2]),
        ({"nth": 3}, [3]),
        ({"nth": 3, "times": 2}, [3, 4]),
        ({"every": 3}, [3, 6]),
        ({"every": 3, "times": 1}, [3]),
    ],
)
def test_a_rule_has_its_turn(turn: dict[str, Any], turns: list[int]) -> None:
    assert met(FaultBook(plan_of({**turn, "fault": FAIL})), 7) == turns


def test_a_probability_is_the_same_for_a_seed_and_a_sequence() -> None:
    rule = {"probability": 0.3, "fault": FAIL}
    first = met(FaultBook(plan_of(rule, seed=11)), 2000)
    assert first == met(FaultBook(plan_of(rule, seed=11)), 2000)
    assert first != met(FaultBook(plan_of(rule, seed=12)), 2000)
    assert 500 < len(first) < 700
    bounded = met(FaultBook(plan_of({**rule, "times": 5}, seed=11)), 2000)
    assert bounded == first[:5]


def test_requests_of_another_method_or_path_do_not_count() -> None:
    book = FaultBook(plan_of({"method": "POST", "path": "/v2/orders", "nth": 2, "fault": FAIL}))
    assert met(book, 5, "GET", "/v2/orders") == []
    assert met(book, 5, "POST", "/v2/orders/abc") == []
    assert met(book, 5, "POST", "/v2/orders") == [2]
    assert book.as_json()["counts"] == [{"name": "fail", "matched": 5, "met": 1}]


def test_a_pattern_passes_over_slashes() -> None:
    book = FaultBook(plan_of({"path": "/v2/orders*", "fault": FAIL}))
    for path in ("/v2/orders", "/v2/orders/1", "/v2/orders:by_client_order_id"):
        assert met(book, 1, path=path) == [1]
    assert met(book, 1, path="/v2/positions") == []


def test_the_first_rule_whose_turn_it_is_wins_and_every_rule_counts() -> None:
    book = FaultBook(
        plan_of(
            {"name": "second", "nth": 2, "fault": FAIL},
            {"name": "even", "every": 2, "fault": DROP},
            {"name": "from two on", "nth": 2, "fault": DROP},
        )
    )
    found = [book.meet("GET", "/v2/clock") for _ in range(4)]
    names = [None if count is None else count.rule.label for count in found]
    assert names == [None, "second", "from two on", "even"]
    assert {count["matched"] for count in book.as_json()["counts"]} == {4}


# On the wire


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))


@contextmanager
def client_of(exchange: Exchange, *rules: dict[str, Any]) -> Iterator[TestClient]:
    with TestClient(build_wire(exchange, faults=plan_of(*rules)), headers=KEYS) as client:
        yield client


def journal(client: TestClient) -> list[tuple[Any, ...]]:
    rows = client.get("/control/journal").json()
    return [
        (row["method"], row["status"], row["executed"], row["fault"])
        for row in rows
        if not row["path"].startswith("/control/")
    ]


def buy(name: str) -> dict[str, Any]:
    return single(put(95), "buy", "0.10", position_intent="buy_to_open", client_order_id=name)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (
            {"kind": "refuse", "status": 403, "code": 40310000, "message": "no"},
            403,
            {"code": 40310000, "message": "no"},
        ),
        ({"kind": "refuse", "status": 401, "message": "unauthorized"}, 401, ["message"]),
        ({"kind": "rate_limit"}, 429, {"code": 42910000, "message": "rate limit exceeded"}),
        (FAIL, 500, {"code": 50010000, "message": "internal server error occurred"}),
        ({"kind": "fail", "status": 502}, 502, ["code", "message"]),
        ({"kind": "fail", "status": 503}, 503, ["code", "message"]),
        ({"kind": "fail", "status": 504}, 504, ["code", "message"]),
    ],
)
def test_an_error_has_alpacas_form_and_nothing_was_executed(
    exchange: Exchange, fault: dict[str, Any], status: int, body: dict[str, Any] | list[str]
) -> None:
    """CONTRACTS 1.9: `code` begins with the status, `message` is text; 401 has no code."""
    with client_of(exchange, {"method": "POST", "fault": fault}) as client:
        answer = client.post("/v2/orders", json=buy("a"))
        told = answer.json()
        assert answer.status_code == status
        assert told == body if isinstance(body, dict) else sorted(told) == body
        assert isinstance(told["message"], str)
        assert told.get("code", status * 100_000) // 100_000 == status
        assert answer.headers["X-RateLimit-Limit"].isdigit()
        assert client.get("/v2/orders", params={"status": "all"}).json() == []
        assert journal(client)[0] == ("POST", status, None, fault["kind"])


def test_a_rate_limit_says_when_there_are_more(exchange: Exchange) -> None:
    with client_of(exchange, {"fault": {"kind": "rate_limit"}}) as client:
        headers = client.get("/v2/clock").headers
    assert headers["X-RateLimit-Remaining"] == "0"
    assert 0 < int(headers["X-RateLimit-Reset"]) - time.time() <= 61


@pytest.mark.parametrize(("body", "start"), [("html", "<html>"), ("empty", "")])
def test_a_gateway_need_not_speak_json(exchange: Exchange, body: str, start: str) -> None:
    fault = {"kind": "fail", "status": 502, "body": body}
    with client_of(exchange, {"fault": fault}) as client:
        answer = client.get("/v2/clock")
    assert answer.status_code == 502
    assert answer.text[:6] == start


def test_a_failure_after_executing_leaves_the_order_behind(exchange: Exchange) -> None:
    fault = {"kind": "fail", "status": 504, "executed": True}
    with client_of(exchange, {"name": "lost", "method": "POST", "fault": fault}) as client:
        assert client.post("/v2/orders", json=buy("a")).status_code == 504
        orders = client.get("/v2/orders").json()
        assert [order["client_order_id"] for order in orders] == ["a"]
        assert journal(client)[0] == ("POST", 504, 200, "lost")


def test_an_empty_answer_keeps_its_status(exchange: Exchange) -> None:
    with client_of(exchange, {"method": "POST", "fault": {"kind": "empty"}}) as client:
        answer = client.post("/v2/orders", json=buy("a"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert len(client.get("/v2/orders").json()) == 1


def test_an_unknown_value_is_written_over_every_member_of_the_name(exchange: Exchange) -> None:
    fault = {"kind": "unknown_value", "field": "status", "value": "odd"}
    with client_of(exchange, {"path": "/v2/orders", "method": "GET", "fault": fault}) as client:
        sent = [client.post("/v2/orders", json=buy(name)).json() for name in "ab"]
        rows = client.get("/v2/orders").json()
        assert [row["status"] for row in rows] == ["odd", "odd"]
        assert {row["client_order_id"] for row in rows} == {"a", "b"}
        assert client.get(f"/v2/orders/{sent[0]['id']}").json()["status"] != "odd"


def test_an_answer_without_what_the_fault_is_about_has_not_met_it(exchange: Exchange) -> None:
    fault = {"kind": "unknown_value", "field": "status", "value": "odd"}
    rule = {"path": "/v2/*", "times": 1, "fault": fault}
    with client_of(exchange, rule) as client:
        assert client.get("/v2/positions").json() == []
        assert client.get("/v2/orders/none").status_code == 404
        assert client.get("/v2/account").json()["status"] == "odd"
        assert client.get("/v2/account").json()["status"] == "ACTIVE"
        assert [row[3] for row in journal(client)] == [None, None, "unknown_value", None]


def test_the_words_of_a_refusal_are_left_alone(exchange: Exchange) -> None:
    fault = {"kind": "unknown_value", "field": "message", "value": "odd"}
    with client_of(exchange, {"fault": fault}) as client:
        assert "not found" in client.get("/v2/orders/none").json()["message"]
        assert journal(client)[0][3] is None


QUOTES = (
    ("/v1beta1/options/snapshots/XYZ", put(95)),
    ("/v1beta1/options/quotes/latest", put(95)),
    ("/v2/stocks/snapshots", "XYZ"),
    ("/v2/stocks/quotes/latest", "XYZ"),
)


def shown(client: TestClient, path: str, symbol: str) -> dict[str, Any]:
    answer = client.get(path, params={"symbols": symbol, "limit": 1000}).json()
    rows = answer.get("snapshots", answer.get("quotes", answer))
    quote: dict[str, Any] = rows[symbol].get("latestQuote", rows[symbol])
    return quote


@pytest.mark.parametrize(("path", "symbol"), QUOTES)
@pytest.mark.parametrize("state", ["stale", "crossed", "locked"])
def test_a_quote_is_shown_wrong_and_then_right(
    exchange: Exchange, path: str, symbol: str, state: str
) -> None:
    fault = {"kind": "quote", "symbol": symbol, "state": state, "seconds": 900}
    with client_of(exchange, {"path": path, "nth": 1, "fault": fault}) as client:
        wrong, right = shown(client, path, symbol), shown(client, path, symbol)
    assert right["bp"] < right["ap"] == wrong["ap"]
    late = datetime.fromisoformat(right["t"]) - datetime.fromisoformat(wrong["t"])
    assert late == timedelta(seconds=900 if state == "stale" else 0)
    if state == "stale":
        assert wrong["bp"] == right["bp"]
    else:
        assert round(wrong["bp"] - wrong["ap"], 4) == (0.01 if state == "crossed" else 0.0)


def test_other_quotes_are_left_alone_and_matching_keeps_to_the_true_one(
    exchange: Exchange,
) -> None:
    fault = {"kind": "quote", "symbol": put(95), "state": "crossed"}
    with client_of(exchange, {"fault": fault}) as client:
        other = shown(client, "/v1beta1/options/quotes/latest", put(90))
        assert other["bp"] < other["ap"]
        price = str(shown(client, "/v1beta1/options/quotes/latest", put(95))["ap"])
        body = single(put(95), "buy", price, position_intent="buy_to_open")
        sent = client.post("/v2/orders", json=body).json()
        assert client.get(f"/v2/orders/{sent['id']}").json()["status"] == "filled"


def test_a_pattern_of_symbols_reaches_every_quote_that_has_an_ask(exchange: Exchange) -> None:
    assert isinstance(exchange.market, HandMadeMarket)
    exchange.market.overrides[put(95)] = Quote(0.0, 0.0)
    rule = {"fault": {"kind": "quote", "symbol": "XYZ*P*", "state": "locked"}}
    with client_of(exchange, rule) as client:
        chain = client.get("/v1beta1/options/snapshots/XYZ", params={"limit": 1000}).json()
        quotes = {name: row["latestQuote"] for name, row in chain["snapshots"].items()}
        locked = {name for name, quote in quotes.items() if quote["bp"] == quote["ap"]}
        assert locked == {name for name in quotes if name[9] == "P"}
        assert quotes[put(95)]["ap"] == 0
        client.get("/v1beta1/options/quotes/latest", params={"symbols": put(95)})
        assert [row[3] for row in journal(client)] == ["quote", None]


def test_a_clock_jump_happens_before_the_answer(exchange: Exchange) -> None:
    jump = {"kind": "clock_jump", "seconds": 8 * 3600}
    with client_of(exchange, {"path": "/v2/clock", "nth": 1, "fault": jump}) as client:
        client.post("/v2/orders", json=buy("day"))
        clock = client.get("/v2/clock").json()
        assert datetime.fromisoformat(clock["timestamp"]) == OPENING + timedelta(hours=8)
        assert clock["is_open"] is False
        closed = client.get("/v2/orders", params={"status": "closed"}).json()
        assert [order["status"] for order in closed] == ["expired"]


def test_a_clock_jump_that_the_market_refuses_is_told_in_the_journal(exchange: Exchange) -> None:
    jump = {"kind": "clock_jump", "seconds": 400 * 86_400.0}
    with client_of(exchange, {"fault": jump}) as client:
        assert client.get("/v2/clock").status_code == 200
        assert "refused: the market has" in journal(client)[0][3]
    assert exchange.now == OPENING


def test_control_routes_wrong_keys_and_requests_over_the_limit_meet_no_faults(
    exchange: Exchange,
) -> None:
    app = build_wire(exchange, limit=RateLimit(1), faults=plan_of({"fault": FAIL}))
    with TestClient(app, headers=KEYS) as client:
        assert client.get("/control/status").status_code == 200
        assert client.get("/v2/clock", headers={"APCA-API-KEY-ID": "x"}).status_code == 401
        assert client.get("/control/faults").json()["counts"][0]["matched"] == 0
        # The minute of the limit may turn once between requests.
        codes = {client.get("/v2/clock").json()["code"] for _ in range(4)}
        assert codes == {50010000, 42910000}
        rows = client.get("/control/journal").json()
        assert {row["fault"] for row in rows if row["status"] in (401, 429)} == {None}


def test_a_server_that_cannot_drop_connections_says_so(exchange: Exchange) -> None:
    with client_of(exchange, {"fault": DROP}) as client:
        with pytest.raises(RuntimeError, match="cannot be closed"):
            client.get("/v2/clock")
        assert journal(client) == [("GET", 500, None, "drop")]


def test_an_injected_answer_is_exempt_from_the_published_interface(exchange: Exchange) -> None:
    kept: list[Exchanged] = []
    fault = {"kind": "unknown_value", "field": "status", "value": "odd"}
    app = build_wire(exchange, faults=plan_of({"path": "/v2/*", "times": 1, "fault": fault}))
    app.add_middleware(Recorder, kept=kept)
    with TestClient(app, headers=KEYS) as client:
        client.get("/v2/positions")
        client.get("/v2/account")
        client.get("/v2/account")
    assert [one.fault for one in kept] == [None, "unknown_value", None]
    assert violations(kept) == []


# On a connection


class Wire:
    """A real connection per request, so that one can be lost."""

    def __init__(self, url: str) -> None:
        self.control = ExchangeControl(url)
        self.address = urlsplit(url).netloc

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, KEYS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ids(self) -> list[str]:
        rows = json.loads(self.ask("GET", "/v2/orders?status=all")[1])
        return [row["client_order_id"] for row in rows]

    def posts(self) -> list[tuple[Any, ...]]:
        rows = [row for row in self.control.journal() if row["method"] == "POST"]
        return [(row["status"], row["executed"], row["fault"]) for row in rows]


@pytest.fixture
def wire(exchange: Exchange) -> Iterator[Wire]:
    with served(build_wire(exchange)) as url:
        yield Wire(url)


@pytest.mark.parametrize("executed", [False, True])
def test_a_dropped_connection_answers_nothing(wire: Wire, executed: bool) -> None:
    fault = {"kind": "drop", "executed": executed}
    wire.control.set_faults(plan_of({"method": "POST", "fault": fault}))
    with pytest.raises(http.client.RemoteDisconnected):
        wire.ask("POST", "/v2/orders", buy("a"))
    assert wire.ids() == (["a"] if executed else [])
    assert wire.posts() == [(None, 200 if executed else None, "drop")]


def test_a_truncated_answer_stops_in_the_middle(wire: Wire) -> None:
    wire.control.set_faults(plan_of({"method": "POST", "fault": {"kind": "truncate"}}))
    with pytest.raises(http.client.IncompleteRead) as raised:
        wire.ask("POST", "/v2/orders", buy("a"))
    assert raised.value.expected is not None
    assert abs(len(raised.value.partial) - raised.value.expected) <= 1
    assert wire.ids() == ["a"]
    assert wire.posts() == [(200, 200, "truncate")]


def test_an_answer_without_a_body_is_truncated_to_nothing(wire: Wire) -> None:
    order = json.loads(wire.ask("POST", "/v2/orders", buy("a"))[1])
    wire.control.set_faults(plan_of({"method": "DELETE", "fault": {"kind": "truncate"}}))
    with pytest.raises(http.client.RemoteDisconnected):
        wire.ask("DELETE", f"/v2/orders/{order['id']}")
    assert json.loads(wire.ask("GET", f"/v2/orders/{order['id']}")[1])["status"] == "canceled"


def test_a_hanging_request_is_answered_in_the_end(wire: Wire) -> None:
    fault = {"kind": "hang", "seconds": 0.2}
    wire.control.set_faults(plan_of({"method": "POST", "fault": fault}))
    assert wire.ask("POST", "/v2/orders", buy("a"))[0] == 200
    assert wire.posts() == [(200, 200, "hang")]


def test_a_hanging_request_was_executed_and_ends_with_its_sender(wire: Wire) -> None:
    """The server of this test ends only when every request has."""
    fault = {"kind": "hang", "seconds": 3600}
    wire.control.set_faults(plan_of({"method": "POST", "fault": fault}))
    connection = http.client.HTTPConnection(wire.address)
    connection.request("POST", "/v2/orders", json.dumps(buy("a")), KEYS)
    until(lambda: wire.ids() == ["a"])
    assert wire.posts() == [(None, 200, "hang")]
    connection.close()


def test_an_order_can_arrive_after_its_sender_has_gone(wire: Wire) -> None:
    """The worst of them: asked by client id there is no order yet, and then there is."""
    fault = {"kind": "hang", "seconds": 2, "executed": "after"}
    wire.control.set_faults(plan_of({"method": "POST", "fault": fault}))
    connection = http.client.HTTPConnection(wire.address)
    connection.request("POST", "/v2/orders", json.dumps(buy("a")), KEYS)
    until(lambda: wire.posts() == [(None, None, "hang")])
    connection.close()
    assert wire.ids() == []
    until(lambda: wire.ids() == ["a"])


def until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Control routes and the file


def test_a_plan_is_put_counted_and_taken_away(wire: Wire) -> None:
    assert wire.control.faults() == {"plan": {"seed": 0, "rules": []}, "counts": []}
    plan = plan_of({"name": "odd", "path": "/v2/clock", "every": 2, "fault": FAIL}, seed=5)
    assert wire.control.set_faults(plan)["counts"] == [{"name": "odd", "matched": 0, "met": 0}]
    assert [wire.ask("GET", "/v2/clock")[0] for _ in range(5)] == [200, 500, 200, 500, 200]
    told = wire.control.faults()
    assert told["counts"] == [{"name": "odd", "matched": 5, "met": 2}]
    assert FaultPlan.model_validate_json(json.dumps(told["plan"])) == plan
    assert wire.control.set_faults(plan)["counts"][0]["matched"] == 0
    assert wire.control.clear_faults()["plan"]["rules"] == []
    assert wire.ask("GET", "/v2/clock")[0] == 200


def test_a_wrong_plan_is_refused_and_the_old_one_stays(wire: Wire) -> None:
    wire.control.set_faults(plan_of({"path": "/v2/clock", "fault": FAIL}))
    status, said = wire.ask("PUT", "/control/faults", {"rules": [{"fault": {"kind": "no"}}]})
    assert status == 422
    assert "rules.0.fault" in json.loads(said)["message"]
    assert wire.ask("GET", "/v2/clock")[0] == 500


def test_the_journal_has_the_time_of_the_exchange_and_of_the_world(wire: Wire) -> None:
    wire.ask("GET", "/v2/clock")
    row = wire.control.journal()[0]
    assert datetime.fromisoformat(row["at"]) == OPENING
    since = time.time() - datetime.fromisoformat(row["received"]).timestamp()
    assert 0 <= since < 600


def test_ten_thousand_requests_are_kept(wire: Wire, exchange: Exchange) -> None:
    assert build_wire(exchange).state.journal.maxlen == 10_000
    assert wire.control.journal(10_000) == []
    with pytest.raises(BadInput, match="limit"):
        wire.control.journal(10_001)


def test_a_program_of_its_own_reads_the_file_and_begins_it_anew(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(plan_of({"path": "/v2/clock", "nth": 2, "fault": DROP}).model_dump_json())
    for _ in range(2):
        with LocalExchange("sim:7", tmp_path / "state", faults=file) as running:
            wire = Wire(running.url)
            assert wire.ask("GET", "/v2/clock")[0] == 200
            with pytest.raises(http.client.RemoteDisconnected):
                wire.ask("GET", "/v2/clock")
            assert wire.ask("GET", "/v2/clock")[0] == 200
        said = (tmp_path / "state" / "exchange.log").read_text().splitlines()
        assert said == [f"exchange listening on {wire.control.url}"]
    file.write_text('{"rulez": []}')
    with pytest.raises(ExchangeDidNotStart, match="unknown key 'rulez' in the file"):
        LocalExchange("sim:7", tmp_path / "state", faults=file).start()
