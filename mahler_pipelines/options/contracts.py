"""Option contracts and their OCC symbols."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

from mahler_pipelines.errors import MalformedSymbol

SHARES_PER_CONTRACT = 100
"""The only multiplier and deliverable size that Mahler trades."""

_OCC = re.compile(r"([A-Z]{1,6}\d?)(\d{6})([CP])(\d{8})\Z", re.ASCII)


class Right(IntEnum):
    """Call or put; the value is the sign of the payoff in the underlying."""

    CALL = 1
    PUT = -1

    @property
    def letter(self) -> str:
        """The letter of the OCC symbol."""
        return "C" if self is Right.CALL else "P"

    @classmethod
    def from_letter(cls, letter: str) -> "Right":
        """Read C or P; raise `MalformedSymbol` otherwise."""
        if letter == "C":
            return cls.CALL
        if letter == "P":
            return cls.PUT
        raise MalformedSymbol("right", letter, "neither C nor P")


class ExerciseStyle(StrEnum):
    """When the holder may exercise."""

    AMERICAN = "american"
    EUROPEAN = "european"


class SettlementKind(StrEnum):
    """What changes hands at expiry, and on which price."""

    PHYSICAL = "physical"
    CASH_ON_CLOSE = "cash_on_close"
    CASH_ON_OPEN = "cash_on_open"


INDEX_ROOTS: dict[str, tuple[str, SettlementKind]] = {
    "SPX": ("SPX", SettlementKind.CASH_ON_OPEN),
    "SPXW": ("SPX", SettlementKind.CASH_ON_CLOSE),
    "NDX": ("NDX", SettlementKind.CASH_ON_OPEN),
    "NDXP": ("NDX", SettlementKind.CASH_ON_CLOSE),
    "RUT": ("RUT", SettlementKind.CASH_ON_OPEN),
    "RUTW": ("RUT", SettlementKind.CASH_ON_CLOSE),
    "XSP": ("XSP", SettlementKind.CASH_ON_CLOSE),
    "VIX": ("VIX", SettlementKind.CASH_ON_OPEN),
}
"""Cash-settled European roots: root -> (underlying, settlement)."""


def settlement_kind(root: str) -> SettlementKind:
    """Return how options of this root settle; roots not listed deliver shares."""
    known = INDEX_ROOTS.get(root)
    return known[1] if known else SettlementKind.PHYSICAL


def exercise_style(root: str) -> ExerciseStyle:
    """Return the exercise style of this root: listed index roots are European."""
    return ExerciseStyle.EUROPEAN if root in INDEX_ROOTS else ExerciseStyle.AMERICAN


def underlying_of(root: str) -> str:
    """Return the underlying of a root (SPXW -> SPX); other roots are their own underlying."""
    known = INDEX_ROOTS.get(root)
    return known[0] if known else root


@dataclass(frozen=True, slots=True, order=True)
class OptionContract:
    """One listed contract; equal when its OCC symbol is equal."""

    root: str
    expiration: date
    right: Right
    strike: Decimal

    @property
    def symbol(self) -> str:
        """The unpadded OCC symbol, such as SPXW190621P02800000."""
        return occ_symbol(self.root, self.expiration, self.right, self.strike)

    @property
    def underlying(self) -> str:
        """The underlying that the root stands for."""
        return underlying_of(self.root)


def occ_symbol(root: str, expiration: date, right: Right, strike: Decimal | float) -> str:
    """Build ROOT + YYMMDD + C|P + strike x 1000 in eight digits.

    Raises `MalformedSymbol` when the strike is not a positive multiple of 0.001 below 100,000.
    """
    thousandths = Decimal(str(strike)) * 1000
    if thousandths != thousandths.to_integral_value() or not 0 < thousandths < 10**8:
        raise MalformedSymbol("strike", strike, "not a positive multiple of 0.001 below 100000")
    symbol = f"{root}{expiration:%y%m%d}{right.letter}{int(thousandths):08d}"
    if not _OCC.match(symbol):
        raise MalformedSymbol("root", root, "not an option root of one to six capitals")
    return symbol


def parse_occ(symbol: str) -> OptionContract:
    """Read an OCC symbol; raise `MalformedSymbol` when it is not one."""
    match = _OCC.match(symbol)
    if match is None:
        raise MalformedSymbol("symbol", symbol, "not ROOT + YYMMDD + C|P + eight digits")
    root, day, letter, thousandths = match.groups()
    try:
        expiration = datetime.strptime(day, "%y%m%d").date()
    except ValueError:
        raise MalformedSymbol("symbol", symbol, f"{day} is not a date") from None
    if int(thousandths) == 0:
        raise MalformedSymbol("symbol", symbol, "strike is zero")
    return OptionContract(root, expiration, Right.from_letter(letter), Decimal(thousandths) / 1000)
