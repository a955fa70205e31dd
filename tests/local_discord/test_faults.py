"""Faults on demand: what the sender sees, and what was done all the same."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mahler_pipelines.errors import BadInput, UnreadableFile
from mahler_pipelines.local_discord.faults import parse_faults, read_faults
from tests.local_discord.serving import MESSAGES, Local


def play(local: Local, fault: dict[str, Any], **rule: Any) -> None:
    where = {"method": "POST", "path": "/api/v10/channels/*", "nth": 1}
    local.control.set_faults({"rules": [where | rule | {"fault": fault}]})


def post(local: Local) -> httpx.Response:
    return local.rest.post(MESSAGES, json={"content": "x"}, timeout=5)


def kept(local: Local) -> int:
    return len(local.rest.get(MESSAGES).json())


def test_a_refusal_is_not_executed(local: Local) -> None:
    play(local, {"kind": "refuse", "status": 403, "code": 50013, "message": "Missing Permissions"})
    answer = post(local)
    assert answer.status_code == 403
    assert answer.json() == {"message": "Missing Permissions", "code": 50013}
    assert kept(local) == 0
    assert post(local).status_code == 200


def test_a_429_says_how_long_and_of_what(local: Local) -> None:
    play(local, {"kind": "rate_limit", "retry_after": 0.5, "global": True})
    answer = post(local)
    assert (answer.status_code, answer.json()["retry_after"]) == (429, 0.5)
    assert answer.json()["global"] is True
    assert answer.headers["X-RateLimit-Global"] == "true"
    assert answer.headers["Via"]
    play(local, {"kind": "rate_limit", "via": False})
    banned = post(local)
    assert "Via" not in banned.headers
    assert "1015" in banned.text
    assert kept(local) == 0


@pytest.mark.parametrize("body", ["json", "html", "empty"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_loses_the_answer_or_the_request(lasting: Local, status: int, body: str) -> None:
    before = kept(lasting)
    play(lasting, {"kind": "fail", "status": status, "executed": True, "body": body})
    answer = post(lasting)
    assert answer.status_code == status
    assert bool(answer.content) == (body != "empty")
    assert kept(lasting) == before + 1
    noted = lasting.control.journal(2)[0]
    assert (noted["status"], noted["executed"], noted["fault"]) == (status, 200, "fail")
    play(lasting, {"kind": "fail", "status": status, "body": body})
    assert post(lasting).status_code == status
    assert kept(lasting) == before + 1


def test_a_hang_is_late_and_a_drop_is_no_answer(local: Local) -> None:
    play(local, {"kind": "hang", "seconds": 0.3})
    began = time.monotonic()
    assert post(local).status_code == 200
    assert time.monotonic() - began >= 0.3
    play(local, {"kind": "hang", "seconds": 0.4, "executed": "after"})
    with pytest.raises(httpx.ReadTimeout):
        local.rest.post(MESSAGES, json={"content": "late"}, timeout=0.1)
    assert kept(local) == 1
    deadline = time.monotonic() + 5
    while kept(local) == 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert kept(local) == 2
    for executed, more in ((False, 0), (True, 1)):
        play(local, {"kind": "drop", "executed": executed})
        with pytest.raises(httpx.RemoteProtocolError):
            post(local)
        assert kept(local) == 2 + more
    noted = local.control.journal(2)[0]
    assert (noted["status"], noted["executed"]) == (None, 200)


def test_a_truncated_and_an_empty_answer(local: Local) -> None:
    play(local, {"kind": "truncate"})
    with pytest.raises(httpx.RemoteProtocolError):
        post(local)
    play(local, {"kind": "empty"})
    answer = post(local)
    assert (answer.status_code, answer.content) == (200, b"")
    assert kept(local) == 2


def test_rules_take_turns_and_are_counted(local: Local) -> None:
    with pytest.raises(BadInput, match="nth"):
        play(local, {"kind": "fail", "status": 500}, every=2)
    rule = {"path": "/api/v10/users/*", "every": 2, "times": 2, "name": "every other"}
    local.control.set_faults({"rules": [rule | {"fault": {"kind": "fail", "status": 500}}]})
    seen = [local.rest.get("/users/@me").status_code for _ in range(7)]
    assert seen == [200, 500, 200, 500, 200, 200, 200]
    assert local.control.faults()["counts"] == [{"name": "every other", "matched": 7, "met": 2}]
    local.control.clear_faults()
    assert local.control.faults()["counts"] == []


def test_draws_repeat() -> None:
    rule = {"probability": 0.5, "fault": {"kind": "drop"}}
    plan = json.dumps({"seed": 3, "rules": [rule]})
    first, second = (
        [book.meet("GET", "/api") is not None for _ in range(40)]
        for book in (parse_faults(plan, source="a"), parse_faults(plan, source="b"))
    )
    assert first == second
    assert 5 < sum(first) < 35


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("[]", "the plan"),
        ("{", "Expecting"),
        ('{"rulez": []}', "unknown key 'rulez'"),
        ('{"rules": {}}', "rules"),
        ('{"rules": [{"fault": {"kind": "fire"}}]}', "rules.0.fault.kind"),
        ('{"rules": [{}]}', "rules.0.fault.kind"),
        ('{"rules": [{"fault": {"kind": "fail", "status": 501}}]}', "rules.0.fault.status"),
        ('{"rules": [{"fault": {"kind": "fail"}}]}', "rules.0.fault.status: is missing"),
        ('{"rules": [{"fault": {"kind": "hang", "seconds": 0}}]}', "out of bounds"),
        ('{"rules": [{"fault": {"kind": "refuse", "status": 500}}]}', "no refusal"),
        ('{"rules": [{"path": "/control/x", "fault": {"kind": "drop"}}]}', "matches nothing"),
        ('{"rules": [{"method": "LOOK", "fault": {"kind": "drop"}}]}', "rules.0.method"),
        ('{"rules": [{"nth": 0, "fault": {"kind": "drop"}}]}', "not positive"),
        ('{"rules": [{"every": true, "fault": {"kind": "drop"}}]}', "no int"),
        ('{"rules": [{"probability": 1.5, "fault": {"kind": "drop"}}]}', "above 1"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(plan: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse_faults(plan, source="plan.json")
    assert "plan.json" in str(raised.value)
    assert said in str(raised.value)


def test_a_plan_of_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        read_faults(tmp_path / "none.json")
