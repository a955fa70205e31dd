"""Values on either side of a target, in many groups at once, as in one group after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.market.brackets import bracket, mean_at, neighbours, take

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=40)
TARGETS = st.lists(st.integers(-6, 6), min_size=4, max_size=4)


@given(rows=ROWS, targets=TARGETS)
def test_neighbours_are_those_of_each_group_alone(
    rows: list[tuple[int, int]], targets: list[int]
) -> None:
    group = np.array([code for code, _ in rows], dtype=np.intp)
    value = np.array([number for _, number in rows], dtype=np.float64)
    target = np.array(targets, dtype=np.float64)
    below, above = neighbours(group=group, value=value, target=target)
    for code in range(4):
        own = value[group == code]
        under, over = own[own <= target[code]], own[own > target[code]]
        assert below[code] == pytest.approx(under.max() if under.size else np.nan, nan_ok=True)
        assert above[code] == pytest.approx(over.min() if over.size else np.nan, nan_ok=True)
    at = bracket(group=group, value=value, target=target)
    np.testing.assert_array_equal(take(value, at.below), below)
    np.testing.assert_array_equal(take(value, at.above), above)


def test_rows_at_one_value_are_averaged() -> None:
    group = np.array([0, 0, 0, 1], dtype=np.intp)
    value = np.array([5.0, 5.0, 7.0, 5.0])
    mean = mean_at(np.array([5.0, 6.0]), group=group, value=value, of=np.array([1.0, 3, 9, 9]))
    assert mean[0] == 2.0
    assert np.isnan(mean[1])
