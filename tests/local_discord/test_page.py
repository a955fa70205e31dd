"""The page: what it says, who sees what, and that no message can do anything to it."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from mahler_pipelines.local_discord.page.markup import relative, render
from mahler_pipelines.local_discord.people import YOU_ID, Place
from tests.local_discord.serving import Local, row

HOSTILE = '<script>alert(1)</script> <img src=x onerror=alert(1)> " onclick="x'


class Elements(HTMLParser):
    """The page as a browser reads it: its scripts, and the last value of every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= dict(attrs)
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))


def page(local: Local, user: str = "you") -> str:
    answer = httpx.get(local.url, params={"user": user}, trust_env=False)
    assert answer.status_code == 200
    return answer.text


def test_it_says_that_it_is_local(local: Local) -> None:
    shown = page(local)
    assert "local Discord on this machine" in shown
    assert "No message here has left it" in shown
    assert "width=device-width" in shown


def test_a_card_is_shown_whole(local: Local) -> None:
    fields = [{"name": "Credit", "value": "**1.25**", "inline": True}]
    embed = {
        "title": "SPY bull put 600/595",
        "url": "https://example.org/x",
        "description": "thesis",
        "color": 0x2ECC71,
        "fields": fields,
        "author": {"name": "main"},
        "footer": {"text": "expires soon"},
        "timestamp": "2026-11-03T14:35:00+00:00",
    }
    local.send(content="hello", embeds=[embed], components=[row("mahler:v1:approve:7")])
    shown = page(local)
    for part in (
        'data-colour="#2ecc71"',
        "<dt>Credit</dt><dd><strong>1.25</strong></dd>",
        'data-custom-id="mahler:v1:approve:7"',
        "SPY bull put 600/595",
        "thesis",
        "main",
        "expires soon",
    ):
        assert part in shown, part


def test_second_version_components_are_shown(local: Local) -> None:
    option = {"label": "one", "value": "1"}
    select = {"type": 3, "custom_id": "n", "options": [option], "placeholder": "How many?"}
    thumbnail = {"type": 11, "media": {"url": "https://example.org/x.png"}}
    text = {"type": 10, "content": "## Morning"}
    section = {"type": 9, "components": [text], "accessory": thumbnail}
    rows = [{"type": 1, "components": [select]}, {"type": 14, "divider": False}]
    local.send(flags=32768, components=[{"type": 17, "components": [section, *rows]}])
    shown = page(local)
    assert "<h4>Morning</h4>" in shown
    assert 'data-choice="n"' in shown
    assert "How many?" in shown


def test_no_text_becomes_markup_of_the_page(local: Local) -> None:
    field = {"name": HOSTILE, "value": HOSTILE}
    embed = {"title": HOSTILE, "description": HOSTILE, "footer": {"text": HOSTILE},
             "author": {"name": HOSTILE}, "fields": [field]}  # fmt: skip
    button = {"type": 2, "style": 1, "label": HOSTILE[:80], "custom_id": HOSTILE}
    local.send(content=HOSTILE, embeds=[embed], components=[{"type": 1, "components": [button]}])
    local.control.add_person("<b>bold</b>")
    shown = page(local)
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown
    assert "<b>bold" not in shown
    elements = Elements()
    elements.feed(shown)
    assert elements.scripts == ["/page/static/page.js"]
    assert [name for name in elements.attributes if name.startswith("on")] == []
    assert elements.attributes["data-custom-id"] == HOSTILE


def test_nothing_is_fetched_from_elsewhere(local: Local) -> None:
    local.send(embeds=[{"title": "x", "image": {"url": "https://example.org/spy.png"}}])
    shown = page(local)
    assert "A picture of elsewhere" in shown
    assert not re.search(r'(?:src|href)="https?://(?!example\.org/x)[^"]*\.(?:png|js|css)', shown)
    policy = httpx.get(local.url, trust_env=False).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_person_sees_their_own_ephemeral_answers_only(local: Local) -> None:
    one = local.control.click(local.send_buttons("a"), "a", wait=False)
    local.callback(one, {"type": 4, "data": {"content": "a secret refusal", "flags": 64}})
    assert "a secret refusal" in page(local)
    assert "Only you can see this" in page(local)
    assert "a secret refusal" not in page(local, "stranger")


