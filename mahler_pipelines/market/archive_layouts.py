"""Layouts of archived market data: recognised by their header, brought to one set of columns.

Nothing is judged here: a layout only says where a vendor keeps what. Values stay as they came.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum

import pandas as pd

from mahler_pipelines.options.contracts import INDEX_ROOTS, underlying_of

QUOTE_FIELDS = (
    "row_number",
    "quote_date",
    "read_time",
    "underlying",
    "root",
    "expiration",
    "right",
    "strike",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "last",
    "volume",
    "open_interest",
    "underlying_price",
    "nonstandard",
)
"""Columns of a chain after its layout was undone: one row per contract, values unparsed.

`read_time` orders several snapshots of one day; `nonstandard` marks a deliverable that is not 100
shares. A field that the vendor does not give is all missing.
"""


class Layout(StrEnum):
    """The layouts that can be ingested."""

    CHAIN = "chain"
    OPTIONSDX = "optionsdx"
    CBOE_1545 = "cboe_datashop_1545"
    CBOE_EOD = "cboe_datashop_eod"
    OPTIONMETRICS = "optionmetrics"
    DAILY_BARS = "daily_bars"
    VOLATILITY_INDICES = "volatility_indices"
    VOLATILITY_INDEX_BARS = "volatility_index_bars"
    RATES = "rates"

    @property
    def is_chain(self) -> bool:
        """Whether rows are option quotes."""
        return self in _CHAIN_READERS

    @property
    def minutes_before_close(self) -> int:
        """When the quotes were taken: minutes before the session's close.

        Cboe's 15:45 snapshot is taken a quarter of an hour before the close, early closes too.
        """
        return 15 if self is Layout.CBOE_1545 else 1


VOLATILITY_INDICES = frozenset(
    {
        *("VIX", "VIX1D", "VIX9D", "VIX3M", "VIX6M", "VIX1Y", "VXV", "VXN", "VXD", "VVIX", "SKEW"),
        *("OVX", "GVZ", "RVX", "VXAP", "VXAZ", "VXGO", "VXGS", "VXIB", "VXEEM", "VXSL", "VXTLT"),
    }
)
"""Names by which a table of volatility indices, or one index's history, is recognised."""

RATES = frozenset(
    {"DFF", "EFFR", "SOFR", "DTB3", "DTB4WK", "DTB6", "DGS1MO", "DGS3MO", "DGS6MO", "DGS1", "DGS2"}
)
"""FRED's names of short rates, in percent."""

_CHAIN = {"quote_date", "symbol", "root", "expiration", "type", "strike", "bid", "ask"}
_OPTIONSDX = {"quote_date", "expire_date", "strike", "c_bid", "c_ask", "p_bid", "p_ask"}
_CBOE = {"underlying_symbol", "quote_date", "root", "expiration", "strike", "option_type"}
_OPTIONMETRICS = {"date", "exdate", "cp_flag", "strike_price", "best_bid", "best_offer"}
_BARS = {"open", "high", "low", "close"}
_DATES = ("date", "observation_date", "session")


def normalise_header(columns: Sequence[str]) -> list[str]:
    """Return column names in lower case, without brackets, quotes, surrounding space or BOM."""
    return [re.sub(r"[\[\]\"\ufeff]", "", str(name)).strip().lower() for name in columns]


def recognise(columns: Sequence[str], name: str) -> Layout | None:
    """Return the layout of a table with these columns, or None.

    `name` is the file's name: a history of one series is told from bars of a share by it.
    """
    header = set(normalise_header(columns))
    if header >= _OPTIONSDX:
        return Layout.OPTIONSDX
    if header >= _CBOE:
        if {"bid_1545", "ask_1545"} <= header:
            return Layout.CBOE_1545
        return Layout.CBOE_EOD if {"bid_eod", "ask_eod"} <= header else None
    if header >= _OPTIONMETRICS and ("symbol" in header or "ticker" in header):
        return Layout.OPTIONMETRICS
    if header >= _CHAIN:
        return Layout.CHAIN
    return _recognise_series(header, name)


def _recognise_series(header: set[str], name: str) -> Layout | None:
    if not header & set(_DATES):
        return None
    names = {column.upper() for column in header}
    if header >= _BARS:
        one_index = "symbol" not in header and name_in_file(name) in VOLATILITY_INDICES
        return Layout.VOLATILITY_INDEX_BARS if one_index else Layout.DAILY_BARS
    if names & VOLATILITY_INDICES:
        return Layout.VOLATILITY_INDICES
    return Layout.RATES if names & RATES else None


def name_in_file(name: str) -> str:
    """Return the symbol that a file's name starts with: spx_eod_2023.csv.gz -> SPX."""
    return re.split(r"[._\- ]", name.rsplit("/", 1)[-1], maxsplit=1)[0].upper()


def quote_fields(table: pd.DataFrame, layout: Layout, name: str) -> pd.DataFrame:
    """Return `QUOTE_FIELDS` of a chain, one row per contract and file row.

    `table` has normalised column names and a `row_number`; `name` is the file's name.
    """
    fields = _CHAIN_READERS[layout](table, name)
    return fields.reindex(columns=list(QUOTE_FIELDS))


