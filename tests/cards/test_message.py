"""Messages within Discord's limits, in Discord's JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.cards.custom_ids import (
    Action,
    BadCustomId,
    CustomId,
    parse_custom_id,
)
from mahler_pipelines.cards.message import (
    EMBED_TEXT_LIMIT,
    Button,
    Embed,
    Field,
    Message,
    Modal,
    Picture,
    TextInput,
    fitted,
)
from mahler_pipelines.cards.payload import message_payload, modal_payload
from tests.discord_gate import discord_gate

CREATE = "/api/v10/channels/1/messages"


def test_what_fits_is_not_touched() -> None:
    message = Message("hello", (Embed("Title", "text", fields=(Field("a", "1"),)),))
    assert fitted(message) == message


def test_every_part_is_cut_to_its_own_limit() -> None:
    embed = Embed("t" * 300, "d " * 3000, fields=(Field("n" * 300, "v " * 600),), footer="f" * 3000)
    shown = fitted(Message("c" * 2500, (embed,)))
    assert len(shown.content) == 2000
    only = shown.embeds[0]
    assert (len(only.title), len(only.fields[0].name)) == (256, 256)
    assert len(only.description) <= 4096
    assert len(only.footer) <= 2048
    assert only.length <= EMBED_TEXT_LIMIT


def test_a_field_too_many_says_how_many_are_left_out() -> None:
    embed = Embed("t", fields=tuple(Field(str(n), "v") for n in range(30)))
    fields = fitted(Message(embeds=(embed,))).embeds[0].fields
    assert len(fields) == 25
    assert fields[-1].value == "and 6 more"


@given(
    st.lists(
        st.builds(
            Embed,
            title=st.text(min_size=1, max_size=300),
            description=st.text(max_size=5000),
            fields=st.lists(
                st.builds(Field, st.text(max_size=300), st.text(max_size=1500)), max_size=30
            ).map(tuple),
            footer=st.text(max_size=2500),
        ),
        max_size=12,
    )
)
def test_embeds_never_exceed_six_thousand_characters(embeds: list[Embed]) -> None:
    shown = fitted(Message(embeds=tuple(embeds)))
    assert sum(embed.length for embed in shown.embeds) <= EMBED_TEXT_LIMIT
    assert len(shown.embeds) <= 10


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(rows=((Button("a", "A"), Button("a", "B")),)), "there twice"),
        (Message(rows=((Button("a" * 101, "A"),),)), "1 to 100"),
        (Message(rows=(tuple(Button(str(n), "A") for n in range(6)),)), "5 buttons"),
        (
            Message(embeds=(Embed("t", picture="a.png"),), pictures=(Picture("b.png", b"", ""),)),
            "no such picture: a.png",
        ),
    ],
)
def test_what_cutting_cannot_help_is_an_error(message: Message, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fitted(message)


def test_a_whole_message_conforms_to_discord() -> None:
    button = str(CustomId(Action.APPROVE, "main", "r-261121-mo-1a2b3c4d"))
    body = message_payload(
        Message(
            "look",
            (Embed("SPY", "text", fields=(Field("credit", "1.25"),), footer="f", picture="p.png"),),
            rows=((Button(button, "Approve", emoji="✅"),),),
            pictures=(Picture("p.png", b"png", "payoff"),),
        )
    )
    assert discord_gate().request("POST", CREATE, body) == []
    assert body["allowed_mentions"] == {"parse": []}
    assert body["embeds"][0]["image"] == {"url": "attachment://p.png"}


def test_a_modal_conforms_to_discord() -> None:
    boxes = (TextInput("reason", "Why not?", paragraph=True, max_length=400),)
    modal = modal_payload(Modal("mahler:1:reject_reason:main:r-1", "Reject " * 20, boxes))
    body = {"type": 9, "data": modal}
    assert discord_gate().request("POST", "/api/v10/interactions/1/token/callback", body) == []
    assert len(modal["title"]) <= 45


def test_a_custom_id_reads_back() -> None:
    custom_id = CustomId(Action.REJECT_REASON, "main", "r-261121-mo-1a2b3c4d")
    assert parse_custom_id(str(custom_id)) == custom_id


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a button"),
        ("mahler:1:approve:main", "not a button"),
        ("mahler:1:approve:MAIN:r-1", "not a button"),
        ("mahler:1:approve:main:r 1", "not a button"),
        ("mahler:2:approve:main:r-1", "version 2"),
        ("mahler:1:sell_everything:main:r-1", "no such action: sell_everything"),
    ],
)
def test_a_custom_id_of_somebody_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadCustomId, match=reason):
        parse_custom_id(text)
