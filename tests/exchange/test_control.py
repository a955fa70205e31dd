"""The client of the control routes: what it moves, and what it says when nobody answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mahler_pipelines.errors import BadInput, BrokerUnavailable
from mahler_pipelines.exchange.control import ExchangeControl
from mahler_pipelines.exchange.engine import Exchange, ExchangeTerms
from mahler_pipelines.exchange.wire.app import build_wire
from tests.doubles.alpaca import AlpacaDouble, Answer, Manner
from tests.exchange.fakes import OPENING, HandMadeMarket
from tests.exchange.serving import served


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ExchangeControl]:
    exchange = Exchange(HandMadeMarket(), tmp_path, ExchangeTerms(start_at=OPENING))
    with served(build_wire(exchange)) as url:
        yield ExchangeControl(url)


def test_the_clock_stands_and_moves_on_request(control: ExchangeControl) -> None:
    assert control.now() == OPENING
    later = OPENING + timedelta(hours=1)
    assert control.advance_to(later)["now"] == control.status()["now"]
    assert control.now() == later
    assert control.now().tzinfo is not None
    assert control.advance_to(later)["is_open"]


@pytest.mark.parametrize("by", [timedelta(minutes=-1), timedelta(days=-1), timedelta(days=3650)])
def test_a_moment_that_cannot_be_is_refused_and_the_clock_stays(
    control: ExchangeControl, by: timedelta
) -> None:
    with pytest.raises(BadInput) as raised:
        control.advance_to(OPENING + by)
    assert raised.value.parameter == "clock"
    assert str((OPENING + by).year) in str(raised.value)
    assert control.now() == OPENING


def test_a_rate_lets_the_clock_run(control: ExchangeControl) -> None:
    assert control.set_rate(0.0)["rate"] == 0.0
    assert control.set_rate(3600.0)["rate"] == 3600.0
    control.set_rate(0.0)
    assert control.now() >= OPENING
    with pytest.raises(BadInput):
        control.set_rate(-1.0)


def test_the_journal_is_oldest_first_and_as_long_as_asked(control: ExchangeControl) -> None:
    for _ in range(3):
        control.status()
    rows = control.journal(2)
    assert len(rows) == 2
    assert [row["path"] for row in control.journal()][:3] == ["/control/status"] * 3
    with pytest.raises(BadInput) as raised:
        control.journal(0)
    assert "limit" in str(raised.value)


@contextmanager
def answering(answer: Answer) -> Iterator[ExchangeControl]:
    with AlpacaDouble() as double:
        double.on("GET", "/control/status", answer)
        double.on("POST", "/control/clock", answer)
        yield ExchangeControl(double.url)


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"code": 50010000, "message": "it broke"}, 500),
        Answer(b"<html>bad gateway</html>", 502),
        Answer(b"", 503),
        Answer(b"not json"),
        Answer({"now": "2026"}, manner=Manner.TRUNCATED),
        Answer(manner=Manner.HANG_UP),
    ],
    ids=["500", "html", "empty 503", "no json", "half an answer", "hung up"],
)
def test_an_exchange_that_breaks_is_unavailable_and_no_bad_input(answer: Answer) -> None:
    """A caller must be able to tell its own mistake from an exchange that fell over."""
    with answering(answer) as control:
        with pytest.raises(BrokerUnavailable, match="the exchange at http"):
            control.status()
        with pytest.raises(BrokerUnavailable):
            control.advance_to(OPENING)


def test_what_broke_is_told() -> None:
    with answering(Answer({"message": "it broke"}, 500)) as control:
        with pytest.raises(BrokerUnavailable, match="500 it broke") as raised:
            control.status()
        assert raised.value.status == 500


@pytest.mark.parametrize("body", [b"plain words", b"[]", b'{"no": "message"}'])
def test_a_refusal_in_any_form_is_told_as_it_came(body: bytes) -> None:
    with (
        answering(Answer(body, 422)) as control,
        pytest.raises(BadInput, match=body.decode()[:5].replace("[", r"\[").replace("{", r"\{")),
    ):
        control.advance_to(OPENING)


def test_a_port_nobody_listens_on_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(BrokerUnavailable, match=f"{port} does not answer"):
        ExchangeControl(f"http://127.0.0.1:{port}").now()


def test_a_proxy_of_the_environment_is_not_asked(
    control: ExchangeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert control.now() == OPENING
