"""The last session of a contract, and the moment on which it settles."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from mahler_pipelines.market.expirations import last_trading_session, settlement_moment
from mahler_pipelines.market.sessions import NEW_YORK
from mahler_pipelines.options.contracts import OptionContract, Right
from tests.market.volatility_cases import CALENDAR

FRIDAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("root", "expiration", "last", "settles"),
    [
        ("SPY", FRIDAY, FRIDAY, (FRIDAY, "16:00")),
        ("SPXW", FRIDAY, FRIDAY, (FRIDAY, "16:00")),
        ("SPX", FRIDAY, date(2026, 11, 19), (FRIDAY, "09:30")),
        ("SPY", date(2026, 11, 27), date(2026, 11, 27), (date(2026, 11, 27), "13:00")),
        # The Friday before was Good Friday: the open is Thursday's, trading ended on Wednesday.
        ("SPX", date(2014, 4, 19), date(2014, 4, 16), (date(2014, 4, 17), "09:30")),
        ("SPY", date(2014, 4, 19), date(2014, 4, 17), (date(2014, 4, 17), "16:00")),
    ],
)
def test_last_session_and_settlement(
    root: str, expiration: date, last: date, settles: tuple[date, str]
) -> None:
    contract = OptionContract(root, expiration, Right.CALL, Decimal(100))
    assert last_trading_session(contract, CALENDAR) == last
    day, at = settles
    moment = datetime.strptime(f"{day} {at}", "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)
    assert settlement_moment(contract, CALENDAR) == moment
