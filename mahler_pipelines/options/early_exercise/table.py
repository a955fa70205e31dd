"""Every early-exercise boundary there is, as one table of three coordinates.

Per unit of strike the boundary of a put depends on rate r, yield q, volatility s and time only
through r/s^2, q/s^2 and s^2 t. With p the larger of r and q and k the smaller over the larger, the
table holds it over

    level  ln(p / s^2)           uniform
    ratio  k                     Chebyshev points, one panel for q <= r and one for q > r
    time   ln sqrt(p t)          uniform

as ln(ln(B/X)^2 / (p t)), X = min(1, r/q), which hardly bends. A call is a put with spot and strike
and rate and yield exchanged (R. McDonald and M. Schroder, Journal of Computational Finance 1
(1998)). Outside the table the equation is solved instead. `python -m
mahler_pipelines.options.early_exercise.table` computes the file again; it takes some minutes.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.early_exercise import equation

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

FILE: Final = "table.npz"

LOWEST_LEVEL: Final = -14.0
LEVEL_STEP: Final = 0.125
LEVELS: Final = 161
"""Levels once loaded: every second one is stored, the others are interpolated between six."""
LONGEST: Final = 1.0
"""The largest rate times years; `TIMES` steps of `TIME_STEP` lead down from its root's log."""
TIME_STEP: Final = 0.125
TIMES: Final = 56
TIMES_SEEN: Final = 40
"""Of the times, what one put is given: shares of its life below `_LEAST_SHARE` have no more."""
LOWEST_RATIO: Final = -1.0
RATIOS: Final = 97
"""Ratios once loaded; fewer, at Chebyshev points, are stored."""
_RATIOS_BELOW_RATE: Final = 40
_RATIOS_ABOVE_RATE: Final = 32

_STAGE: Final = 4.0
"""A curve is solved for a quarter of the time of the one before, so that all ages are seen."""
_LEAST_RATIO: Final = 1e-7
_LEAST_SHARE: Final = 0.015


@dataclass(frozen=True, slots=True, eq=False)
class ExerciseTable:
    """Both panels, (2, ratios, levels, times): yields up to the rate first, then above it.

    As loaded: ratios are uniform in sqrt((1 - ratio) / span), where span is the panel's range.
    """

    values: NDArray[np.float32]

    def log_boundary(
        self,
        rate: Floats,
        dividend_yield: Floats,
        years: Floats,
        *,
        first_level: Indices,
        levels: int,
        share: Floats,
    ) -> Floats:
        """Return ln(B/K), (n, levels, m), of n puts at `years * share^2` (m,) before expiry.

        `covers` must hold for each. Levels are counted from each put's own first (n,); a level
        stands for the volatility sqrt(p / exp(level)).
        """
        larger = np.maximum(rate, dividend_yield)
        above = dividend_yield > rate
        ratio = np.where(above, rate, dividend_yield) / larger
        whole_root = 0.5 * np.log(larger * years)[:, None]
        seen_root = whole_root + np.log(np.maximum(share, _LEAST_SHARE))
        steps = np.maximum((seen_root - _log_roots()[0]) / TIME_STEP, 0.0)
        first_time = np.clip(steps.min(axis=1).astype(np.intp) - 1, 0, TIMES - TIMES_SEEN)
        curves = self._curves(above, ratio, first_level, levels, first_time)
        slow = np.matmul(curves, _time_weights(steps - first_time[:, None]))
        slow *= 0.5
        slow += (whole_root + np.log(share))[:, None, :]
        distance = np.exp(slow, out=slow)
        ceiling = np.where(above, np.log(ratio, where=above, out=np.zeros_like(ratio)), 0.0)
        return np.asarray(ceiling[:, None, None] - distance)

    def _curves(
        self, above: Flags, ratio: Floats, first_level: Indices, levels: int, first_time: Indices
    ) -> Floats:
        """Return (n, levels, TIMES_SEEN) entries at each put's ratio."""
        place = np.sqrt((1.0 - ratio) / np.where(above, 1.0, 1.0 - LOWEST_RATIO))
        first, weights = _six_points(place * (RATIOS - 1), RATIOS)
        seen = np.lib.stride_tricks.sliding_window_view(self.values, TIMES_SEEN, axis=3)
        level = first_level[:, None] + np.arange(levels)
        curves = np.zeros((ratio.size, levels, TIMES_SEEN), dtype=np.float32)
        for near in range(6):
            at = (above.astype(np.intp)[:, None], (first + near)[:, None], level)
            weight = weights[near].astype(np.float32)[:, None, None]
            curves += weight * seen[(*at, first_time[:, None])]
        return curves.astype(np.float64)


def covers(rate: Floats, dividend_yield: Floats, years: Floats) -> NDArray[np.bool_]:
    """Return where the table speaks: a positive rate, a yield and years within its bounds."""
    larger = np.maximum(rate, dividend_yield)
    inside = (rate > _LEAST_RATIO * larger) & (dividend_yield >= LOWEST_RATIO * rate)
    return np.asarray((rate > 0.0) & inside & (larger * years <= LONGEST))


def level_values(levels: Indices) -> Floats:
    """Return ln(p / s^2) of levels, counted from the lowest."""
    return np.asarray(LOWEST_LEVEL + LEVEL_STEP * levels)


