"""Make docs/settings.md and mahler.toml.example from the settings themselves.

`python docs/make_settings.py` writes both; a test holds them to the code. Every key needs a line in
`MEANINGS`: one without, or a line without a key, is an error.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mahler_pipelines.settings import LIVE_PHRASE, PAPER_UNIVERSE, PROFILES, Settings
from mahler_pipelines.settings.layers import VENDOR_NAMES, variable

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
EXAMPLE = ROOT / "mahler.toml.example"

MEANINGS: Mapping[str, str] = {
    "mode": "Where orders go: the local exchange, Alpaca's paper account, or the real one.",
    "live_phrase": f'Live mode starts only when this is "{LIVE_PHRASE}".',
    "dry_run": "Write every intent into the ledger and send nothing.",
    "home": "Where books are kept. `--home` on the command line says the same.",
    "profile": "A named set of settings, below everything written by hand.",
    "account": "Name of the account: prefix of its assets, column of its ledger rows.",
    "market": "What stands behind the local exchange: `sim:SEED` or `archive:PATH[,PATH…]`.",
    "universe": "Underlyings to scan. Empty takes what the market lists; paper and live mode "
    f"default to {len(PAPER_UNIVERSE)} liquid US names.",
    "database_url": "Ledger: `postgresql+psycopg2://…` or `sqlite:///…`; off is the book's own "
    "SQLite file.",
    "lake_url": "Root of the lake: a folder or a URL fsspec opens; off is the book's own folder.",
    "screen.strategies": "Structures that are screened, by name.",
    "screen.underlying_price_min": "Lowest price of the underlying, USD.",
    "screen.underlying_price_max": "Highest price of the underlying, USD.",
    "screen.share_volume_min": "Mean daily share volume must lie above this.",
    "screen.share_volume_sessions": "Sessions that the mean share volume is taken over.",
    "screen.share_spread_max": "Share spread, relative to its mid, must lie below this.",
    "screen.iv_rank_min": "IV rank (0 to 100) must lie above this.",
    "screen.iv_lookback_sessions": "Sessions that IV rank and percentile look back on.",
    "screen.iv_history_minimum": "Fewer sessions with a volatility than this give no rank.",
    "screen.iv_history_coverage": "Share of the lookback that an underlying's own history must "
    "cover; below it a volatility index with more sessions stands in, where there is one.",
    "screen.regimes_refused": "Volatility regimes in which nothing is entered; none by default.",
    "screen.regime_probability": "Their probability together from which an underlying is refused.",
    "screen.open_interest_min": "Open interest of each leg must lie above this, in contracts.",
    "screen.option_volume_min": "Volume of each leg must lie above this; until noon in New York it "
    "is the previous session's.",
    "screen.option_spread_max": "Spread of each leg, relative to its mid, must lie below this.",
    "screen.dte_min": "Fewest calendar days to expiration.",
    "screen.dte_max": "Most calendar days to expiration.",
    "screen.short_delta_min": "Smallest absolute delta of the short leg.",
    "screen.short_delta_max": "Largest absolute delta of the short leg.",
    "screen.width_min": "Smallest distance between the strikes, USD.",
    "screen.width_max": "Largest distance between the strikes, USD.",
    "screen.credit_min": "Smallest credit at mid, USD per share.",
    "screen.max_quote_age_seconds": "Option quotes older than this are stale.",
    "screen.share_volume_not_available": "What the gate does without a share volume.",
    "screen.share_spread_not_available": "What the gate does without a share spread.",
    "screen.iv_rank_not_available": "What the gate does without an IV rank.",
    "screen.regime_not_available": "What the gate does without a regime, once a regime is refused.",
    "screen.open_interest_not_available": "What the gate does without an open interest.",
    "screen.option_volume_not_available": "What the gate does without an option volume.",
    "risk.trades_per_day": "Entries a session, the one that asks included.",
    "risk.daily_loss": "Loss of the day, realised and unrealised, at which entries end, as a share "
    "of the equity the day began with.",
    "risk.per_trade": "Largest maximum loss of one trade, as a share of equity.",
    "risk.positions_per_symbol": "Open and working structures in one underlying.",
    "risk.portfolio_heat": "Maximum loss of everything open together, as a share of equity.",
    "risk.concentration": "Maximum loss in one underlying, as a share of equity.",
    "risk.risk_per_trade": "Maximum loss that sizing aims at, as a share of equity.",
    "risk.max_contracts": "Most contracts of one trade, whatever sizing says.",
    "approval.expires_after_minutes": "How long a recommendation can be answered and executed.",
    "approval.underlying_drift": "Largest move of the underlying since shown, as a fraction.",
    "approval.floor_tolerance": "How far the floor lies below the natural credit, as a fraction.",
    "approval.requotes": "How often a trade whose approval lapsed because the market moved is "
    "offered anew; 0 never.",
    "approval.recommendations_per_scan": "Candidates put to the analyst at each scan, at most one "
    "per underlying.",
    "execution.start_fraction": "Where a limit begins between mid (0) and natural (1); 1 is "
    "natural at once, without a walk.",
    "execution.steps": "Equal steps from there to the end: the approved floor when opening, the "
    "natural cost when closing.",
    "execution.step_seconds": "Seconds from one step to the next.",
    "execution.patience_seconds": "Seconds after which an opening order is given up; what it "
    "filled stays.",
    "exits.profit_target": "Share of the credit to keep: 0.50 closes when closing costs half.",
    "exits.stop_loss": "Loss in multiples of the credit: 2.00 closes when closing costs three "
    "times the credit.",
    "exits.time_exit_dte": "Calendar days to expiration at which a trade is closed.",
    "exits.action": "A reached exit sends the closing order, or only leaves an alert.",
    "exits.expiry_cutoff_minutes": "Minutes before the close of a trade's last session, early or "
    "not, from which it is closed at the natural price; off leaves it to expire.",
    "exits.expiry_always_closes": "Close at that moment even where `exits.action` is alert.",
    "exits.early_assignment": "A warning of early assignment (a call for a dividend, a put when it "
    "is likely) closes the trade, or is only told.",
    "halts.daily_loss": "Loss of the day that halts, as a share of the equity the day began with.",
    "halts.losing_streak": "Closed trades that lost, one after another.",
    "halts.unknown_order_minutes": "Minutes for which what became of an order is not known.",
    "halts.stale_data_minutes": "Age of the newest share quote of the universe during the session, "
    "in minutes; an archive's book is not asked.",
    "halts.failed_reconciliations": "Looks in a row that found the same difference from the "
    "broker, or could not compare.",
    "analyst.name": "Who writes theses; `auto` is Claude with a key and the rules without one.",
    "analyst.model": "Model that is asked.",
    "analyst.base_url": "Where the model is asked.",
    "analyst.timeout_seconds": "Longest wait for one answer.",
    "analyst.max_tokens": "Largest answer.",
    "analyst.max_attempts": "Attempts at one question, retries included.",
    "exchange.equity": "Cash a new local account starts with, USD.",
    "exchange.fee_per_contract": "Fee per contract and fill, USD: the local exchange charges it, "
    "the desk books it.",
    "exchange.port": "Port of the local exchange under `mahler dev`; 0 takes a free one.",
    "exchange.requests_per_minute": "Requests in a minute of real time beyond which the local "
    "exchange answers 429, as Alpaca does beyond 200; the desk then keeps to it. Off: 100,000, and "
    "the desk counts none.",
    "exchange.clock_rate": "Market seconds per real second under `mahler dev`; 0 stands until "
    "advanced.",
    "rates.risk_free": "Rate a year, continuously compounded, for pricing and implied volatility.",
    "alpaca.api_key": "Key of the Alpaca account.",
    "alpaca.secret_key": "Secret of the Alpaca account.",
    "alpaca.trading_url": "Other trading address than the vendor's.",
    "alpaca.data_url": "Other data address than the vendor's.",
    "alpaca.options_feed": "Feed of option quotes.",
    "alpaca.stock_feed": "Feed of share quotes and bars.",
    "alpaca.requests_per_minute_trading": "Requests in any minute about account, orders and "
    "listings, all processes of the book together; off counts none.",
    "alpaca.requests_per_minute_data": "The same for quotes, chains and bars; 10,000 with a paid "
    "plan's limit.",
    "alpaca.reserved_for_orders": "Share of them that scans leave to orders, cancels and what a "
    "close or an approval asks first.",
    "anthropic.api_key": "Key of the model's vendor.",
    "discord.bot_token": "Token of the bot that writes the cards.",
    "discord.public_key": "Key by which a press that comes by HTTP is known to be Discord's.",
    "discord.application_id": "Id of the application.",
    "discord.guild_id": "Id of the server; presses from another are refused.",
    "discord.channel_id": "Id of the channel that cards go to; presses from another are refused.",
    "discord.approvers": "Ids of the people whose clicks count, beside `discord.approver_roles`; "
    "without both nobody's do.",
    "discord.approver_roles": "Ids of roles whose members' clicks count; a reaction has no roles.",
    "discord.second_approval_heat": "Share of equity at risk, the trade in it, above which two "
    "people have to approve; off asks for one always.",
    "discord.door": "How presses come in: by `http` (a public address), by the `gateway` (none is "
    "needed), by `reactions` that are polled, or `off`. auto is http where there is a public key, "
    "else the gateway where there is a bot's token, else off.",
    "discord.base_url": "Where Discord is asked.",
}
"""Dotted key -> what it means, in a line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as its pages show it."""

    group: str
    name: str
    default: Any
    choices: tuple[str, ...]
    secret: bool

    @property
    def key(self) -> str:
        """The dotted key."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def may_be_off(self) -> bool:
        """Whether the setting takes `off`."""
        return "off" in self.choices


