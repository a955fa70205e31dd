"""Theses as a table and back: nothing of an answer is lost on its way through the lake."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mahler_pipelines.decisions.grounding import Grounding
from mahler_pipelines.decisions.theses import Assessment, ask
from mahler_pipelines.decisions.thesis import AnalystAnswer, Thesis
from mahler_pipelines.decisions.thesis_table import (
    ANSWER_COLUMNS,
    read_assessments,
    thesis_table,
)
from mahler_pipelines.errors import CorruptData
from mahler_pipelines.storage.lake import ParquetLake
from tests.decisions.cases import PLAIN, candidate, playbook
from tests.decisions.fakes import ScriptedAnalyst, call_of

NOTED = Thesis(
    recommend=False,
    confidence=0.25,
    thesis='Thin | "quoted"\nand naïve.',
    risks=("gap", "assignment"),
    rules_cited=("p-1",),
)


def candidates(*names: str) -> pd.DataFrame:
    return pd.DataFrame([candidate(candidate_id=name, rank=n) for n, name in enumerate(names, 1)])


def assessment(
    name: str,
    thesis: Thesis | None,
    *,
    problem: str = "",
    grounding: Grounding | None = None,
) -> Assessment:
    answer = AnalystAnswer(thesis, problem, call_of(name))
    return Assessment(candidate(candidate_id=name), answer, grounding or Grounding())


FIRST = assessment("c-1", PLAIN)
SILENT = assessment("c-2", None, problem="the model refused")
HEARD = assessment("c-4", PLAIN)._replace(second_opinion="would not trade")
ODD = assessment("c-3", NOTED, grounding=Grounding(("0.97",), ("p-9",)))


def test_every_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    """Also a missing thesis, in the order the candidates were asked, and through Parquet."""
    asked = [ODD, FIRST, SILENT, HEARD]
    table = thesis_table(candidates("c-1", "c-2", "c-3", "c-4"), asked, playbook_version=4)
    lake = ParquetLake(tmp_path)
    lake.write("main.theses", table, session=date(2026, 1, 5), scan="midday")
    for frame in (table, lake.read("main.theses", session=date(2026, 1, 5), scan="midday")):
        found = read_assessments(frame)
        assert [one.candidate["candidate_id"] for one in found] == ["c-3", "c-1", "c-2", "c-4"]
        assert [one.answer for one in found] == [one.answer for one in asked]
        assert [one.grounding for one in found] == [one.grounding for one in asked]
        assert [one.second_opinion for one in found] == ["", "", "", "would not trade"]


def test_a_table_of_before_there_was_a_second_opinion_is_read() -> None:
    table = thesis_table(candidates("c-1"), [FIRST], playbook_version=4)
    (found,) = read_assessments(table.drop(columns="second_opinion"))
    assert (found.answer, found.second_opinion) == (FIRST.answer, "")


def test_a_candidate_comes_back_with_its_own_columns_only() -> None:
    original = candidates("c-1", "c-2")
    found = read_assessments(thesis_table(original, [FIRST], playbook_version=4))[0].candidate
    expected: dict[str, Any] = {str(k): v for k, v in original.to_dict("records")[0].items()}
    assert set(found) == set(expected)
    assert not set(found) & set(ANSWER_COLUMNS)
    same = {
        name
        for name, value in expected.items()
        if found[name] == value or (value != value and found[name] != found[name])
    }
    assert same == set(expected)


def test_a_missing_thesis_recommends_nothing() -> None:
    row = thesis_table(candidates("c-2"), [SILENT], playbook_version=4).iloc[0]
    assert not row["recommend"]
    assert np.isnan(row["confidence"])
    assert (row["thesis"], row["thesis_json"], row["problem"]) == ("", "", "the model refused")
    assert json.loads(row["call_json"])["candidate_id"] == "c-2"


def test_a_table_without_theses_keeps_its_columns_and_dtypes() -> None:
    """A scan without candidates is a partition like any other."""
    full = thesis_table(candidates("c-1", "c-2"), [FIRST, SILENT], playbook_version=4)
    nobody = thesis_table(candidates("c-1", "c-2"), [], playbook_version=4)
    nothing = thesis_table(candidates("c-1").iloc[:0], [], playbook_version=4)
    assert nobody.dtypes.to_dict() == full.dtypes.to_dict()
    assert nothing.dtypes.to_dict() == full.dtypes.to_dict()
    assert read_assessments(nobody) == read_assessments(nothing) == []


def test_what_an_analyst_was_asked_round_trips() -> None:
    ranked = candidates("c-1", "c-2")
    asked = ask(ranked, playbook(), ScriptedAnalyst(PLAIN))
    found = read_assessments(thesis_table(ranked, asked, playbook_version=0))
    assert [one.answer for one in found] == [one.answer for one in asked]
    assert [one.candidate["candidate_id"] for one in found] == ["c-1", "c-2"]


def test_an_answer_for_nobody_is_corrupt() -> None:
    with pytest.raises(CorruptData, match="c-9"):
        thesis_table(candidates("c-1"), [assessment("c-9", PLAIN)], playbook_version=1)


def test_a_candidate_that_appears_twice_is_corrupt() -> None:
    """It would have two rows for one answer, and every later row another's answer."""
    with pytest.raises(CorruptData, match="c-1"):
        thesis_table(candidates("c-1", "c-1"), [FIRST], playbook_version=1)
