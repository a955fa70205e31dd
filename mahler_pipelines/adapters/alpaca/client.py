"""One door to Alpaca's REST interface: clients, timeouts, retries of reads, and its errors.

alpaca-py waits for ever and repeats a POST by itself after 429 and 504; here every request has a
timeout, a write is sent once, and only reads are repeated. Its session is not safe across threads,
so each thread has its own clients. The package is imported when the first client is made. Where
there is a request budget, every request takes its turn in it, and every answer informs it.
"""

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tenacity

from mahler_pipelines.adapters.alpaca import errors
from mahler_pipelines.adapters.alpaca.turns import LONGEST_WAITS, Turns
from mahler_pipelines.adapters.alpaca.wire_models import Page, read_as
from mahler_pipelines.errors import BrokerUnavailable
from mahler_pipelines.execution.request_budget import Api, RequestBudget, Urgency

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient
    from requests import Response

_log = logging.getLogger(__name__)

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class AlpacaConnection:
    """Where Alpaca is, who asks, and how patiently.

    URLs are scheme, host and port only, for the local exchange; None means Alpaca itself. The wait
    between attempts of a read doubles from `first_wait_seconds` up to `longest_wait_seconds`.
    `budget` is what all processes send together, None where nobody counts; `longest_turns` says how
    long a request waits for its turn there.
    """

    key_id: str
    secret_key: str = field(repr=False)
    paper: bool = True
    trading_url: str | None = None
    data_url: str | None = None
    connect_seconds: float = 5.0
    answer_seconds: float = 15.0
    read_attempts: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 8.0
    budget: RequestBudget | None = field(default=None, repr=False)
    longest_turns: Mapping[Urgency, float] = field(
        default_factory=lambda: LONGEST_WAITS, repr=False
    )


