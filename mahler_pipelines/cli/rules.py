"""Commands about the playbook: what is proposed and adopted, and a person's word on it."""

import getpass
from typing import Annotated, Any

import typer

from mahler_pipelines.cli.context import load_desk
from mahler_pipelines.cli.terminal import console, show_json, show_table
from mahler_pipelines.decisions.playbook import PlaybookRule, RuleStatus
from mahler_pipelines.errors import MahlerError

Market = Annotated[str | None, typer.Option(help="sim:SEED or archive:PATH.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
RuleId = Annotated[str, typer.Argument(help="The rule's id, as listed.")]
COLUMNS = ["id", "status", "rule", "evidence"]

rules = typer.Typer(help="List the playbook's rules; adopt, refuse or retire one.")


class RuleNotDecided(MahlerError):
    """The rule is not in a state that allows this; the message says in which."""


@rules.callback(invoke_without_command=True)
def listed(context: typer.Context, market: Market = None, json_: AsJson = False) -> None:
    """List the playbook's rules, oldest first; adopt, refuse or retire one."""
    if context.invoked_subcommand is not None:
        return
    desk = load_desk(market=market)
    with desk.ledger.reading(desk.terms.account_id) as book:
        found = book.rules()
    if json_:
        show_json([_row(rule) for rule in found])
        return
    rows = [[rule.id, rule.status.value, rule.text, rule.evidence] for rule in found]
    show_table(f"Playbook of {desk.paths.book}", COLUMNS, rows, wrapped=("rule", "evidence"))


@rules.command()
def adopt(rule_id: RuleId, market: Market = None) -> None:
    """Take a proposed rule into the playbook: analysts read it from the next scan on."""
    _decide(rule_id, RuleStatus.ADOPTED, market)


@rules.command()
def refuse(rule_id: RuleId, market: Market = None) -> None:
    """Refuse a proposed rule; it is not proposed again."""
    _decide(rule_id, RuleStatus.REFUSED, market)


@rules.command()
def retire(rule_id: RuleId, market: Market = None) -> None:
    """Take an adopted rule out of the playbook."""
    _decide(rule_id, RuleStatus.RETIRED, market)


def _decide(rule_id: str, status: RuleStatus, market: str | None) -> None:
    desk = load_desk(market=market)
    now, account = desk.broker.clock().now, desk.terms.account_id
    with desk.ledger.transaction(account) as book:
        decided = book.decide_rule(rule_id, status=status, at=now, by=getpass.getuser())
        (rule,) = (rule for rule in book.rules() if rule.id == rule_id)
    if not decided:
        raise RuleNotDecided(f"{rule_id} is {rule.status} and cannot be {status}")
    console.print(f"{rule_id}: {status}", markup=False)


def _row(rule: PlaybookRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "status": rule.status.value,
        "rule": rule.text,
        "evidence": rule.evidence,
        "proposed_at": rule.proposed_at,
        "decided_at": rule.decided_at,
    }