def _pick(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    present = {field: table[column] for field, column in names.items() if column in table.columns}
    return pd.DataFrame(present, index=table.index)


def _chain(table: pd.DataFrame, _: str) -> pd.DataFrame:
    same = ("row_number", "quote_date", "root", "expiration", "strike", "bid", "ask", "bid_size")
    rest = ("ask_size", "last", "volume", "open_interest")
    names = {field: field for field in (*same, *rest)}
    return _pick(
        table, names | {"underlying": "symbol", "right": "type", "underlying_price": "underlying"}
    )


def _optionsdx(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Undo one row per strike with a call and a put side; the file's name is the underlying."""
    sides = [_optionsdx_side(table, letter) for letter in ("C", "P")]
    fields = pd.concat(sides, ignore_index=True)
    fields["underlying"] = fields["root"] = name_in_file(name)
    return fields


def _optionsdx_side(table: pd.DataFrame, letter: str) -> pd.DataFrame:
    prefix = f"{letter.lower()}_"
    names = {"row_number": "row_number", "quote_date": "quote_date", "expiration": "expire_date"}
    names |= {"strike": "strike", "underlying_price": "underlying_last"}
    names |= {"read_time": "quote_time_hours"}
    names |= {field: prefix + field for field in ("bid", "ask", "last", "volume")}
    side = _pick(table, names)
    side["right"] = letter
    if prefix + "size" in table.columns:
        sizes = table[prefix + "size"].astype("str").str.extract(r"^\s*(\d+)\s*[xX]\s*(\d+)\s*$")
        side["bid_size"], side["ask_size"] = sizes[0], sizes[1]
    return side


def _cboe(moment: str) -> Callable[[pd.DataFrame, str], pd.DataFrame]:
    def read(table: pd.DataFrame, _: str) -> pd.DataFrame:
        names = {field: field for field in ("row_number", "quote_date", "root", "expiration")}
        names |= {"strike": "strike", "right": "option_type", "underlying": "underlying_symbol"}
        names |= {"last": "close", "volume": "trade_volume", "open_interest": "open_interest"}
        names |= {side: f"{side}_{moment}" for side in ("bid", "ask", "bid_size", "ask_size")}
        fields = _pick(table, names)
        fields["underlying_price"] = _cboe_underlying(table, moment)
        if "delivery_code" in table.columns:
            code = table["delivery_code"].astype("str").str.strip().str.lower()
            fields["nonstandard"] = ~code.isin(["", "nan", "none", "0"]) & code.notna()
        return fields

    return read


def _cboe_underlying(table: pd.DataFrame, moment: str) -> pd.Series:
    """The price that is active at the snapshot, else the mid of the underlying's two sides."""
    number = pd.DataFrame(
        {
            field: pd.to_numeric(table[f"{field}_{moment}"], errors="coerce")
            for field in ("active_underlying_price", "underlying_bid", "underlying_ask")
            if f"{field}_{moment}" in table.columns
        },
        index=table.index,
        dtype="float64",
    )
    positive = number.where(number > 0).reindex(
        columns=["active_underlying_price", "underlying_bid", "underlying_ask"]
    )
    mid = (positive["underlying_bid"] + positive["underlying_ask"]) / 2
    return positive["active_underlying_price"].fillna(mid)


def _optionmetrics(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Strikes are in thousandths; the root is the first word of an OSI symbol, else the ticker."""
    names = {"row_number": "row_number", "quote_date": "date", "expiration": "exdate"}
    names |= {"right": "cp_flag", "bid": "best_bid", "ask": "best_offer"}
    names |= {"last": "last", "volume": "volume", "open_interest": "open_interest"}
    fields = _pick(table, names)
    for column in ("underlying_price", "spot_price", "underlying_last"):
        if column in table.columns:
            fields["underlying_price"] = table[column]
    thousandths = pd.to_numeric(table["strike_price"], errors="coerce")
    fields["strike"] = thousandths / 1000
    fields["root"] = _optionmetrics_root(table)
    ticker = table.get("ticker")
    fields["underlying"] = fields["root"].map(underlying_of, na_action="ignore")
    if ticker is not None:
        index_root = fields["root"].isin(list(INDEX_ROOTS))
        fields["underlying"] = fields["underlying"].where(index_root, ticker)
    fields["nonstandard"] = _optionmetrics_nonstandard(table)
    return fields


def _optionmetrics_root(table: pd.DataFrame) -> pd.Series:
    ticker = table.get("ticker", pd.Series(None, index=table.index, dtype="str"))
    if "symbol" not in table.columns:
        return ticker
    # Before 2010 symbols were OPRA codes (ZQN.AB) whose letters are no root of today's kind.
    osi = table["symbol"].astype("str").str.extract(r"^\s*(\S+)\s+\d{6}[CP]\d+\s*$")[0]
    return osi.fillna(ticker)


def _optionmetrics_nonstandard(table: pd.DataFrame) -> pd.Series:
    odd = pd.Series(False, index=table.index)
    if "ss_flag" in table.columns:
        odd |= pd.to_numeric(table["ss_flag"], errors="coerce").fillna(0) != 0
    if "contract_size" in table.columns:
        odd |= ~pd.to_numeric(table["contract_size"], errors="coerce").fillna(100).eq(100)
    return odd


_CHAIN_READERS: dict[Layout, Callable[[pd.DataFrame, str], pd.DataFrame]] = {
    Layout.CHAIN: _chain,
    Layout.OPTIONSDX: _optionsdx,
    Layout.CBOE_1545: _cboe("1545"),
    Layout.CBOE_EOD: _cboe("eod"),
    Layout.OPTIONMETRICS: _optionmetrics,
}


def date_column(columns: Sequence[str]) -> str:
    """Return which of a series table's columns holds the date."""
    return next(name for name in _DATES if name in columns)
