"""Decisions: an analyst's thesis on the best candidates, and what a person is asked."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from mahler_pipelines.decisions.proposing import Proposal
from mahler_pipelines.decisions.rules_analyst import RulesAnalyst
from mahler_pipelines.decisions.theses import ask
from mahler_pipelines.decisions.thesis import Analyst
from mahler_pipelines.decisions.thesis_table import read_assessments, thesis_table
from mahler_pipelines.decisions.volatility_facts import volatility_facts
from mahler_pipelines.execution.account_view import current_exposure
from mahler_pipelines.execution.broker import Broker
from mahler_pipelines.execution.desk_terms import DeskTerms
from mahler_pipelines.execution.recommending import Occasion, recommend
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.orchestration.partitions import (
    recommendations_of,
    scan_partition,
    session_scans,
)
from mahler_pipelines.pictures.gallery import payoff_picture
from mahler_pipelines.pictures.tables import markdown_table
from mahler_pipelines.review.ledger import LedgerBook
from mahler_pipelines.risk.room import without_room
from mahler_pipelines.strategies.ranking import best

GROUP = "decisions"
PICTURES = 3
"""Payoff pictures per scan; `mahler explain` has the numbers of every recommendation."""


def decision_assets(account_id: str) -> list[dg.AssetsDefinition]:
    """Theses and recommendations of one account."""
    theses_key = dg.AssetKey([account_id, "theses"])
    recommendations_key = dg.AssetKey([account_id, "recommendations"])

    @dg.asset(
        key=theses_key,
        group_name=GROUP,
        kinds={"anthropic", "parquet"},
        partitions_def=session_scans,
        code_version="3",
    )
    def theses(
        context: dg.AssetExecutionContext,
        option_chains: ChainSnapshot,
        screened_candidates: pd.DataFrame,
        volatility_metrics: pd.DataFrame,
        volatility_regimes: pd.DataFrame,
        ledger: dg.ResourceParam[LedgerBook],
        analyst: dg.ResourceParam[Analyst],
        terms: dg.ResourceParam[DeskTerms],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """What the analyst says of the best candidate of each underlying, held against the facts.

        Grain: one row per assessed candidate. The playbook is read from the ledger as of the
        scan, and its version is kept. Every raw answer is a model call in the ledger. Where a model
        answers, the rules say beside it what they think. Candidates that the account has no room
        for are not asked about, and counted.
        """
        as_of = option_chains.as_of
        with ledger.reading(account_id) as book:
            playbook = book.playbook(as_of=as_of)
            exposure = current_exposure(book)
        no_room = without_room(screened_candidates, exposure, terms.risk)
        chosen = best(
            screened_candidates[no_room == ""],
            per_underlying=1,
            limit=terms.recommendations_per_scan,
        )
        assessments = ask(
            chosen,
            playbook,
            analyst,
            ranked=screened_candidates,
            context=volatility_facts(volatility_metrics, volatility_regimes),
            second=RulesAnalyst(),
        )
        with ledger.transaction(account_id) as book:
            for assessment in assessments:
                book.add_model_call(assessment.answer.call, at=as_of, run_id=context.run.run_id)
        table = thesis_table(chosen, assessments, playbook_version=playbook.version)
        shown = ["underlying", "strategy", "recommend", "confidence", "thesis", "problem"]
        return dg.MaterializeResult(
            value=table,
            metadata={
                "dagster/row_count": len(table),
                "analyst": analyst.name,
                "playbook_version": playbook.version,
                "no_room": dg.MetadataValue.json(_counts(no_room[no_room != ""])),
                "without_thesis": int((table["thesis_json"] == "").sum()),
                "theses": dg.MetadataValue.md(
                    markdown_table(shown, list(table[shown].itertuples(index=False)))
                ),
            },
        )

    @dg.asset(
        key=recommendations_key,
        ins={"theses": dg.AssetIn(key=theses_key)},
        group_name=GROUP,
        kinds={"sqlalchemy", "parquet"},
        partitions_def=session_scans,
        code_version="2",
        check_specs=[
            dg.AssetCheckSpec(
                "recommendations_are_within_the_gates",
                asset=recommendations_key,
                description="Every recommendation passed every gate with the numbers it shows.",
            )
        ],
    )
    def recommendations(
        context: dg.AssetExecutionContext,
        option_chains: ChainSnapshot,
        theses: pd.DataFrame,
        ledger: dg.ResourceParam[LedgerBook],
        broker: dg.ResourceParam[Broker],
        terms: dg.ResourceParam[DeskTerms],
    ):
        """Trades proposed to a person, pending in the ledger; refused ones with their reason.

        Grain: one row per assessed candidate. A recommendation binds structure, price band, size
        and expiry time by its content hash; a re-run finds the same ids and adds nothing.
        """
        session, scan = scan_partition(context.partition_key)
        assessments = read_assessments(theses)
        occasion = Occasion(
            session=session,
            scan=scan.value,
            as_of=option_chains.as_of,
            snapshot_hash=option_chains.content_hash,
            playbook_version=_version(theses),
            run_id=context.run.run_id,
        )
        money = broker.account()
        with ledger.transaction(account_id) as book:
            outcome = recommend(book, assessments, money=money, terms=terms, occasion=occasion)
        proposed = outcome.recommendations
        context.instance.add_dynamic_partitions(
            str(recommendations_of(account_id).name), [shown.id for shown in proposed]
        )
        table = _table([a.candidate for a in assessments], outcome.proposals)
        visible = table.drop(columns="candidate_id")
        pictures = {
            f"payoff_{number}_{shown.structure.underlying}": dg.MetadataValue.md(
                payoff_picture(shown, rate=terms.risk_free_rate)
            )
            for number, shown in enumerate(proposed[:PICTURES], start=1)
        }
        return dg.MaterializeResult(
            value=table,
            metadata={
                "dagster/row_count": len(table),
                "recommended": len(proposed),
                "expired_before": len(outcome.expired),
                "proposals": dg.MetadataValue.md(
                    markdown_table(list(visible.columns), list(visible.itertuples(index=False)))
                ),
                **pictures,
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="recommendations_are_within_the_gates",
                    passed=all(
                        gate["passed"] == "true" for shown in proposed for gate in shown.gates
                    ),
                    metadata={"recommended": len(proposed)},
                )
            ],
        )

    return [theses, recommendations]


def _counts(codes: "pd.Series[str]") -> dict[str, int]:
    return {str(code): int(count) for code, count in codes.value_counts().items()}


def _version(theses: pd.DataFrame) -> int:
    """The playbook the theses read; zero when no candidate was asked about."""
    return int(theses["playbook_version"].max()) if len(theses) else 0


def _table(candidates: list[dict[str, Any]], proposals: Sequence[Proposal]) -> pd.DataFrame:
    """Outcome of every assessed candidate: the recommendation's id, or the refusal."""
    rows = []
    for candidate, proposal in zip(candidates, proposals, strict=True):
        shown, refusal = proposal.recommendation, proposal.refusal
        rows.append(
            {
                "candidate_id": candidate["candidate_id"],
                "underlying": candidate["underlying"],
                "strategy": candidate["strategy"],
                "recommendation_id": shown.id if shown else "",
                "contracts": shown.contracts if shown else 0,
                "target_credit": str(shown.target_credit) if shown else "",
                "floor_credit": str(shown.floor_credit) if shown else "",
                "max_loss_usd": str(shown.max_loss_usd) if shown else "",
                "refusal": str(refusal) if refusal else "",
            }
        )
    columns = [
        *("candidate_id", "underlying", "strategy", "recommendation_id", "contracts"),
        *("target_credit", "floor_credit", "max_loss_usd", "refusal"),
    ]
    return pd.DataFrame(rows, columns=columns).astype({"contracts": "int64"})
