"""Run the local exchange: `python -m mahler_pipelines.exchange --market sim:7 --state DIR`."""

import argparse
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.exchange.accounts import LOCAL_CREDENTIALS, Credentials
from mahler_pipelines.exchange.faults import NO_FAULTS, read_faults
from mahler_pipelines.exchange.increments import Increments
from mahler_pipelines.exchange.matching import FeeSchedule
from mahler_pipelines.exchange.server import DEFAULT_EQUITY, build_app, open_market, serve
from mahler_pipelines.exchange.wire.app import REQUESTS_PER_MINUTE


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, serve until stopped, and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.die_with_parent:
        from mahler_pipelines.exchange.process import die_with_parent

        die_with_parent(options.die_with_parent)
    try:
        faults = NO_FAULTS if options.faults is None else read_faults(options.faults)
        app = build_app(
            open_market(options.market, name=options.name),
            options.state,
            accounts=options.account or (LOCAL_CREDENTIALS,),
            start_at=options.start,
            starting_equity=options.equity,
            fees=FeeSchedule(per_contract=options.fee),
            faults=faults,
            requests_per_minute=options.requests_per_minute,
            increments=options.ticks,
            record=options.record,
        )
    except MahlerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    serve(app, options.state, port=options.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mahler_pipelines.exchange", description=__doc__)
    parser.add_argument("--market", required=True, help="sim:SEED or archive:LAKE_ROOT")
    parser.add_argument("--state", required=True, type=Path, help="folder of accounts and clock")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--equity", type=Decimal, default=DEFAULT_EQUITY)
    parser.add_argument(
        "--fee", type=Decimal, default=Decimal("0.00"), help="dollars per contract and fill"
    )
    parser.add_argument("--start", type=datetime.fromisoformat, help="ISO moment of a new clock")
    parser.add_argument(
        "--requests-per-minute", type=int, default=REQUESTS_PER_MINUTE, help="429 beyond"
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON rules of faults to play")
    parser.add_argument(
        "--ticks",
        type=Increments,
        choices=list(Increments),
        default=Increments.PENNY,
        help="price increments that orders must keep to: cents, or those of the contract's class",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="write every request and answer there"
    )
    parser.add_argument("--name", help="name of an archived market, its book")
    parser.add_argument(
        "--account", type=Credentials.parse, action="append", help="key_id:secret:account_name"
    )
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