@lru_cache(maxsize=1)
def load() -> ExerciseTable:
    """Return the table that ships with the package, laid out evenly and finer."""
    return ExerciseTable(np.stack([_laid_out(panel) for panel in stored()]).astype(np.float32))


def stored() -> tuple[Floats, Floats]:
    """Read both panels as they are stored, (Chebyshev ratios, every second level, times) each."""
    with (
        resources.files(__package__).joinpath(FILE).open("rb") as file,
        np.load(file) as panels,
    ):
        below, above = (panels[name].astype(np.float64) for name in ("below_rate", "above_rate"))
    return below, above


def _laid_out(panel: Floats) -> Floats:
    """Return (RATIOS, LEVELS, times) from (Chebyshev ratios, every second level, times)."""
    rows = equation.barycentric(len(panel), np.linspace(0.0, 1.0, RATIOS))
    even = np.tensordot(rows, panel, axes=1)
    first, weights = _six_points(np.linspace(0.0, 0.5 * (LEVELS - 1), LEVELS), panel.shape[1])
    finer = np.zeros((RATIOS, LEVELS, panel.shape[2]))
    for near in range(6):
        finer += weights[near][:, None] * even[:, first + near]
    return finer


def compute(level: Floats, *, above_rate: bool, ratios: Indices) -> Floats:
    """Solve for the entries (ratios, levels, times) of one panel from the integral equation."""
    span, count = (
        (1.0, _RATIOS_ABOVE_RATE) if above_rate else (1.0 - LOWEST_RATIO, _RATIOS_BELOW_RATE)
    )
    ratio = 1.0 - span * np.square(equation.chebyshev(count)[ratios])
    if above_rate:
        ratio = np.maximum(ratio, _LEAST_RATIO)
    shape = (ratios.size, level.size, TIMES)
    small, level = (grid.ravel() for grid in np.meshgrid(ratio, level, indexing="ij"))
    one = np.ones_like(small)
    rate, held = (small, one) if above_rate else (one, small)
    log_root = _log_roots()
    entries = np.empty((small.size, TIMES))
    stages = range(int(np.ceil(-2.0 * log_root[0] / np.log(_STAGE))))
    for stage in stages:
        longest = LONGEST / _STAGE**stage
        share = np.exp(log_root - 0.5 * np.log(longest))
        last = stage == stages[-1]
        used = (share <= 1.0 + 1e-9) & (last | (share > _STAGE**-0.5 * (1.0 + 1e-9)))
        curves = equation.solve(rate, held, np.exp(-0.5 * level), one * longest)
        distance = np.log(curves.ceiling)[:, None] - curves.log_boundary(share[used])
        entries[:, used] = 2.0 * (np.log(distance) - log_root[used])
    return entries.reshape(shape)


def _log_roots() -> Floats:
    return np.asarray(0.5 * np.log(LONGEST) - TIME_STEP * np.arange(TIMES)[::-1])


def _time_weights(steps: Floats) -> Floats:
    """Return (n, TIMES_SEEN, m): cubic Lagrange weights between the four times around each step."""
    first, weights = cubic(steps, TIMES_SEEN)
    dense: Floats = np.zeros((*steps.shape, TIMES_SEEN))
    for near in range(4):
        np.put_along_axis(dense, (first + near)[..., None], weights[near][..., None], axis=-1)
    return dense.transpose(0, 2, 1)


def _six_points(steps: Floats, count: int) -> tuple[Indices, list[Floats]]:
    """Return the first of six neighbours on a grid of `count`, and their Lagrange weights."""
    first = np.clip(steps.astype(np.intp) - 2, 0, count - 6)
    u = steps - first
    weights = []
    for node in range(6):
        others = [other for other in range(6) if other != node]
        factors = [(u - other) / (node - other) for other in others]
        weights.append(np.prod(factors, axis=0))
    return first, weights


def cubic(steps: Floats, count: int) -> tuple[Indices, tuple[Floats, Floats, Floats, Floats]]:
    """Return the first of four neighbours on a grid of `count`, and their Lagrange weights."""
    first = np.clip(steps.astype(np.intp) - 1, 0, count - 4)
    u = steps - first
    a, b, c = u - 1.0, u - 2.0, u - 3.0
    return first, (-a * b * c / 6.0, u * b * c / 2.0, -u * a * c / 2.0, u * a * b / 6.0)


def cubic_slopes(steps: Floats, first: Indices) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the derivatives of the weights of `cubic` in `steps`."""
    u = steps - first
    a, b, c = u - 1.0, u - 2.0, u - 3.0
    return (
        -(a * b + a * c + b * c) / 6.0,
        (b * c + u * c + u * b) / 2.0,
        -(a * c + u * c + u * a) / 2.0,
        (a * b + u * b + u * a) / 6.0,
    )


def _write() -> None:
    from pathlib import Path

    panels = {}
    for name, above, count in (
        ("below_rate", False, _RATIOS_BELOW_RATE),
        ("above_rate", True, _RATIOS_ABOVE_RATE),
    ):
        parts = [
            compute(
                level_values(np.arange(0, LEVELS, 2)),
                above_rate=above,
                ratios=np.arange(start, min(start + 4, count)),
            )
            for start in range(0, count, 4)
        ]
        panels[name] = np.concatenate(parts).astype(np.float32)
    np.savez_compressed(Path(__file__).with_name(FILE), allow_pickle=False, **panels)


if __name__ == "__main__":
    _write()