def entries() -> tuple[Entry, ...]:
    """Return every setting in declared order; raise `ValueError` when `MEANINGS` differs."""
    found = tuple(_entries(Settings, ""))
    differing = {entry.key for entry in found} ^ set(MEANINGS)
    if differing:
        raise ValueError(f"MEANINGS and the settings differ in {sorted(differing)}")
    return found


def page() -> str:
    """Return docs/settings.md."""
    parts = [_INTRODUCTION]
    groups: dict[str, list[Entry]] = {}
    for entry in entries():
        groups.setdefault(entry.group, []).append(entry)
    for group, members in groups.items():
        parts.append(f"## {f'[{group}]' if group else 'Top level'}\n\n{_group_doc(group)}")
        rows = [_row(entry) for entry in members]
        parts.append(_table(("key", "default", "meaning", "environment"), rows))
    parts.append(_profiles())
    return "\n\n".join(parts) + "\n"


def example() -> str:
    """Return mahler.toml.example: every setting but the secrets, each at its default."""
    lines = [
        "# Copy to mahler.toml and uncomment what you change. Every line shows its default.",
        '# "off" switches a gate off. Secrets belong in .env: see .env.example.',
    ]
    group = ""
    for entry in entries():
        if entry.secret:
            continue
        if entry.group != group:
            group = entry.group
            lines += ["", f"#[{group}]"]
        meaning = MEANINGS[entry.key].replace("`", "")
        lines += [f"# {meaning}", f"#{entry.name} = {_toml(entry.default)}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    PAGE.write_text(page(), encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")