def test_who_is_pinged_is_marked(local: Local) -> None:
    local.send(content=f"<@{YOU_ID}>", allowed_mentions={"parse": []})
    assert "pinging" not in page(local)
    local.send(content=f"<@{YOU_ID}>")
    assert "pinging" in page(local)
    assert "pinging" not in page(local, "stranger")


def test_polling_brings_what_is_new_and_nothing_otherwise(local: Local) -> None:
    local.send(content="first")
    path = f"{local.url}/page/messages"
    answer = httpx.get(path, params={"user": "you", "since": ""}, trust_env=False)
    assert "first" in answer.text
    since = {"user": "you", "since": answer.headers["X-Version"]}
    assert httpx.get(path, params=since, trust_env=False).status_code == 204
    local.send(content="second")
    assert "second" in httpx.get(path, params=since, trust_env=False).text


def test_its_script_and_style_are_served(local: Local) -> None:
    shown = page(local)
    for path in re.findall(r'(?:src|href)="(/page/static/[^"]+)"', shown):
        assert httpx.get(local.url + path, trust_env=False).status_code == 200
    assert httpx.get(f"{local.url}/page/commands", trust_env=False).json() == []


def test_a_page_of_elsewhere_can_not_act(local: Local) -> None:
    message = local.send_buttons("a")
    body = {"message": message, "custom_id": "a", "user": "you", "wait": False}
    path = f"{local.url}/control/click"
    foreign = {"Origin": "https://example.org"}
    assert httpx.post(path, json=body, headers=foreign, trust_env=False).status_code == 403
    renamed = {"Host": "example.org"}
    assert httpx.post(path, json=body, headers=renamed, trust_env=False).status_code == 400
    assert local.control.interactions() == []
    own = {"Origin": local.url}
    assert httpx.post(path, json=body, headers=own, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *i* _i_ __u__ ~~s~~", "<strong>b</strong> <em>i</em> <em>i</em> <u>u</u> <s>s</s>"),
        ("***both***", "<strong><em>both</em></strong>"),
        (r"\*plain\* snake_case_name 2 * 3 * 4", "*plain* snake_case_name 2 * 3 * 4"),
        ("`a*b*` ``c``", "<code>a*b*</code> <code>c</code>"),
        ("```py\nx < 1\n```", "<pre>x &lt; 1</pre>"),
        ("one\ntwo", "one<br>two"),
        ("# T\n- a\n> q", "<h3>T</h3><li>a</li><blockquote>q</blockquote>"),
        ("||hidden||", '<span class="spoiler" tabindex="0">hidden</span>'),
        (f"<@{YOU_ID}>", '<span class="mention">@you</span>'),
        ("<@7>", '<span class="mention">@unknown-7</span>'),
        (
            "[a](https://x.org/?a=1&b=2)",
            '<a href="https://x.org/?a=1&amp;b=2" rel="noopener noreferrer" target="_blank">a</a>',
        ),
        ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
        ("<t:99999999999999:R>", "&lt;t:99999999999999:R&gt;"),
    ],
)
def test_markup(text: str, html: str) -> None:
    assert render(text, Place()).__html__() == html


def test_moments_are_told_by_their_distance() -> None:
    assert 'datetime="2001-09-09T01:46:40+00:00"' in render("<t:1000000000:R>", Place())
    assert relative(720) == "in 12 minutes"
    assert relative(-3_600) == "1 hour ago"
    assert relative(-2 * 86_400) == "2 days ago"
    assert relative(0) == "0 seconds ago"


def test_text_made_to_be_slow_is_shown_in_time() -> None:
    """Text of models is bounded at 4,096; the worst openers without an end must stay harmless."""
    for opener in ("**", "_", "||", "`", "[", "~~", "\\", "<t:"):
        assert render(opener * (4096 // len(opener)), Place())
