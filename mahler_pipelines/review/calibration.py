"""Calibration: how the predicted probability of profit compares with what happened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mahler_pipelines.errors import BadInput


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions of one range: how many, their mean, and the share that came true."""

    lower: float
    upper: float
    count: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Brier score over `count` closed trades; None without any.

    `reference_score` is the score of always predicting the observed share of wins: a lower
    `brier_score` than that means the predictions tell trades apart.
    """

    count: int
    brier_score: float | None
    reference_score: float | None
    bins: tuple[CalibrationBin, ...]


def calibration(
    predicted: Sequence[float], profitable: Sequence[bool], *, bins: int = 5
) -> Calibration:
    """Score predicted probabilities of profit against outcomes.

    The Brier score is the mean squared difference (Brier 1950, Monthly Weather Review 78, 1-3).
    Raises `BadInput` when the two differ in length or a prediction is not a probability.
    """
    probability = np.asarray(predicted, dtype=np.float64)
    outcome = np.asarray(profitable, dtype=np.float64)
    if probability.shape != outcome.shape:
        raise BadInput("profitable", len(outcome), f"{len(probability)} predictions")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise BadInput("predicted", predicted, "not probabilities")
    if not len(probability):
        return Calibration(0, None, None, ())
    share = float(outcome.mean())
    return Calibration(
        count=len(probability),
        brier_score=float(np.mean((probability - outcome) ** 2)),
        reference_score=share * (1 - share),
        bins=tuple(_bins(probability, outcome, bins)),
    )


def _bins(
    probability: np.ndarray[tuple[int], np.dtype[np.float64]],
    outcome: np.ndarray[tuple[int], np.dtype[np.float64]],
    count: int,
) -> list[CalibrationBin]:
    edges = np.linspace(0, 1, count + 1)
    place = np.minimum((probability * count).astype(int), count - 1)
    return [
        CalibrationBin(
            lower=float(edges[row]),
            upper=float(edges[row + 1]),
            count=int((place == row).sum()),
            predicted=float(probability[place == row].mean()),
            observed=float(outcome[place == row].mean()),
        )
        for row in range(count)
        if (place == row).any()
    ]