def _entries(model: type[BaseModel], group: str) -> Iterator[Entry]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _entries(kind, name)
        else:
            parts = tuple(_parts(field))
            yield Entry(group, name, field.default, _choices(parts), SecretStr in parts)


def _parts(field: FieldInfo) -> Iterator[Any]:
    """The types and literal values that an annotation is made of."""
    waiting = [field.annotation]
    while waiting:
        kind = waiting.pop()
        if get_origin(kind) is Annotated:
            waiting.append(get_args(kind)[0])
        elif inner := get_args(kind):
            waiting.extend(reversed(inner))
        else:
            yield kind


def _choices(parts: tuple[Any, ...]) -> tuple[str, ...]:
    words: list[str] = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, type) and issubclass(part, Enum):
            words += [str(member.value) for member in part]
        elif part is NoneType:
            words.append("off")
    return tuple(words)


def _row(entry: Entry) -> tuple[str, ...]:
    said = MEANINGS[entry.key]
    choices = [word for word in entry.choices if word != "off"]
    if choices:
        said += f" One of {', '.join(f'`{word}`' for word in choices)}."
    vendor = [name for name, key in VENDOR_NAMES.items() if key == entry.key]
    names = [*vendor, variable(entry.key)]
    return (
        f"`{entry.key}`",
        _shown(entry),
        said.replace("|", "\\|"),
        "<br>".join(f"`{name}`" for name in names),
    )


def _shown(entry: Entry) -> str:
    if entry.secret and entry.default is None:
        return "none (secret)"
    if entry.default == "":
        return "empty"
    if entry.default == ():
        return "empty list"
    text = _plain(entry.default)
    suffix = " (may be `off`)" if entry.may_be_off and entry.default is not None else ""
    return f"`{text}`{suffix}"


def _plain(value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)


def _toml(value: Any) -> str:
    """A value as TOML; exact decimals are written as texts, which the settings read exactly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and not isinstance(value, Enum):
        return str(value)
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, Decimal) else _plain(value))


def _group_doc(group: str) -> str:
    model = Settings.model_fields[group].annotation if group else None
    text = (model.__doc__ or "") if model is not None else "What is not part of a group."
    return " ".join(text.split())


def _profiles() -> str:
    rows = [
        (f"`{profile.value}`", f"`{key}`", f"`{_plain(value)}`")
        for profile, values in PROFILES.items()
        for key, value in values.items()
    ]
    return (
        "## Profiles\n\nThe profile `equities` is the defaults. Others set:\n\n"
        + _table(("profile", "key", "value"), rows)
        + "\n\nPaper and live mode set `universe` to "
        + ", ".join(PAPER_UNIVERSE)
        + "."
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_INTRODUCTION = """\
# Settings

<!-- Made by docs/make_settings.py: change that, not this. -->

Layers, the later over the earlier: defaults, profile, `mahler.toml`, `.env`, environment, command
line (`mahler --set screen.dte_min=20 run`). `mahler.toml` and `.env` are read from the working
directory; [`mahler.toml.example`](../mahler.toml.example) and [`.env.example`](../.env.example)
are to be copied. `mahler settings` shows each value and the layer it came from, secrets masked.

A key that does not exist is an error that names the nearest one, in every layer. `off` switches a
gate off; lists are arrays or `A,B`. In the environment a key is `MAHLER_<GROUP>__<NAME>`; the
vendors' own names count too, and `MAHLER_` stands above them. An empty variable says nothing."""


if __name__ == "__main__":
    main()
