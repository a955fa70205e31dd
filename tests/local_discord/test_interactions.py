"""Interactions: what a person does, what may answer it, and until when."""

from pathlib import Path
from typing import Any

import pytest

from mahler_pipelines.errors import BadInput
from mahler_pipelines.local_discord.people import (
    APPLICATION_ID,
    GUILD_ID,
    STRANGER_ID,
    TRADER_ROLE_ID,
    YOU_ID,
)
from tests.local_discord.serving import MESSAGES, Local, local_discord, reading_modal, row


def click(local: Local, custom_id: str = "a", user: str = "you") -> dict[str, Any]:
    """Click a new message's button and leave the answer to the test."""
    return local.control.click(local.send_buttons(custom_id), custom_id, user, wait=False)


def state(local: Local, one: dict[str, Any]) -> dict[str, Any]:
    return next(found for found in local.control.interactions() if found["id"] == one["id"])


def test_an_interaction_says_who_where_and_what(local: Local) -> None:
    one = click(local)
    known = local.discord.interactions.get(one["id"])
    assert known is not None
    told = local.discord.interactions.payload(known, local.url)
    assert told["member"]["user"]["id"] == YOU_ID
    assert told["member"]["roles"] == [TRADER_ROLE_ID]
    assert (told["type"], told["version"], told["guild_id"]) == (3, 1, GUILD_ID)
    assert told["application_id"] == APPLICATION_ID
    assert told["data"] == {"custom_id": "a", "component_type": 2, "id": 2}
    assert told["message"]["id"] == one["message"]
    stranger = local.discord.interactions.get(click(local, user="stranger")["id"])
    assert stranger is not None
    assert local.discord.interactions.payload(stranger, "")["member"]["roles"] == []


def test_an_ephemeral_answer_is_one_persons(local: Local) -> None:
    one = click(local)
    body = {"type": 4, "data": {"content": "not you", "flags": 64}}
    told = local.callback(one, body, with_response="true").json()
    assert told["interaction"]["response_message_ephemeral"] is True
    message = told["resource"]["message"]
    assert message["flags"] == 64
    assert message["interaction_metadata"]["interacted_message_id"] == one["message"]
    assert message["id"] in [seen["id"] for seen in local.control.messages("you")]
    assert message["id"] not in [seen["id"] for seen in local.control.messages("stranger")]
    assert message["id"] not in [seen["id"] for seen in local.rest.get(MESSAGES).json()]
    assert local.rest.get(f"{MESSAGES}/{message['id']}").json()["code"] == 10008
    original = local.webhook(one, "/messages/@original")
    assert local.rest.patch(original, json={"content": "changed"}).json()["content"] == "changed"
    assert local.rest.get(original).json()["flags"] == 64
    assert local.rest.delete(original).status_code == 204
    assert local.rest.get(original).json()["code"] == 10008


def test_an_update_changes_the_message_itself(local: Local) -> None:
    one = click(local)
    body = {"type": 7, "data": {"content": "approved", "components": []}}
    told = local.callback(one, body, with_response="true").json()
    assert told["resource"]["message"]["id"] == one["message"]
    shown = local.rest.get(f"{MESSAGES}/{one['message']}").json()
    assert (shown["content"], shown["components"]) == ("approved", [])
    done = state(local, one)
    assert (done["outcome"], done["callback"]) == ("answered", 7)
    assert 0 < done["seconds"] < 3


def test_a_deferred_answer_is_thinking_until_it_comes(local: Local) -> None:
    one = click(local)
    body = {"type": 5, "data": {"flags": 64 | 4}}
    told = local.callback(one, body, with_response="true").json()["interaction"]
    assert told["response_message_loading"] is True
    original = local.webhook(one, "/messages/@original")
    assert local.rest.get(original).json()["flags"] == 128 | 64
    first = local.rest.post(local.webhook(one), json={"content": "found"}).json()
    assert first["id"] == told["response_message_id"]
    assert (first["content"], first["flags"]) == ("found", 64)
    second = local.rest.post(local.webhook(one), json={"content": "more", "flags": 64}).json()
    assert second["id"] != first["id"]
    followup = local.webhook(one, f"/messages/{second['id']}")
    assert local.rest.patch(followup, json={"content": "most"}).json()["content"] == "most"
    other = local.webhook(one, f"/messages/{one['message']}")
    assert local.rest.patch(other, json={"content": "mine"}).json()["code"] == 10008


