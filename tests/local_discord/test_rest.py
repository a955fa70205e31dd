"""REST v10: messages, their pages and files, reactions, commands, and Discord's refusals."""

import struct
import zlib
from typing import Any

import httpx
import pytest

from mahler_pipelines.local_discord.people import (
    APPLICATION_ID,
    CHANNEL_ID,
    CLOSED_CHANNEL_ID,
    GUILD_ID,
    STRANGER_ID,
    TRADER_ROLE_ID,
    YOU_ID,
)
from tests.local_discord.serving import MESSAGES, Local, local_discord, row, violations


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = zlib.compress(b"".join(b"\0" + b"\x20\x80\xf0" * width for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def code_at(answer: httpx.Response, *path: str) -> str:
    """The code of the first error at a place of a refused form."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["code"], body["message"]) == (50035, "Invalid Form Body")
    at = body["errors"]
    for step in path:
        at = at[step]
    return str(at["_errors"][0]["code"])


def test_a_message_is_sent_read_edited_and_deleted(local: Local) -> None:
    sent = local.send(content="hello", components=[row("a")])
    path = f"{MESSAGES}/{sent['id']}"
    assert local.rest.get(path).json() == sent
    assert sent["author"]["id"] == APPLICATION_ID
    assert sent["edited_timestamp"] is None
    edited = local.rest.patch(path, json={"embeds": [{"title": "t"}], "components": []}).json()
    assert edited["content"] == "hello"
    assert edited["components"] == []
    assert edited["embeds"] == [{"type": "rich", "title": "t"}]
    assert edited["edited_timestamp"] is not None
    assert local.rest.delete(path).status_code == 204
    assert local.rest.get(path).json() == {"message": "Unknown Message", "code": 10008}
    assert local.rest.patch(path, json={"content": "x"}).status_code == 404


def test_pages_of_messages_are_newest_first(local: Local) -> None:
    ids = [local.send(content=str(n))["id"] for n in range(9)]

    def listed(**query: Any) -> list[int]:
        found = local.rest.get(MESSAGES, params=query).json()
        return [ids.index(one["id"]) for one in found]

    assert listed() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert listed(limit=3) == [8, 7, 6]
    assert listed(limit=3, before=ids[6]) == [5, 4, 3]
    assert listed(limit=3, after=ids[2]) == [5, 4, 3]
    assert listed(limit=5, around=ids[4]) == [6, 5, 4, 3, 2]
    assert code_at(local.rest.get(MESSAGES, params={"limit": 101}), "limit") == "NUMBER_TYPE_MAX"
    wrong = local.rest.get(MESSAGES, params={"limit": "many"})
    assert code_at(wrong, "limit") == "NUMBER_TYPE_COERCE"
    assert code_at(local.rest.get(MESSAGES, params={"after": "x"}), "after")


def test_the_same_nonce_is_the_same_message_for_minutes(local: Local) -> None:
    first = local.send(content="once", nonce="rec-7", enforce_nonce=True)
    again = local.send(content="once", nonce="rec-7", enforce_nonce=True)
    assert again["id"] == first["id"]
    assert first["nonce"] == "rec-7"
    loose = local.send(content="once", nonce="rec-7")
    assert loose["id"] != first["id"]
    local.clock.ahead = 301
    late = local.send(content="once", nonce="rec-7", enforce_nonce=True)
    assert late["id"] not in (first["id"], loose["id"])


def test_files_are_kept_served_and_shown_where_an_embed_names_them(local: Local) -> None:
    body = {
        "embeds": [{"title": "Payoff", "image": {"url": "attachment://payoff.png"}}],
        "attachments": [{"id": "0", "filename": "payoff.png"}, {"id": "1", "description": "rows"}],
    }
    files: dict[str, Any] = {
        "payload_json": (None, httpx.Request("POST", "http://x", json=body).content),
        "files[0]": ("payoff.png", png(), "image/png"),
        "files[1]": ("a b.csv", b"x,\r\n--y\r\n", "text/csv"),
    }
    sent = local.rest.post(MESSAGES, files=files).json()
    picture = sent["embeds"][0]["image"]
    assert (picture["width"], picture["height"]) == (3, 2)
    assert picture["url"].startswith(local.url)
    shown = httpx.get(picture["url"], trust_env=False)
    assert (shown.content, shown.headers["content-type"]) == (png(), "image/png")
    (table,) = sent["attachments"]
    assert (table["filename"], table["description"]) == ("a_b.csv", "rows")
    fetched = httpx.get(table["url"], trust_env=False)
    assert fetched.content == b"x,\r\n--y\r\n"
    assert fetched.headers["content-disposition"] == "attachment"
    path = f"{MESSAGES}/{sent['id']}"
    kept = local.rest.patch(path, json={"attachments": [{"id": table["id"]}]}).json()
    assert [one["id"] for one in kept["attachments"]] == [table["id"]]
    assert "image" not in kept["embeds"][0]
    missing = local.rest.post(MESSAGES, json={"content": "x", "attachments": [{"id": "3"}]})
    assert code_at(missing, "attachments", "0", "uploaded_filename")
    local.rest.delete(path)
    assert httpx.get(table["url"], trust_env=False).status_code == 404


def test_a_file_that_is_no_picture_is_never_shown_as_one(local: Local) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    files = {"files[0]": ("p.png", svg, "image/png")}
    (one,) = local.rest.post(MESSAGES, files=files).json()["attachments"]
    assert one["content_type"] == "application/octet-stream"
    fetched = httpx.get(one["url"], trust_env=False)
    assert fetched.headers["content-disposition"] == "attachment"
    assert fetched.headers["x-content-type-options"] == "nosniff"


def test_reactions_are_added_paged_and_taken_back(local: Local) -> None:
    sent = local.send(content="well?")["id"]
    path = f"{MESSAGES}/{sent}/reactions/%E2%9C%85"
    assert local.rest.put(f"{path}/@me").status_code == 204
    local.control.react(sent, "✅", "you")
    local.control.react(sent, "✅", "stranger")
    local.clock.ahead = 1
    users = local.rest.get(path).json()
    assert [one["id"] for one in users] == [APPLICATION_ID, YOU_ID, STRANGER_ID]
    assert "roles" not in users[1]
    page = local.rest.get(path, params={"limit": 1, "after": APPLICATION_ID}).json()
    assert [one["id"] for one in page] == [YOU_ID]
    counted = local.rest.get(f"{MESSAGES}/{sent}").json()["reactions"]
    assert [(one["emoji"]["name"], one["count"], one["me"]) for one in counted] == [("✅", 3, True)]
    local.clock.ahead = 2
    assert local.rest.delete(f"{path}/{STRANGER_ID}").status_code == 204
    local.clock.ahead = 3
    assert local.rest.delete(f"{path}/@me").status_code == 204
    assert [one["id"] for one in local.rest.get(path).json()] == [YOU_ID]
    local.clock.ahead = 4
    assert local.rest.delete(f"{MESSAGES}/{sent}/reactions").status_code == 204
    assert "reactions" not in local.rest.get(f"{MESSAGES}/{sent}").json()
    local.clock.ahead = 5
    wrong = local.rest.put(f"{MESSAGES}/{sent}/reactions/yes/@me")
    assert wrong.json()["code"] == 10014


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"content": LONG[:2001]}, ["content"], "BASE_TYPE_MAX_LENGTH"),
        ({"content": 7}, ["content"], "STRING_TYPE_CONVERT"),
        ({"content": "x", "nonce": LONG[:26]}, ["nonce"], "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"title": LONG[:257]}]}, ["embeds", "0", "title"], "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"description": LONG[:4097]}]}, ["embeds", "0", "description"], ""),
        ({"embeds": [{"footer": {"text": LONG[:2049]}}]}, ["embeds", "0", "footer", "text"], ""),
        ({"embeds": [{"author": {"name": LONG[:257]}}]}, ["embeds", "0", "author", "name"], ""),
        (
            {"embeds": [{"fields": [{"name": LONG[:257], "value": "x"}]}]},
            ["embeds", "0", "fields", "0", "name"],
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"embeds": [{"fields": [{"name": "x", "value": LONG[:1025]}]}]},
            ["embeds", "0", "fields", "0", "value"],
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"embeds": [{"fields": [{"name": "x", "value": ""}]}]},
            ["embeds", "0", "fields", "0", "value"],
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
            ["embeds", "0", "fields"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        ({"embeds": [{"title": "x"}] * 11}, ["embeds"], "BASE_TYPE_BAD_LENGTH"),
        (
            {"embeds": [{"description": LONG[:3001]}, {"description": LONG[:3000]}]},
            ["embeds"],
            "MAX_EMBED_SIZE_EXCEEDED",
        ),
        ({"embeds": [{}]}, ["embeds", "0", "description"], "BASE_TYPE_REQUIRED"),
        ({"embeds": [{"title": "x", "color": 1 << 24}]}, ["embeds", "0", "color"], ""),
        (
            {"embeds": [{"title": "x", "url": "file:///etc/passwd"}]},
            ["embeds", "0", "url"],
            "URL_TYPE_INVALID_SCHEME",
        ),
        (
            {"content": "x", "components": [row("a", "a")]},
            ["components", "0", "components", "1", "custom_id"],
            "COMPONENT_CUSTOM_ID_DUPLICATED",
        ),
        (
            {"content": "x", "components": [row("y" * 101)]},
            ["components", "0", "components", "0", "custom_id"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"content": "x", "components": [row("")]},
            ["components", "0", "components", "0", "custom_id"],
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"content": "x", "components": [{"type": 1, "components": [
                {"type": 2, "style": 1, "label": LONG[:81], "custom_id": "a"}]}]},
            ["components", "0", "components", "0", "label"],
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"content": "x", "components": [row(*"abcdef")]},
            ["components", "0", "components"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"content": "x", "components": [row(str(n)) for n in range(6)]},
            ["components"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"content": "x", "components": [{"type": 10, "content": "v2 alone"}]},
            ["components", "0", "type"],
            "UNION_TYPE_CHOICES",
        ),
        (
            {"content": "x", "flags": 32768, "components": [{"type": 10, "content": "y"}]},
            ["content"],
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
        ),
        (
            {"flags": 32768, "components": [{"type": 10, "content": "y"}] * 41},
            ["components"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"content": "x", "allowed_mentions": {"parse": ["users"], "users": [YOU_ID]}},
            ["allowed_mentions"],
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
    ],
)  # fmt: skip
def test_every_limit_is_refused_with_its_place(
    lasting: Local, body: dict[str, Any], path: list[str], code: str
) -> None:
    refused = lasting.rest.post(MESSAGES, json=body)
    assert code_at(refused, *path) == (code or code_at(refused, *path))
    assert lasting.rest.get(MESSAGES).json() == []


def test_what_stands_on_a_limit_is_taken(local: Local) -> None:
    field = {"name": "n" * 256, "value": "v", "inline": True}
    embeds = [{"description": "d" * 3000}, {"description": "d" * 3000}]
    local.send(content="c" * 2000, embeds=embeds, components=[row(*"abcde")])
    local.send(embeds=[{"fields": [field | {"name": "n"}] * 25}])
    wide = {"type": 2, "style": 1, "label": "l" * 80, "custom_id": "y" * 100}
    local.send(content="x", components=[{"type": 1, "components": [wide]}])


def test_the_second_version_of_components_stays(local: Local) -> None:
    text = {"type": 10, "content": "# SPY"}
    section = {"type": 9, "components": [text], "accessory": row("go")["components"][0]}
    box = {"type": 17, "accent_color": 255, "components": [text, {"type": 14}, section, row("a")]}
    sent = local.send(flags=32768, components=[box])
    assert sent["components"][0]["components"][1] == {
        "type": 14, "id": 3, "spacing": 1, "divider": True,
    }  # fmt: skip
    path = f"{MESSAGES}/{sent['id']}"
    assert code_at(local.rest.patch(path, json={"flags": 0}), "flags")
    assert code_at(local.rest.patch(path, json={"content": "x"}), "content")
    assert local.rest.patch(path, json={"components": []}).json()["code"] == 50006
    assert local.rest.patch(path, json={"components": [text]}).json()["flags"] == 32768


def test_a_message_of_nothing_is_refused(local: Local) -> None:
    bodies: list[dict[str, Any]] = [{}, {"content": "  "}, {"embeds": []}]
    for body in (*bodies, {"components": [row("a")]}):
        refused = local.rest.post(MESSAGES, json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, 50006)


def test_only_who_is_named_is_pinged(local: Local) -> None:
    text = f"<@{YOU_ID}> <@{STRANGER_ID}> <@&{TRADER_ROLE_ID}> @everyone"

    def pinged(**allowed: Any) -> tuple[list[str], list[str], bool]:
        sent = local.send(content=text, **allowed)
        ids = [one["id"] for one in sent["mentions"]]
        return ids, sent["mention_roles"], sent["mention_everyone"]

    assert pinged() == ([YOU_ID, STRANGER_ID], [TRADER_ROLE_ID], True)
    assert pinged(allowed_mentions={"parse": []}) == ([], [], False)
    assert pinged(allowed_mentions={"parse": [], "users": [YOU_ID]}) == ([YOU_ID], [], False)


def test_wrong_doors_have_discords_codes(local: Local) -> None:
    wrong = {"Authorization": "Bot wrong"}
    assert local.rest.get("/users/@me", headers=wrong).json() == {
        "message": "401: Unauthorized",
        "code": 0,
    }
    assert local.rest.get("/users/@me", headers=wrong).status_code == 401
    closed = local.rest.get(f"/channels/{CLOSED_CHANNEL_ID}/messages")
    assert (closed.status_code, closed.json()["code"]) == (403, 50001)
    assert local.rest.get("/channels/1/messages").json()["code"] == 10003
    assert local.rest.get(f"{MESSAGES}/1").json()["code"] == 10008
    assert local.rest.get("/nowhere").status_code == 404
    assert local.rest.post(MESSAGES, content=b"{", headers={"Content-Type": "application/json"}
                           ).json()["code"] == 50109  # fmt: skip
    assert code_at(local.rest.post(MESSAGES, json=[1])) == "DICT_TYPE_CONVERT"
    assert local.control.status()["invalid_requests"] == 3


def test_who_and_where_we_are(local: Local) -> None:
    assert local.rest.get("/users/@me").json()["id"] == APPLICATION_ID
    application = local.rest.get("/oauth2/applications/@me").json()
    assert application["verify_key"] == local.control.status()["public_key"]
    assert local.rest.get("/gateway").json()["url"] == local.url.replace("http", "ws") + "/gateway"
    assert local.rest.get("/gateway/bot").json()["shards"] == 1
    assert local.rest.get(f"/channels/{CHANNEL_ID}").json()["guild_id"] == GUILD_ID
    assert local.rest.get(f"/guilds/{GUILD_ID}").json()["id"] == GUILD_ID
    roles = local.rest.get(f"/guilds/{GUILD_ID}/roles").json()
    assert [one["name"] for one in roles] == ["@everyone", "trader"]


def test_commands_are_overwritten_as_a_whole_and_keep_their_ids(local: Local) -> None:
    path = f"/applications/{APPLICATION_ID}/guilds/{GUILD_ID}/commands"
    option = {"type": 3, "name": "id", "description": "Which", "required": True}
    explain = {"name": "explain", "description": "Why", "options": [option]}
    first = local.rest.put(path, json=[explain, {"name": "halt", "description": "Stop"}]).json()
    second = local.rest.put(path, json=[explain]).json()
    assert [one["name"] for one in second] == ["explain"]
    assert second[0]["id"] == first[0]["id"]
    assert local.rest.get(path).json() == second
    assert local.rest.get(f"/applications/{APPLICATION_ID}/commands").json() == []
    free = option | {"required": False, "name": "of"}
    for body, place in (
        ([{"name": "Big", "description": "x"}], ["0", "name"]),
        ([{"name": "x", "description": ""}], ["0", "description"]),
        ([explain, explain], ["1", "name"]),
        ([explain | {"options": [free, option]}], ["0", "options", "1"]),
    ):
        assert code_at(local.rest.put(path, json=body), *place)
    assert local.rest.put("/applications/7/commands", json=[]).json()["code"] == 10002


def test_messages_and_commands_outlive_the_double(local: Local, tmp_path: Any) -> None:
    with local_discord(tmp_path / "other") as before:
        sent = before.send(content="kept", components=[row("a")])
        before.rest.put(
            f"/applications/{APPLICATION_ID}/commands", json=[{"name": "a", "description": "b"}]
        )
        before.control.add_person("second", ["trader"])
        key = before.discord.key.public_hex
    with local_discord(tmp_path / "other") as after:
        kept = after.rest.get(f"{MESSAGES}/{sent['id']}").json()
        assert kept == sent
        assert int(after.send(content="next")["id"]) > int(sent["id"])
        assert after.discord.commands.listed("global")[0]["name"] == "a"
        assert after.discord.person("second").roles == (TRADER_ROLE_ID,)
        assert after.discord.key.public_hex == key
    assert local.control.status()["public_key"] != key


def test_the_judge_of_the_wire_sees_what_is_wrong(local: Local) -> None:
    """A judge that passed anything would make every test above worth less."""
    local.send(content="x")
    row_of = dict(local.control.journal(1)[0])
    spoiled = row_of | {"answer": row_of["answer"] | {"id": 7}}
    if violations([row_of | {"path": "/api/v10/users/@me", "method": "GET"}]) == []:
        pytest.skip("the published file is not there")
    assert violations([row_of]) == []
    assert violations([spoiled]) != []
    assert violations([row_of | {"body": {"content": 7}}]) != []


def test_what_is_too_large_or_unknown_is_refused(local: Local) -> None:
    files = {"files[0]": ("x.bin", b"\0" * (10 * 1024 * 1024 + 1))}
    large = local.rest.post(MESSAGES, files=files)
    assert (large.status_code, large.json()["code"]) == (413, 40005)
    assert local.rest.get("/guilds/7/roles").json()["code"] == 10004
    sent = local.send(content="x")["id"]
    gone = local.rest.delete(f"{MESSAGES}/{sent}/reactions/%E2%9C%85/7")
    assert gone.json()["code"] == 10013
    assert local.rest.get(MESSAGES).json()[0]["id"] == sent
