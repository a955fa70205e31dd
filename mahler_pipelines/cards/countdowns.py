"""Countdowns, which the reader's own device makes, and a market that keeps another time than it."""

import re
from dataclasses import replace
from datetime import datetime

from mahler_pipelines.cards.message import Embed, Message
from mahler_pipelines.cards.wording import new_york

_COUNTDOWN = re.compile(r" \(<t:\d+:R>\)")


def moment_with_countdown(moment: datetime) -> str:
    """A moment by the exchange's clock, and how far off it is: 21 Nov 14:05 ET (in 12 minutes)."""
    return f"{new_york(moment)} (<t:{int(moment.timestamp())}:R>)"


def without_countdowns(message: Message) -> Message:
    """Take the countdowns off: the market's clock is not that of whoever reads."""
    return replace(
        message,
        content=_COUNTDOWN.sub("", message.content),
        embeds=tuple(_without(embed) for embed in message.embeds),
    )


def _without(embed: Embed) -> Embed:
    return replace(
        embed,
        description=_COUNTDOWN.sub("", embed.description),
        fields=tuple(
            replace(field, value=_COUNTDOWN.sub("", field.value)) for field in embed.fields
        ),
    )