def test_a_deferred_update_leaves_the_message_as_it_is(local: Local) -> None:
    one = click(local)
    assert local.callback(one, {"type": 6}).status_code == 204
    original = local.webhook(one, "/messages/@original")
    assert local.rest.get(original).json()["id"] == one["message"]


def test_a_modal_is_filled_in_once_by_who_opened_it(local: Local) -> None:
    one = click(local)
    assert local.callback(one, reading_modal()).status_code == 204
    opened = state(local, one)["modal"]
    assert opened["title"] == "Reject"
    control = local.control
    for values, user, reason in (
        ({"why": "it is dear"}, "stranger", "opened no modal"),
        ({"how": "x"}, "you", "no input"),
        ({}, "you", "required"),
        ({"why": "no"}, "you", "3 to 20"),
        ({"why": "x" * 21}, "you", "3 to 20"),
    ):
        with pytest.raises(BadInput, match=reason):
            control.submit(one["id"], values, user)
    sent = control.submit(one["id"], {"why": "too dear"}, wait=False)
    known = local.discord.interactions.get(sent["id"])
    assert known is not None
    told = local.discord.interactions.payload(known, local.url)
    assert told["type"] == 5
    assert told["message"]["id"] == one["message"]
    answer = {"type": 4, "id": 2, "custom_id": "why", "value": "too dear"}
    part = {"type": 18, "id": 1, "component": answer}
    assert told["data"] == {"custom_id": "reason:7", "components": [part]}
    assert local.callback(sent, reading_modal()).json()["code"] == 50035
    body = {"type": 4, "data": {"content": "noted"}}
    assert local.callback(sent, body, with_response="true").status_code == 200
    with pytest.raises(BadInput, match="sent already"):
        control.submit(one["id"], {"why": "again"})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"title": "t" * 46}, ("data", "title")),
        ({"custom_id": ""}, ("data", "custom_id")),
        ({"components": []}, ("data", "components")),
        ({"components": [{"type": 18, "label": "l" * 46}]}, ("data", "components", "0", "label")),
        ({"components": [{"type": 2}]}, ("data", "components", "0", "type")),
    ],
)
def test_a_modal_that_breaks_a_limit_is_refused(
    local: Local, change: dict[str, Any], place: tuple[str, ...]
) -> None:
    one = click(local)
    body = reading_modal()
    refused = local.callback(one, {"type": 9, "data": body["data"] | change}).json()
    at = refused["errors"]
    for step in place:
        at = at[step]
    assert at
    assert state(local, one)["outcome"] == "pending"
    assert local.callback(one, body).status_code == 204


def test_a_second_answer_a_late_one_and_a_wrong_token(tmp_path: Path) -> None:
    with local_discord(tmp_path, first_answer_seconds=0.4) as local:
        answered = click(local)
        assert local.callback(answered, {"type": 6}).status_code == 204
        second = local.callback(answered, {"type": 6})
        assert (second.status_code, second.json()["code"]) == (400, 40060)
        message = local.send_buttons("a")
        failed = local.control.click(message, "a")
        assert failed["outcome"] == "failed"
        assert "nobody is connected" in failed["failure"]
        late = local.callback(failed, {"type": 6})
        assert (late.status_code, late.json()["code"]) == (404, 10062)
        wrong = local.rest.post(f"/interactions/{failed['id']}/x/callback", json={"type": 6})
        assert wrong.json()["code"] == 10062


def test_a_token_is_good_for_fifteen_minutes_after_an_answer(local: Local) -> None:
    one = click(local)
    path = local.webhook(one, "/messages/@original")
    assert local.rest.get(path).json()["code"] == 10015
    local.callback(one, {"type": 6})
    assert local.rest.get(path).status_code == 200
    wrong = local.rest.get(f"/webhooks/{APPLICATION_ID}/wrong/messages/@original")
    assert (wrong.status_code, wrong.json()["code"]) == (401, 50027)
    local.clock.ahead = 901
    assert local.rest.get(path).json()["code"] == 50027


