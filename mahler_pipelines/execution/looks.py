"""A look: watch what is open, compare it with the broker, then ask whether opening may go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.execution.desk import ExecutionDesk
from mahler_pipelines.execution.findings import Finding
from mahler_pipelines.execution.halting import halt_if_due
from mahler_pipelines.execution.look_records import note_look
from mahler_pipelines.execution.monitoring import MonitorReport, watch
from mahler_pipelines.execution.reconciliation import reconcile
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.risk.halts import HaltReason, HaltTerms


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen and done, what differs from the broker, and what halted the account anew."""

    report: MonitorReport
    findings: tuple[Finding, ...]
    halted: tuple[HaltReason, ...]


def look(
    desk: ExecutionDesk, *, exits: ExitTerms, halts: HaltTerms, underlyings: Sequence[str]
) -> Look:
    """Watch, reconcile, and halt for what has become due; exits come first and wait for nothing.

    `underlyings` are those whose quotes say whether market data is fresh. A look that fails is
    written down as one that could not compare, judged all the same, and raises what failed it.
    """
    asked = underlyings if halts.stale_data_minutes else ()
    try:
        report = watch(desk, exits=exits)
        findings = reconcile(desk)
    except MahlerError:
        halt_if_due(desk, halts, looked=note_look(desk, None, underlyings=asked))
        raise
    looked = note_look(desk, findings, underlyings=asked)
    return Look(report, findings, halt_if_due(desk, halts, looked=looked))
