"""Which prices an order may have: cents, or the increments of its class where asked for."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.increments import Increments, increment, is_in_penny_program
from mahler_pipelines.exchange.instruments import option_contract
from mahler_pipelines.exchange.wire.app import build_wire
from mahler_pipelines.exchange.wire.errors import WireRefusal
from tests.exchange.fakes import FAR, OPENING, HandMadeMarket, exchange_on, put
from tests.exchange.orders import leg, send, single, spread

SHARE_OPTION = put(95)
INDEX_OPTION = put(95, FAR, "SPXW")


@pytest.mark.parametrize(
    ("root", "price", "step"),
    [
        ("XYZ", "0.40", "0.01"),
        ("XYZ", "7.00", "0.01"),
        ("XSP", "7.00", "0.01"),
        ("SPXW", "2.99", "0.05"),
        ("SPX", "3.00", "0.10"),
    ],
)
def test_a_class_has_its_increment(root: str, price: str, step: str) -> None:
    contract = option_contract(put(95, FAR, root))
    assert contract is not None
    assert increment(contract, Decimal(price)) == Decimal(step)
    assert is_in_penny_program(contract) is (step == "0.01")


@pytest.mark.parametrize(
    ("body", "refused_by"),
    [
        (single(INDEX_OPTION, "buy", "0.40"), ()),
        (single(INDEX_OPTION, "buy", "0.41"), (Increments.CLASS,)),
        (single(INDEX_OPTION, "buy", "3.05"), (Increments.CLASS,)),
        (
            single(INDEX_OPTION, "buy", "4.00") | {"type": "stop_limit", "stop_price": "3.95"},
            (Increments.CLASS,),
        ),
        (single(SHARE_OPTION, "buy", "0.41"), ()),
        (single(SHARE_OPTION, "buy", "0.411"), tuple(Increments)),
        (single("XYZ", "buy", "99.97"), ()),
        (single("XYZ", "buy", "99.971"), tuple(Increments)),
        (single("XYZ", "buy", "0.9971"), ()),
        (single("XYZ", "buy", "0.99711"), tuple(Increments)),
        (
            spread(
                [leg(INDEX_OPTION, "sell", "open"), leg(put(90, FAR, "SPXW"), "buy", "open")],
                "-0.41",
            ),
            (),
        ),
    ],
)
@pytest.mark.parametrize("increments", list(Increments))
def test_a_price_between_increments_is_refused(
    tmp_path: Path, body: dict[str, Any], refused_by: tuple[Increments, ...], increments: Increments
) -> None:
    terms = ExchangeTerms(start_at=OPENING, increments=increments)
    with exchange_on(HandMadeMarket(), tmp_path, terms) as exchange:
        if increments not in refused_by:
            send(exchange, body)
            return
        with pytest.raises(WireRefusal, match=r"invalid (limit|stop)_price") as raised:
            send(exchange, body)
        assert (raised.value.status, raised.value.code) == (422, 42210000)


def test_the_contract_says_whether_its_class_is_in_the_program(tmp_path: Path) -> None:
    keys = {"APCA-API-KEY-ID": "local-main", "APCA-API-SECRET-KEY": "local-secret"}
    exchange = Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))
    with TestClient(build_wire(exchange), headers=keys) as client:
        said = {
            symbol: client.get(f"/v2/options/contracts/{symbol}").json()["ppind"]
            for symbol in (SHARE_OPTION, INDEX_OPTION)
        }
        assert said == {SHARE_OPTION: True, INDEX_OPTION: False}
        every = {"expiration_date_lte": "2027-01-31", "limit": "1000"}
        for wanted, roots in (("true", {"XYZ"}), ("false", {"SPX", "SPXW"})):
            page = client.get("/v2/options/contracts", params=every | {"ppind": wanted}).json()
            assert {row["root_symbol"] for row in page["option_contracts"]} == roots