def test_answers_that_do_not_fit_are_refused(local: Local) -> None:
    one = click(local)
    for body in ({}, {"type": 1}, {"type": 8}, {"type": "4"}, {"type": True}):
        assert "type" in local.callback(one, body).json()["errors"]
    assert local.callback(one, {"type": 4, "data": {}}).json()["code"] == 50006
    long = {"type": 4, "data": {"content": "x" * 2001}}
    assert "content" in local.callback(one, long).json()["errors"]["data"]
    assert local.callback(one, {"type": 6}).status_code == 204


def test_a_person_can_only_do_what_is_there(local: Local) -> None:
    link = {"type": 2, "style": 5, "label": "l", "url": "https://example.org"}
    off = {"type": 2, "style": 1, "label": "l", "custom_id": "off", "disabled": True}
    message = local.send(content="x", components=[{"type": 1, "components": [link, off]}])["id"]
    for custom_id in ("off", "missing"):
        with pytest.raises(BadInput, match="nothing that can be clicked"):
            local.control.click(message, custom_id)
    with pytest.raises(BadInput, match="not there"):
        local.control.click("7", "a")
    with pytest.raises(BadInput, match="nobody"):
        local.control.click(message, "off", "somebody")
    one = click(local)
    body = {"type": 4, "data": {"content": "x", "flags": 64, "components": [row("b")]}}
    hidden = local.callback(one, body, with_response="true").json()["resource"]["message"]["id"]
    with pytest.raises(BadInput, match="not there"):
        local.control.click(hidden, "b", "stranger")
    assert local.control.click(hidden, "b", wait=False)["data"]["custom_id"] == "b"


def test_a_select_takes_what_it_offers(local: Local) -> None:
    options = [{"label": one, "value": one} for one in ("1", "2", "3")]
    select = {"type": 3, "custom_id": "n", "options": options, "max_values": 2}
    message = local.send(content="x", components=[{"type": 1, "components": [select]}])["id"]
    with pytest.raises(BadInput, match="not offered"):
        local.control.click(message, "n", values=["4"])
    with pytest.raises(BadInput, match="1 to 2"):
        local.control.click(message, "n", values=["1", "2", "3"])
    chosen = local.control.click(message, "n", values=["3"], wait=False)
    assert chosen["data"]["values"] == ["3"]


def test_commands_are_called_with_their_options(local: Local) -> None:
    who = {"type": 6, "name": "who", "description": "w"}
    limit = {"type": 4, "name": "limit", "description": "l", "min_value": 1, "max_value": 9}
    inner = {
        "type": 1,
        "name": "of",
        "description": "o",
        "options": [limit | {"required": True}, who],
    }
    path = f"/applications/{APPLICATION_ID}/commands"
    commands = [
        {"name": "pnl", "description": "p", "options": [inner]},
        {"name": "status", "description": "s"},
    ]
    assert local.rest.put(path, json=commands).status_code == 200
    sent = local.control.command("pnl of", {"limit": 3, "who": STRANGER_ID}, wait=False)
    (called,) = sent["data"]["options"]
    assert (called["name"], called["type"]) == ("of", 1)
    assert called["options"][0] == {"type": 4, "name": "limit", "value": 3}
    assert sent["data"]["resolved"]["users"][STRANGER_ID]["username"] == "stranger"
    for name, options, reason in (
        ("nothing", {}, "no registered command"),
        ("pnl", {}, "no subcommand"),
        ("pnl of", {}, "required"),
        ("pnl of", {"limit": "3"}, "another type"),
        ("pnl of", {"limit": 10}, "out of its bounds"),
        ("pnl of", {"limit": 3, "who": "7"}, "nobody"),
        ("status", {"x": 1}, "no option"),
    ):
        with pytest.raises(BadInput, match=reason):
            local.control.command(name, options)
    plain = local.control.command("status", wait=False)
    assert local.callback(plain, {"type": 7, "data": {"content": "x"}}).json()["code"] == 50035
    told = local.callback(plain, {"type": 4, "data": {"content": "up"}}, with_response="true")
    assert told.json()["resource"]["message"]["interaction_metadata"]["type"] == 2


def test_people_come_with_roles(local: Local) -> None:
    added = local.control.add_person("second", ["trader"])
    assert added["roles"] == [TRADER_ROLE_ID]
    assert local.control.add_person("second")["id"] == added["id"]
    assert click(local, user="second")["user"] == added["id"]
    with pytest.raises(BadInput, match="no role"):
        local.control.add_person("third", ["king"])
