"""Recompute the report of `mahler run --json` from the raw files, sharing no code with the product.

    python tests/recomputation.py REPORT.json CHAINS.parquet BARS.parquet

prints what was checked and every discrepancy, and ends with 1 where there is one. It holds for
archives with one snapshot a day: each fill must have met the quotes of its own day.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
OCC = re.compile(
    r"(?P<root>[A-Z]{1,6}\d?)(?P<day>\d{6})(?P<right>[CP])(?P<whole>\d{5})(?P<rest>\d{3})"
)
BAR_SOURCES = ["heliar", "lean", "renshoek"]
SETTLING_PRICE = {"SPX": "open", "SPXW": "close"}
UNDERLYING = {"SPXW": "SPX"}
MULTIPLIER = 100
CENT = Decimal("0.01")
SIGN = {"sell": 1, "buy": -1}

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Contract:
    """An OCC symbol, read."""

    root: str
    expiration: date
    right: str
    strike: Decimal

    @classmethod
    def read(cls, symbol: str) -> "Contract":
        found = OCC.fullmatch(symbol)
        if found is None:
            raise ValueError(f"{symbol} is no OCC symbol")
        day = found["day"]
        expiration = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
        strike = Decimal(f"{found['whole']}.{found['rest']}")
        return cls(found["root"], expiration, found["right"], strike)

    def worth(self, level: Decimal) -> Decimal:
        difference = level - self.strike if self.right == "C" else self.strike - level
        return max(difference, Decimal(0))


@dataclass(frozen=True)
class Quote:
    """What the raw file says of a contract on a day."""

    bid: Decimal
    ask: Decimal
    underlying: Decimal

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


class Raw:
    """The raw chains and bars."""

    def __init__(self, chains: Path, bars: Path) -> None:
        self.chains = pd.read_parquet(chains)
        self._bars_file = bars

    def quote(self, day: date, contract: Contract) -> Quote | None:
        key = (day, contract.root, contract.expiration, contract.right, float(contract.strike))
        row = self._by_contract.get(key)
        return None if row is None else Quote(*(exact(value) for value in row))

    @cached_property
    def _by_contract(self) -> dict[tuple[object, ...], tuple[float, float, float]]:
        c = self.chains
        keys = zip(c.quote_date, c.root, c.expiration, c.type, c.strike, strict=True)
        return dict(zip(keys, zip(c.bid, c.ask, c.underlying, strict=True), strict=True))

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.chains["symbol"])

    @cached_property
    def group_sizes(self) -> dict[date, dict[tuple[str, str, date, str], int]]:
        """Contracts per day and (symbol, root, expiration, right)."""
        keys = ["quote_date", "symbol", "root", "expiration", "type"]
        sizes = self.chains.groupby(keys).size().reset_index(name="contracts")
        found: dict[date, dict[tuple[str, str, date, str], int]] = {}
        for row in sizes.to_dict("records"):
            group = (row["symbol"], row["root"], row["expiration"], row["type"])
            found.setdefault(row["quote_date"], {})[group] = int(row["contracts"])
        return found

    @cached_property
    def _bars(self) -> pd.DataFrame:
        bars = pd.read_parquet(self._bars_file)
        bars["preference"] = bars["source"].map(BAR_SOURCES.index)
        return bars.sort_values(["date", "preference"])

    def settlement(self, contract: Contract) -> Decimal | None:
        """The level that decides what a contract is worth at its expiration."""
        symbol = UNDERLYING.get(contract.root, contract.root)
        day = contract.expiration
        bars = self._bars[(self._bars["symbol"] == symbol) & (self._bars["date"] <= day)]
        if len(bars):
            last = bars[bars["date"] == bars["date"].max()].iloc[0]
            return exact(last[SETTLING_PRICE.get(contract.root, "close")])
        chain = self.chains[(self.chains["symbol"] == symbol) & (self.chains["quote_date"] <= day)]
        if chain.empty:
            return None
        return exact(chain[chain["quote_date"] == chain["quote_date"].max()]["underlying"].iloc[0])


@lru_cache(maxsize=2)
def _read(chains: Path, bars: Path) -> Raw:
    return Raw(chains, bars)


def exact(value: float) -> Decimal:
    """The price a float stands for; four places hold every price of these files."""
    return round(Decimal(repr(float(value))), 4)


def new_york_day(moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(NEW_YORK).date()


def discrepancies(
    report: Report, chains: Path, bars: Path, *, universe: frozenset[str] | None = None
) -> list[str]:
    """Return every figure of the report that the raw files do not bear out.

    `universe` is what the run was told to look at; by default all that the chains hold.
    """
    raw = _read(chains, bars)
    return [
        *_each(report["recommendations"], lambda shown: _recommendation(shown, raw)),
        *_each(report["trades"], lambda trade: _trade(trade, report, raw)),
        *(
            f"scan {scan['session']} {scan['scan']}: {what}"
            for scan in report["scans"]
            for what in _scan(scan, raw, universe or raw.names)
        ),
        *_performance(report),
    ]


def _each(
    rows: list[dict[str, Any]], check: Callable[[dict[str, Any]], Iterator[str]]
) -> Iterator[str]:
    for row in rows:
        yield from (f"{row['id']}: {what}" for what in check(row))


def _differs(name: str, said: object, found: Decimal | None) -> Iterator[str]:
    if said is None or found is None or Decimal(str(said)) != found:
        yield f"{name} is said to be {said}, the raw files give {found}"


def _recommendation(shown: Mapping[str, Any], raw: Raw) -> Iterator[str]:
    """Quotes, underlying, credits and dollars of what was shown."""
    day = date.fromisoformat(shown["session"])
    quotes = {quote["symbol"]: quote for quote in shown["quotes"]}
    if sorted(quotes) != sorted(leg["symbol"] for leg in shown["legs"]):
        yield f"quotes of {sorted(quotes)} are not those of its legs"
        return
    natural, mid = Decimal(0), Decimal(0)
    for leg in shown["legs"]:
        found = raw.quote(day, Contract.read(leg["symbol"]))
        if found is None:
            yield f"{leg['symbol']} is not in the chain of {day}"
            return
        quote = quotes[leg["symbol"]]
        yield from _differs(f"{leg['symbol']} bid", quote["bid"], found.bid)
        yield from _differs(f"{leg['symbol']} ask", quote["ask"], found.ask)
        yield from _differs("underlying price", shown["underlying_price"], found.underlying)
        natural += leg["ratio"] * (found.bid if leg["side"] == "sell" else -found.ask)
        mid += SIGN[leg["side"]] * leg["ratio"] * found.mid
    yield from _differs("natural credit", shown["natural_credit"], natural)
    yield from _dollars_shown(shown, mid)


def _dollars_shown(shown: Mapping[str, Any], mid: Decimal) -> Iterator[str]:
    target, floor = Decimal(shown["target_credit"]), Decimal(shown["floor_credit"])
    if not floor <= target <= mid:
        yield f"floor {floor}, target {target} and mid {mid} are out of order"
    strikes = [Contract.read(leg["symbol"]).strike for leg in shown["legs"]]
    units = shown["contracts"] * MULTIPLIER
    loss = (max(strikes) - min(strikes) - floor) * units
    yield from _differs("maximum loss", shown["max_loss_usd"], loss)
    yield from _differs("maximum profit", shown["max_profit_usd"], target * units)


def _trade(trade: Mapping[str, Any], report: Report, raw: Raw) -> Iterator[str]:
    """Entry, exit, fees and result of a trade, and that it is what was approved."""
    yield from _is_as_approved(trade, report)
    opened = new_york_day(trade["entry_time"])
    yield from _filled(trade, "entry", opened, raw)
    yield from _net(trade, "entry", trade["entry_credit"])
    last = date.fromisoformat(report["sessions"][-1])
    expirations = [Contract.read(leg["symbol"]).expiration for leg in trade["legs"]]
    if trade["status"] != "closed":
        # What expires in the last session is posted by the broker on the day after.
        if min(expirations) < last:
            yield f"still {trade['status']} although it expired on {min(expirations)}"
        return
    settled = trade["exit_reason"] in ("expired", "assigned")
    if settled:
        yield from _settled(trade, raw)
    else:
        yield from _filled(trade, "exit", new_york_day(trade["exit_time"]), raw)
    yield from _net(trade, "exit", trade["exit_debit"])
    yield from _result(trade, Decimal(report["fee_per_contract"]), sides=1 if settled else 2)


def _is_as_approved(trade: Mapping[str, Any], report: Report) -> Iterator[str]:
    shown = {row["id"]: row for row in report["recommendations"]}.get(trade["recommendation_id"])
    if shown is None or (shown["decision"] or {}).get("verdict") != "approve":
        yield "nobody approved it"
        return
    legs = [(leg["symbol"], leg["side"], leg["ratio"]) for leg in trade["legs"]]
    if legs != [(leg["symbol"], leg["side"], leg["ratio"]) for leg in shown["legs"]]:
        yield f"legs {legs} are not those approved"
    if not 0 < trade["contracts"] <= shown["contracts"]:
        yield f"{trade['contracts']} contracts, {shown['contracts']} were approved"
    if Decimal(trade["entry_credit"]) < Decimal(shown["floor_credit"]):
        yield f"credit {trade['entry_credit']} is below the floor {shown['floor_credit']}"
    if not shown["decision"]["at"] <= trade["entry_time"] < shown["expires_at"]:
        yield f"entered at {trade['entry_time']}, outside its approval"


def _filled(trade: Mapping[str, Any], when: str, day: date, raw: Raw) -> Iterator[str]:
    """Prices lie inside the raw bid and ask of the day, which are the ones the report names."""
    for leg in trade["legs"]:
        found = raw.quote(day, Contract.read(leg["symbol"]))
        if found is None:
            yield f"{when} of {leg['symbol']} on {day}, where the chain does not have it"
            continue
        name = f"{when} of {leg['symbol']}"
        yield from _differs(f"{name}, bid", leg[f"{when}_bid"], found.bid)
        yield from _differs(f"{name}, ask", leg[f"{when}_ask"], found.ask)
        if not found.bid <= Decimal(leg[f"{when}_price"]) <= found.ask:
            yield f"{name} at {leg[f'{when}_price']} is outside {found.bid} to {found.ask}"


def _settled(trade: Mapping[str, Any], raw: Raw) -> Iterator[str]:
    for leg in trade["legs"]:
        contract = Contract.read(leg["symbol"])
        level = raw.settlement(contract)
        worth = None if level is None else contract.worth(level)
        yield from _differs(f"{leg['symbol']} settled at {level}", leg["exit_price"], worth)
        if new_york_day(trade["exit_time"]) < contract.expiration:
            yield f"settled at {trade['exit_time']}, before {contract.expiration}"


def _net(trade: Mapping[str, Any], when: str, said: str | None) -> Iterator[str]:
    prices = [(leg, Decimal(leg[f"{when}_price"])) for leg in trade["legs"]]
    net = sum((SIGN[leg["side"]] * leg["ratio"] * price for leg, price in prices), Decimal(0))
    yield from _differs(f"{when} net of its legs", said, net)


def _result(trade: Mapping[str, Any], fee: Decimal, *, sides: int) -> Iterator[str]:
    """P/L = sum over legs of sign x (entry - exit) x ratio x contracts x 100, less the fees."""
    ratios = sum(leg["ratio"] for leg in trade["legs"])
    fees = fee * ratios * trade["contracts"] * sides
    yield from _differs("fees", trade["fees"], fees)
    earned = sum(
        (
            SIGN[leg["side"]]
            * (Decimal(leg["entry_price"]) - Decimal(leg["exit_price"]))
            * leg["ratio"]
            for leg in trade["legs"]
        ),
        Decimal(0),
    )
    result = (earned * trade["contracts"] * MULTIPLIER - fees).quantize(CENT)
    yield from _differs("P/L", trade["pnl"], result)


def _scan(scan: Mapping[str, Any], raw: Raw, universe: frozenset[str]) -> Iterator[str]:
    """Every pair of every underlying that was not refused as a whole is kept or refused."""
    rows = scan["expirations"]
    accepted = {row["underlying"] for row in rows}
    listed = raw.group_sizes.get(date.fromisoformat(scan["session"]), {})
    sizes = {group: n for group, n in listed.items() if group[0] in accepted}
    said = {
        (
            row["underlying"],
            row["root"],
            date.fromisoformat(row["expiration"]),
            row["right"],
        ): row
        for row in rows
    }
    if len(said) != len(rows):
        yield "an expiration is listed twice"
    for group in sorted(sizes.keys() ^ said.keys()):
        yield f"{group} is only in {'the raw file' if group in sizes else 'the report'}"
    for group in sizes.keys() & said.keys():
        row, pairs = said[group], sizes[group] * (sizes[group] - 1) // 2
        if (row["legs"], row["considered"]) != (sizes[group], pairs):
            yield f"{group}: {row['legs']} legs, {row['considered']} pairs; raw {pairs} pairs"
        if row["kept"] + row["refused"] != row["considered"]:
            yield f"{group}: {row['kept']} kept + {row['refused']} refused of {row['considered']}"
    considered = sum(n * (n - 1) // 2 for n in sizes.values())
    if scan["considered"] != considered:
        yield f"considered {scan['considered']}, the raw file has {considered} pairs"
    told = scan["kept"] + sum(scan["refused"].values())
    if told != scan["considered"]:
        yield f"kept and refused make {told} of {scan['considered']} considered"
    whole = sum(scan["underlyings_refused"].values())
    if whole + len(accepted) != len(universe):
        yield f"{len(accepted)} underlyings screened + {whole} refused of {len(universe)}"


def _performance(report: Report) -> Iterator[str]:
    """Realised results by session, and equity on the evenings without a position."""
    start = Decimal(report["equity_start"])
    closed = [
        (new_york_day(t["exit_time"]), Decimal(t["pnl"])) for t in report["trades"] if t["pnl"]
    ]
    for row in report["performance"]:
        session = date.fromisoformat(row["session"])
        today = sum((pnl for day, pnl in closed if day == session), Decimal(0))
        yield from _differs(f"{session}: realised", row["realised_pnl"], today)
        if row["open_trades"] == 0:
            earned = sum((pnl for day, pnl in closed if day <= session), Decimal(0))
            yield from _differs(f"{session}: equity", row["equity"], start + earned)


def main(arguments: list[str]) -> int:
    """Print what was checked and what does not hold."""
    if len(arguments) != 3:
        sys.stderr.write("usage: recomputation.py REPORT.json CHAINS.parquet BARS.parquet\n")
        return 2
    report = json.loads(Path(arguments[0]).read_text())
    found = discrepancies(report, Path(arguments[1]), Path(arguments[2]))
    closed = [trade for trade in report["trades"] if trade["status"] == "closed"]
    pnl = sum((Decimal(trade["pnl"]) for trade in closed), Decimal(0))
    pairs = sum(scan["considered"] for scan in report["scans"])
    sys.stdout.write(
        f"{len(report['recommendations'])} recommendations, {len(report['trades'])} trades, "
        f"{len(closed)} closed for {pnl}, {pairs} pairs in {len(report['scans'])} scans: "
        f"{len(found)} discrepancies\n"
    )
    sys.stdout.writelines(f"  {what}\n" for what in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
