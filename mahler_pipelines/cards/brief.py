"""The morning brief: what a session begins with, read in ten seconds."""

from datetime import datetime

from mahler_pipelines.cards.countdowns import moment_with_countdown
from mahler_pipelines.cards.message import Colour, Embed, Field, Message
from mahler_pipelines.cards.reports import positions_table
from mahler_pipelines.cards.text import cut, plain
from mahler_pipelines.cards.wording import DASH, plural, short_day, spelled, usd
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.review.session_brief import DueLine, RankLine, SessionBrief

LISTED = 6
"""How many due trades, approvals or findings are named; the rest is counted."""
WARNING_LENGTH, RULE_LENGTH = 160, 200


def morning_brief(brief: SessionBrief, *, account_id: str) -> Message:
    """Tell what a session begins with: clock, market, positions, what is due, what waits."""
    embed = Embed(
        title=f"Morning brief · {brief.session:%a} {short_day(brief.session)}",
        description="\n".join([*_clock(brief), *_money(brief), positions_table(brief.positions)]),
        colour=_colour(brief),
        fields=(
            Field("Due today", _listed([_due(one) for one in brief.due], "nothing"), inline=False),
            Field("Volatility", _market(brief), inline=False),
            Field("Waits for an answer", _pending(brief), inline=False),
            Field("Desk", _desk(brief), inline=False),
            Field("Playbook", _playbook(brief), inline=False),
        ),
        footer=account_id,
        at=brief.as_of,
    )
    return Message(embeds=(embed,))


def _colour(brief: SessionBrief) -> Colour:
    if brief.trading_state != "active" or brief.findings:
        return Colour.WARNING
    return Colour.WAITING if brief.due or brief.pending else Colour.QUIET


def _clock(brief: SessionBrief) -> list[str]:
    early = " — **closes early**" if brief.early_close else ""
    if brief.as_of < brief.open_at:
        opens = f"Opens {moment_with_countdown(brief.open_at)}"
    else:
        opens = f"Opened {_time(brief.open_at)} ET"
    return [f"{opens}, closes **{_time(brief.close_at)} ET**{early}"]


def _money(brief: SessionBrief) -> list[str]:
    power = brief.options_buying_power
    return [
        f"Equity **{usd(brief.equity)}** · buying power {DASH if power is None else usd(power)}"
    ]


def _due(line: DueLine) -> str:
    said = []
    if line.last_day:
        by = line.closes_by
        closes = "left to expire" if by is None else f"closed from {_time(by)} ET on"
        said.append(f"last day, {closes}")
    if line.time_exit:
        said.append("time exit")
    if line.warning:
        said.append(cut(plain(line.warning), WARNING_LENGTH))
    return f"- **{line.name}**: {'; '.join(said)}"


def _market(brief: SessionBrief) -> str:
    if not brief.ranks:
        return "no IV ranks yet"
    regimes = ", ".join(f"{count} {plain(name)}" for name, count in brief.regimes.items())
    top = " · ".join(_rank(line) for line in brief.ranks)
    return "\n".join(
        filter(None, [f"Highest IV ranks: {top}", regimes and f"Regimes: {regimes}", _seen(brief)])
    )


def _rank(line: RankLine) -> str:
    stressed = " stressed" if line.regime == "stressed" else ""
    return f"{line.underlying} **{line.iv_rank:.0f}**{stressed}"


def _seen(brief: SessionBrief) -> str:
    return f"-# of {plural(brief.ranked, 'underlying')}, as of {brief.ranks_seen}"


def _pending(brief: SessionBrief) -> str:
    return _listed(
        [f"- {one.name}, expires {moment_with_countdown(one.expires_at)}" for one in brief.pending],
        "nothing",
    )


def _desk(brief: SessionBrief) -> str:
    reason = f": {cut(plain(brief.state_reason), WARNING_LENGTH)}" if brief.state_reason else ""
    state = f"**{brief.trading_state}**{reason}"
    named = [f"- {plain(spelled(one))}" for one in brief.findings]
    return f"{state}\n{_listed(named, 'no findings open')}"


def _playbook(brief: SessionBrief) -> str:
    if not brief.rules:
        kept = "no rules adopted"
    else:
        rule = cut(plain(brief.last_rule), RULE_LENGTH)
        kept = f"{plural(brief.rules, 'rule')} adopted, the last: {rule}"
    waiting = f"\n{plural(brief.rules_proposed, 'rule')} proposed" if brief.rules_proposed else ""
    return kept + waiting


def _listed(lines: list[str], nothing: str) -> str:
    if not lines:
        return nothing
    more = len(lines) - LISTED
    return "\n".join([*lines[:LISTED], *([f"and {more} more"] if more > 0 else [])])


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%H:%M}"
