"""A process that asks a local exchange as fast as it may: `python -m tests.adapters.hammering`.

Writes one line of JSON: what it got, and how often an order was told to wait.
"""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from mahler_pipelines.adapters.alpaca import AlpacaBroker
from mahler_pipelines.adapters.alpaca.client import AlpacaClients
from mahler_pipelines.errors import BrokerError
from mahler_pipelines.execution.request_budget import Api, RequestLimits, Turn, Urgency
from mahler_pipelines.storage.request_budget import SharedRequestBudget
from tests.adapters.recorded_alpaca import connection_to, order_of
from tests.exchange.fakes import put

EXCHANGE_LIMIT = 60
WINDOW_SECONDS = 2
LIMITS = RequestLimits(trading=54, data=54, reserved=0.25)
ORDERS = 12


@dataclass
class Watched(SharedRequestBudget):
    """The real budget, and a count of the turns that it refused."""

    file: Path
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(self.file, LIMITS, window_seconds=WINDOW_SECONDS)

    def take(self, api: Api, urgency: Urgency) -> Turn:
        turn = super().take(api, urgency)
        self.refused[urgency.value] += not turn.is_mine
        return turn


def scan(clients: AlpacaClients, count: int) -> Counter[str]:
    """Read so often, as a scan does."""
    got: Counter[str] = Counter()
    for _ in range(count):
        try:
            clients.read(clients.trading(), "/clock", urgency=Urgency.SCAN)
            got["answered"] += 1
        except BrokerError as error:
            got[f"status {error.status}"] += 1
    return got


def send_orders(broker: AlpacaBroker) -> Counter[str]:
    """Send resting orders while others scan."""
    got: Counter[str] = Counter()
    for place in range(ORDERS):
        order = order_of(f"order-{place}", put(95), put(90), quantity=1, limit=Decimal("-2.50"))
        try:
            broker.submit(order)
            got["answered"] += 1
        except BrokerError as error:
            got[f"status {error.status}"] += 1
        time.sleep(0.15)
    return got


def main() -> None:
    """Play the role of the command line: `scan` or `orders`, an address, a file or `-`, a count."""
    role, url, file, count = sys.argv[1:]
    budget = None if file == "-" else Watched(Path(file))
    connection = replace(connection_to(url), budget=budget, read_attempts=1)
    if role == "scan":
        clients = AlpacaClients(connection)
        got = scan(clients, int(count))
        clients.close()
    else:
        broker = AlpacaBroker(connection)
        got = send_orders(broker)
        broker.close()
    if budget is not None:
        budget.close()
    refused = {} if budget is None else dict(budget.refused)
    sys.stdout.write(json.dumps({"got": dict(got), "waited": refused}) + "\n")


if __name__ == "__main__":
    main()
