"""Countdowns count where the reader's clock is the market's, and are left out where it is not."""

from datetime import UTC, datetime

from mahler_pipelines.cards.countdowns import moment_with_countdown, without_countdowns
from mahler_pipelines.cards.message import Embed, Field, Message

MOMENT = datetime(2025, 11, 21, 19, 5, tzinfo=UTC)


def test_a_moment_is_the_exchanges_with_a_countdown_of_the_readers() -> None:
    seconds = int(MOMENT.timestamp())
    assert moment_with_countdown(MOMENT) == f"21 Nov 14:05 ET (<t:{seconds}:R>)"


def test_a_market_of_another_time_counts_nothing_down() -> None:
    said = f"expires {moment_with_countdown(MOMENT)}, quoted {moment_with_countdown(MOMENT)}"
    message = Message(said, (Embed("SPY (<t:1:F>)", said, fields=(Field("State", said),)),))
    plain = "expires 21 Nov 14:05 ET, quoted 21 Nov 14:05 ET"
    shown = without_countdowns(message)
    assert (shown.content, shown.embeds[0].description) == (plain, plain)
    assert shown.embeds[0].fields[0].value == plain
    assert shown.embeds[0].title == "SPY (<t:1:F>)"
