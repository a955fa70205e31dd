"""What every test shares: no network beyond loopback, and where the repository's things are."""

import ipaddress
import signal
import socket
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.wire_gate import pytest_configure  # noqa: F401 judges the wire of the whole run

# How long an example takes says how busy the machine is; speed is shown in benchmarks/.
hypothesis.settings.register_profile("mahler", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("mahler")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it runs in the background. Dagster would map SIGTERM to the same, and
    # every program that a test starts would inherit both.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]


class NetworkRefused(RuntimeError):
    """A test tried to leave this machine."""


_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _refuse_beyond_loopback(sock: socket.socket, address: Any) -> None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0])
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NetworkRefused(f"tests stay on loopback; {host}:{address[1]} was asked for")


def _guarded_connect(self: socket.socket, address: Any) -> None:
    _refuse_beyond_loopback(self, address)
    _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    _refuse_beyond_loopback(self, address)
    return _connect_ex(self, address)


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Any:
    """Refuse sockets to other machines, so that no test can reach a vendor by mistake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded_connect)
        patch.setattr(socket.socket, "connect_ex", _guarded_connect_ex)
        yield


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """Return the folder that holds pyproject.toml."""
    return ROOT


def _shared(name: str) -> Path:
    folder = ROOT.parent / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"../shared/{name} is not there")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded market data beside the repository, or skip."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_specs() -> Path:
    """Return the folder of the vendors' specifications beside the repository, or skip."""
    return _shared("specs")
