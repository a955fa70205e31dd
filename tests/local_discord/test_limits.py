"""Rate limits: buckets by the headers, all together, and what is bound to none."""

from pathlib import Path

import pytest

from mahler_pipelines.local_discord.limits import Allowance
from tests.local_discord.serving import MESSAGES, local_discord


def test_a_bucket_counts_down_refuses_and_opens_again(tmp_path: Path) -> None:
    with local_discord(tmp_path, messages=Allowance(2, 60.0)) as local:
        left = []
        for _ in range(2):
            answer = local.rest.post(MESSAGES, json={"content": "x"})
            left.append(answer.headers["X-RateLimit-Remaining"])
        assert left == ["1", "0"]
        assert answer.headers["X-RateLimit-Limit"] == "2"
        assert 50 < float(answer.headers["X-RateLimit-Reset-After"]) <= 60
        refused = local.rest.post(MESSAGES, json={"content": "x"})
        assert refused.status_code == 429
        body = refused.json()
        assert body["message"] == "You are being rate limited."
        assert body["global"] is False
        assert body["retry_after"] == pytest.approx(float(refused.headers["Retry-After"]), abs=0.01)
        assert refused.headers["X-RateLimit-Scope"] == "user"
        assert refused.headers["Via"]
        assert refused.headers["X-RateLimit-Bucket"] == answer.headers["X-RateLimit-Bucket"]
        assert local.rest.get(MESSAGES).status_code == 200
        local.clock.ahead = 60
        assert local.rest.post(MESSAGES, json={"content": "x"}).status_code == 200
        assert len(local.rest.get(MESSAGES).json()) == 3


def test_five_messages_in_five_seconds_without_a_word(tmp_path: Path) -> None:
    with local_discord(tmp_path, messages=Allowance(5, 5.0)) as local:
        statuses = [local.rest.post(MESSAGES, json={"content": "x"}).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]


def test_the_limit_over_all_spares_answers_to_interactions(tmp_path: Path) -> None:
    with local_discord(tmp_path, requests_per_second=3) as local:
        message = local.send_buttons("a")
        one = local.control.click(message, "a", wait=False)
        # The second is as long as the test needs it.
        local.discord.limits._shared.ends += 3600
        statuses = [local.rest.get("/users/@me").status_code for _ in range(3)]
        assert statuses[-1] == 429
        refused = local.rest.get("/users/@me")
        assert refused.json()["global"] is True
        assert refused.headers["X-RateLimit-Global"] == "true"
        assert refused.headers["X-RateLimit-Scope"] == "global"
        assert local.callback(one, {"type": 6}).status_code == 204
