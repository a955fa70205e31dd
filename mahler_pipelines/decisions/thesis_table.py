"""Theses as a table: candidates with what the analyst said of them, and back again."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.theses import Assessment
from mahler_pipelines.decisions.thesis import AnalystAnswer, ModelCall, Thesis
from mahler_pipelines.errors import CorruptData

ANSWER_COLUMNS = (
    *("analyst", "recommend", "confidence", "thesis", "problem"),
    *("thesis_json", "call_json", "grounding_json", "playbook_version", "second_opinion"),
)


def thesis_table(
    candidates: pd.DataFrame, assessments: Sequence[Assessment], *, playbook_version: int
) -> pd.DataFrame:
    """Return one row per assessed candidate: its own columns and `ANSWER_COLUMNS`.

    `recommend` is False and `confidence` NaN where there is no thesis. Raises `CorruptData` when
    an answer is not of exactly one candidate.
    """
    asked = [assessment.candidate["candidate_id"] for assessment in assessments]
    known = candidates["candidate_id"].value_counts()
    odd = [name for name in asked if known.get(name, 0) != 1]
    if odd:
        raise CorruptData(f"answers for {odd[0]}, which is {known.get(odd[0], 0)} candidates")
    rows = candidates.set_index("candidate_id").loc[asked].reset_index()
    answers = pd.DataFrame(
        [_row(assessment, playbook_version) for assessment in assessments],
        columns=list(ANSWER_COLUMNS),
    )
    typed = answers.astype(
        {
            "analyst": "str",
            "recommend": "bool",
            "confidence": "float64",
            "thesis": "str",
            "problem": "str",
            "thesis_json": "str",
            "call_json": "str",
            "grounding_json": "str",
            "playbook_version": "int64",
            "second_opinion": "str",
        }
    )
    return pd.concat([rows, typed], axis=1)


def read_assessments(table: pd.DataFrame) -> list[Assessment]:
    """Return the assessments of a thesis table, in its order."""
    assessments = []
    for record in table.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        text = row["thesis_json"]
        thesis = Thesis.model_validate_json(text) if text else None
        call = ModelCall(**json.loads(row["call_json"]))
        found = json.loads(row["grounding_json"])
        candidate = {name: value for name, value in row.items() if name not in ANSWER_COLUMNS}
        assessments.append(
            Assessment(
                candidate,
                AnalystAnswer(thesis, row["problem"], call),
                Grounding(tuple(found["numbers"]), tuple(found["rules"])),
                # Partitions written before there was one have no such column.
                row.get("second_opinion", ""),
            )
        )
    return assessments


def _row(assessment: Assessment, playbook_version: int) -> dict[str, object]:
    answer, grounding = assessment.answer, assessment.grounding
    thesis = answer.thesis
    return {
        "analyst": answer.call.analyst,
        "recommend": thesis is not None and thesis.recommend,
        "confidence": float("nan") if thesis is None else thesis.confidence,
        "thesis": "" if thesis is None else thesis.thesis,
        "problem": answer.problem,
        "thesis_json": "" if thesis is None else thesis.model_dump_json(),
        "call_json": json.dumps(asdict(answer.call)),
        "grounding_json": json.dumps(
            {"numbers": list(grounding.numbers), "rules": list(grounding.rules)}
        ),
        "playbook_version": playbook_version,
        "second_opinion": assessment.second_opinion,
    }
