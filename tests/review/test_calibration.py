"""Calibration: Brier scores by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import BadInput
from mahler_pipelines.review.calibration import calibration


def test_worked_example() -> None:
    found = calibration([0.8, 0.8, 0.6, 1.0], [True, False, True, True])
    assert found.count == 4
    assert found.brier_score == pytest.approx((0.04 + 0.64 + 0.16 + 0) / 4)
    assert found.reference_score == pytest.approx(0.75 * 0.25)
    assert [(row.count, row.observed) for row in found.bins] == [
        (1, 1.0),
        (3, pytest.approx(2 / 3)),
    ]


def test_nothing_to_score_is_no_score() -> None:
    found = calibration([], [])
    assert (found.count, found.brier_score, found.bins) == (0, None, ())


@pytest.mark.parametrize(("predicted", "outcome"), [([1.1], [True]), ([0.5], [])])
def test_what_cannot_be_scored_is_refused(predicted: list[float], outcome: list[bool]) -> None:
    with pytest.raises(BadInput):
        calibration(predicted, outcome)


@given(rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_score_is_the_mean_squared_error_and_bins_cover_everything(
    rows: list[tuple[float, bool]],
) -> None:
    found = calibration([row[0] for row in rows], [row[1] for row in rows])
    by_hand = sum((predicted - outcome) ** 2 for predicted, outcome in rows) / len(rows)
    assert found.brier_score == pytest.approx(by_hand)
    assert sum(row.count for row in found.bins) == len(rows)