class AlpacaClients:
    """The clients of one connection, made once per thread."""

    def __init__(self, connection: AlpacaConnection) -> None:
        self._connection = connection
        self._of_thread = threading.local()
        self._turns = Turns(connection.budget, connection.longest_turns)
        self._all: weakref.WeakSet[RESTClient] = weakref.WeakSet()
        self._again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(connection.read_attempts),
            wait=tenacity.wait_exponential(
                multiplier=connection.first_wait_seconds, max=connection.longest_wait_seconds
            ),
            retry=tenacity.retry_if_exception_type(errors.Transient),
            reraise=True,
        )

    def trading(self) -> "RESTClient":
        """This thread's client of accounts, orders, contracts and the clock."""
        return self._client("trading", self._make_trading)

    def options(self) -> "RESTClient":
        """This thread's client of option data."""
        return self._client("options", self._make_options)

    def stocks(self) -> "RESTClient":
        """This thread's client of share data."""
        return self._client("stocks", self._make_stocks)

    def corporate_actions(self) -> "RESTClient":
        """This thread's client of corporate actions."""
        return self._client("corporate_actions", self._make_corporate_actions)

    def read(
        self,
        client: "RESTClient",
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        urgency: Urgency = Urgency.LOOK,
    ) -> Any:
        """GET a path, again after 408, 429, 5xx, timeouts, broken connections and broken answers.

        Raises `BrokerUnavailable` with status and code when there is no answer in the end, and when
        its turn does not come.
        """

        def once() -> Any:
            with self._in_turn(client, urgency, f"GET {path}"), errors.translated_read(path):
                answer = client.get(path, dict(params or {}))
            if answer is None:
                raise errors.Transient(f"GET {path}: the answer is empty")
            return answer

        try:
            return self._again.copy()(once)
        except errors.Transient as error:
            raise BrokerUnavailable(str(error), status=error.status, code=error.code) from error

    def pages(
        self,
        client: "RESTClient",
        path: str,
        params: Mapping[str, Any],
        *,
        urgency: Urgency = Urgency.LOOK,
    ) -> Iterator[Mapping[str, Any]]:
        """GET every page of a path whose answers carry `next_page_token`.

        Raises `BrokerUnavailable` when a page does not answer or the same page is offered twice.
        """
        asked = dict(params)
        seen: set[str] = set()
        while True:
            page = self.read(client, path, asked, urgency=urgency)
            token = read_as(Page, page, what=f"GET {path}").next_page_token
            yield page
            if token is None:
                return
            if token in seen:
                raise BrokerUnavailable(f"GET {path}: page {token} points to itself")
            seen.add(token)
            asked["page_token"] = token

    def write(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request that changes something, once.

        Raises `BrokerRefused` for a definitive refusal and `BrokerOutcomeUnknown` when the request
        may have been taken.
        """
        client = self.trading()
        send: dict[str, Callable[[], Any]] = {
            "POST": lambda: client.post(path, dict(body or {})),
            "DELETE": lambda: client.delete(path),
        }
        what = f"{method} {path}"
        with self._in_turn(client, Urgency.ORDER, what), errors.translated_write(method, path):
            return send[method]()

    def close(self) -> None:
        """Close the connections of every thread's clients."""
        for client in tuple(self._all):
            _session(client).close()

    @contextmanager
    def _in_turn(self, client: "RESTClient", urgency: Urgency, what: str) -> Iterator[None]:
        """Wait for a turn, and hand on what the answer says of Alpaca's own count."""
        is_trading = client is getattr(self._of_thread, "trading", None)
        api = Api.TRADING if is_trading else Api.DATA
        turn = self._turns.wait(api, urgency, what=what)
        self._of_thread.told = None
        try:
            yield
        finally:
            if (told := self._of_thread.told) is not None:
                self._turns.learn(api, turn, *told)

    def _client(self, name: str, make: Callable[[], "RESTClient"]) -> "RESTClient":
        known: RESTClient | None = getattr(self._of_thread, name, None)
        if known is not None:
            return known
        client = make()
        self._prepare(client)
        setattr(self._of_thread, name, client)
        self._all.add(client)
        return client

    def _prepare(self, client: "RESTClient") -> None:
        from mahler_pipelines.adapters.alpaca.transport import TimeoutAdapter

        # The client's constructor offers no way to say "never repeat": 0 counts as not given.
        client._retry = 0  # noqa: SLF001
        session = _session(client)
        # alpaca-py keeps status and headers to itself.
        session.hooks["response"].append(self._keep_told)
        timeout = (self._connection.connect_seconds, self._connection.answer_seconds)
        for scheme in ("http://", "https://"):
            session.mount(scheme, TimeoutAdapter(timeout))
        # A proxy of the environment does not reach the local exchange.
        session.trust_env = urlsplit(_base_url(client)).hostname not in _LOOPBACK

    def _keep_told(self, answer: "Response", *_: Any, **__: Any) -> None:
        self._of_thread.told = (answer.status_code, answer.headers)

    def _make_trading(self) -> "RESTClient":
        from alpaca.trading.client import TradingClient

        mine = self._connection
        return TradingClient(
            mine.key_id,
            mine.secret_key,
            paper=mine.paper,
            raw_data=True,
            url_override=mine.trading_url,
        )

    def _make_options(self) -> "RESTClient":
        from alpaca.data.historical.option import OptionHistoricalDataClient

        mine = self._connection
        return OptionHistoricalDataClient(
            mine.key_id, mine.secret_key, raw_data=True, url_override=mine.data_url
        )

    def _make_stocks(self) -> "RESTClient":
        from alpaca.data.historical.stock import StockHistoricalDataClient

        mine = self._connection
        return StockHistoricalDataClient(
            mine.key_id, mine.secret_key, raw_data=True, url_override=mine.data_url
        )

    def _make_corporate_actions(self) -> "RESTClient":
        from alpaca.data.historical.corporate_actions import CorporateActionsClient

        mine = self._connection
        return CorporateActionsClient(
            mine.key_id, mine.secret_key, raw_data=True, url_override=mine.data_url
        )


def _session(client: "RESTClient") -> Any:
    # alpaca-py has no public way to its session, which is where timeouts are set.
    return client._session  # noqa: SLF001


def _base_url(client: "RESTClient") -> str:
    base = client._base_url  # noqa: SLF001
    return str(getattr(base, "value", base))
