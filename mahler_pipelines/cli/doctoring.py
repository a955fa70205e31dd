"""What `mahler doctor` checks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.errors import MahlerError
from mahler_pipelines.market.sessions import TradingCalendar
from mahler_pipelines.settings import Mode, Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One check with its result in words."""

    check: str
    passed: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Run every check; one that fails does not keep the next from running."""
    desk = compose(settings)
    checks: list[tuple[str, Callable[[ComposedDesk], str]]] = [
        ("settings", _settings),
        ("calendar", lambda _: _calendar()),
        ("lake", _lake),
        ("ledger", _ledger),
        ("broker", _broker),
        ("market data", _market_data),
        ("analyst", lambda desk: desk.analyst.name),
    ]
    return [_try(name, check, desk) for name, check in checks]


def _try(name: str, check: Callable[[ComposedDesk], str], desk: ComposedDesk) -> Finding:
    try:
        return Finding(name, True, check(desk))
    except (MahlerError, OSError) as error:
        return Finding(name, False, str(error))


def _settings(desk: ComposedDesk) -> str:
    settings = desk.settings
    return f"mode {settings.mode.value}, profile {settings.profile}, book {desk.paths.book}"


def _calendar() -> str:
    session = TradingCalendar().next(datetime.now(UTC).date())
    return f"next session of the exchange calendar: {session}"


def _lake(desk: ComposedDesk) -> str:
    name = desk.lake.put_file("doctor/probe.txt", b"probe")
    return f"writable: {name}"


def _ledger(desk: ComposedDesk) -> str:
    with desk.ledger.transaction(desk.terms.account_id) as book:
        state, _ = book.trading_state()
    return f"reachable, account {desk.terms.account_id} is {state}"


def _broker(desk: ComposedDesk) -> str:
    clock = desk.broker.clock()
    drift = abs((datetime.now(UTC) - clock.now).total_seconds())
    if desk.settings.mode is not Mode.LOCAL and drift > 30:
        raise MahlerError(f"the broker's clock and this machine's differ by {drift:.0f} s")
    account = desk.broker.account()
    return f"{account.status}, clock {clock.now:%Y-%m-%d %H:%M} UTC, equity {account.equity}"


def _market_data(desk: ComposedDesk) -> str:
    name = desk.terms.universe[0]
    quotes = desk.market_data.stock_quotes([name])
    return f"{name}: {len(quotes)} share quote"
