"""The early-exercise boundary of an American put: its integral equation, solved to the last digits.

Everything is per unit of strike. A put with rate r, yield q and volatility s is exercised once the
spot falls to B(t), t years before expiry. Smooth pasting at B gives, with u = t - w years left
when w have passed and d1, d2 those of a spot B(t) struck at B(u) over w years (L. Andersen,
M. Lake and D. Offengenden, "High-performance American option pricing", Journal of Computational
Finance 20 (2016), eq. 3.7, without the two densities that cancel in it),

    r exp(-r t) I[exp(r u) n(d2)/(s sqrt w)] / B(t)
        = exp(-q t) { N(d1(B(t), K, t)) + q I[exp(q u) (N(d1) + n(d1)/(s sqrt w))] },

where I integrates over w from 0 to t. As in that paper the unknown is H = ln(B/X)^2 over sqrt(t),
X = min(1, r/q) being the boundary at expiry; unlike there, all nodes of a curve are solved at
once by Newton's method with the full Jacobian, which converges for every rate and yield with a
single boundary.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options.early_exercise.normal_tail import INVERSE_ROOT_TWO_PI
from mahler_pipelines.options.special_functions import ndtr

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NODES: Final = 24
POINTS: Final = 48

_MAX_ITERATIONS: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class Quadrature:
    """Points of an integral over elapsed time w in (0, t), by its sine: w = t sine^2.

    `weights` already hold dw/t. The substitution takes the square roots out of both ends.
    """

    sine: Floats
    cosine: Floats
    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Boundaries of n puts, from expiry (exclusive) to their `years` before it.

    `ceiling` (n,) is X; `squared_log` (n, nodes) is H at `years * share^2`, the shares being the
    `chebyshev` points above zero.
    """

    ceiling: Floats
    squared_log: Floats

    def log_boundary(self, share: Floats) -> Floats:
        """Return ln(B/K), (n, m), at `years * share^2` before expiry; `share` (m,) in (0, 1]."""
        rows = interpolation(self.squared_log.shape[1], share)
        squared = np.maximum(self.squared_log @ rows.T, 0.0)
        return np.asarray(np.log(self.ceiling)[:, None] - np.sqrt(squared))


def quadrature(points: int, *, lean: float) -> Quadrature:
    """Return Gauss-Legendre points in y, with asin(sine) = pi/2 (lean y + (1 - lean) y^2).

    `lean` below 1 moves points towards the start, where a spot near the boundary is decided.
    """
    nodes, weights = np.polynomial.legendre.leggauss(points)
    y = 0.5 * (nodes + 1.0)
    angle = 0.5 * np.pi * (lean * y + (1.0 - lean) * y * y)
    slope = 0.5 * np.pi * (lean + 2.0 * (1.0 - lean) * y)
    sine, cosine = np.sin(angle), np.cos(angle)
    return Quadrature(sine, cosine, sine * cosine * slope * weights)


def interpolation(nodes: int, share: Floats) -> Floats:
    """Return the (m, nodes) matrix that takes H at its nodes to H at `share` (H(0) is zero)."""
    return barycentric(nodes + 1, share)[..., 1:]


def chebyshev(count: int) -> Floats:
    """Return `count` Chebyshev points of the second kind on [0, 1], ends included."""
    return np.asarray(0.5 * (1.0 - np.cos(np.pi * np.arange(count) / (count - 1))))


def barycentric(count: int, at: Floats) -> Floats:
    """Return the (..., count) weights from values at `chebyshev` points to values at `at`.

    J.-P. Berrut and L. N. Trefethen, SIAM Review 46 (2004), eq. 5.4.
    """
    signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    signs[[0, -1]] *= 0.5
    distance = np.asarray(at, dtype=np.float64)[..., None] - chebyshev(count)
    hit = np.abs(distance) < 1e-14
    raw = signs / np.where(hit, 1.0, distance)
    weights = raw / raw.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(hit.any(axis=-1, keepdims=True), hit, weights))


def solve(
    rate: Floats,
    dividend_yield: Floats,
    volatility: Floats,
    years: Floats,
    *,
    nodes: int = NODES,
    points: int = POINTS,
    settled: float = 1e-7,
) -> Curves:
    """Solve for n boundaries at once; all arguments (n,).

    There must be one: rate > 0, or rate = 0 with a negative yield. The last steps change no
    boundary by more than `settled` of its distance from X, but for the few nodes next to expiry,
    which take longest and matter least. Raises `ArithmeticError` when a curve does not settle,
    which no input of that kind is known to cause.
    """
    problem = _Problem.of(rate, dividend_yield, volatility, years, _grid(nodes, points))
    distance = problem.first_guess()
    for _ in range(_MAX_ITERATIONS):
        with np.errstate(all="ignore"):
            step, sound = problem.newton_step(distance)
        grown = np.clip(2.0 * step / distance, -0.9, 8.0)
        change = np.where(sound.all(axis=1, keepdims=True), np.sqrt(1.0 + grown) - 1.0, 0.0)
        change = np.where(sound, change, -0.4)
        distance = distance * (1.0 + change)
        if float(np.abs(change[:, nodes // 4 :]).max(initial=0.0)) < settled:
            break
    else:
        raise ArithmeticError("an early-exercise boundary did not settle")
    return Curves(problem.ceiling[:, 0], np.square(distance))


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    share: Floats
    rule: Quadrature
    matrix: Floats
    floor: Floats


@lru_cache(maxsize=4)
def _grid(nodes: int, points: int) -> _Grid:
    share = chebyshev(nodes + 1)[1:]
    rule = quadrature(points, lean=1.0)
    left = np.outer(share, rule.cosine)
    # H bends down towards expiry: a line to the first node, scaled, is a floor under it.
    floor = 0.25 * np.minimum(np.square(left / share[0]), 1.0)
    return _Grid(share, rule, interpolation(nodes, left), floor)


def _density(z: Floats) -> Floats:
    return np.asarray(INVERSE_ROOT_TWO_PI * np.exp(-0.5 * z * z))


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What stays the same from step to step: (n, nodes) arrays and (n, nodes, points) arrays."""

    grid: _Grid
    negative_yield: Flags
    ceiling: Floats
    decay: Floats
    spread: Floats
    reversion: Floats
    total: Floats
    drift: Floats
    rate_weight: Floats
    yield_weight: Floats

    @classmethod
    def of(
        cls, rate: Floats, held: Floats, sigma: Floats, years: Floats, grid: _Grid
    ) -> "_Problem":
        r, q, s, t = (
            np.asarray(value, dtype=np.float64)[:, None] for value in (rate, held, sigma, years)
        )
        ceiling = np.where(q > r, r / np.where(q > r, q, 1.0), 1.0)
        time = t * np.square(grid.share)
        spread = s * np.sqrt(time)
        passed = time[:, :, None] * np.square(grid.rule.sine)
        left = time[:, :, None] * np.square(grid.rule.cosine)
        total = spread[:, :, None] * grid.rule.sine
        width = time[:, :, None] * grid.rule.weights
        r3, q3 = r[:, :, None], q[:, :, None]
        half = r - q - 0.5 * s * s
        root = (-half - np.sqrt(half * half + 2.0 * r * s * s)) / (s * s)
        return cls(
            grid=grid,
            negative_yield=q < 0.0,
            ceiling=ceiling,
            decay=(r - q) * time,
            spread=spread,
            reversion=np.minimum(root / (root - 1.0), ceiling),
            total=total,
            drift=(r3 - q3) * passed / total - 0.5 * total,
            rate_weight=r3 * np.exp(r3 * left) * width / total,
            yield_weight=q3 * np.exp(q3 * left) * width,
        )

    def first_guess(self) -> Floats:
        """Return ln(B/X) < 0, relaxing from X to the perpetual boundary (Bjerksund, Stensland)."""
        pace = np.where(self.ceiling < 1.0, 0.9, 2.0) * self.spread
        pace = np.maximum(pace - self.decay, 0.5 * self.spread)
        gap = np.maximum(self.ceiling - self.reversion, 0.01 * self.ceiling)
        share = np.exp(-pace * self.ceiling / gap)
        boundary = self.reversion + (self.ceiling - self.reversion) * share
        return np.minimum(np.log(boundary / self.ceiling), -1e-6)

    def newton_step(self, distance: Floats) -> tuple[Floats, Flags]:
        """Return the change of ln(B/X) and where the equation could be evaluated at all."""
        later, moves = self._interpolated(distance)
        d2 = (distance[:, :, None] - later) / self.total + self.drift
        d1 = d2 + self.total
        log_boundary = distance + np.log(self.ceiling)
        d1_strike = (log_boundary + self.decay) / self.spread + 0.5 * self.spread
        scale = np.exp(-self.decay - log_boundary)[:, :, None]
        gain = self.rate_weight * _density(d2) * scale
        density = self.yield_weight * _density(d1) / self.total
        cost = (density + self.yield_weight * ndtr(d1)).sum(axis=-1)
        negative = self.negative_yield
        above = gain.sum(axis=-1) - np.where(negative, cost, 0.0)
        below = ndtr(d1_strike) + np.where(negative, 0.0, cost)
        sound: Flags = (above > 0.0) & (below > 0.0)
        miss = np.where(sound, np.log(above / below), 0.0)
        cost_slope = density * (1.0 - d1 / self.total)
        on_left = np.where(negative[:, :, None], cost_slope, 0.0)
        slope = -(gain * d2 / self.total + on_left) / above[:, :, None]
        slope -= (cost_slope - on_left) / below[:, :, None]
        own = -gain.sum(axis=-1) / above - _density(d1_strike) / self.spread / below
        own += slope.sum(axis=-1)
        jacobian = self._jacobian(slope * moves, own, distance)
        jacobian[~sound.all(axis=1)] = np.eye(distance.shape[1])
        step = np.linalg.solve(jacobian, miss[:, :, None])[:, :, 0]
        return np.asarray(-step, dtype=np.float64), sound

    def _interpolated(self, distance: Floats) -> tuple[Floats, Floats]:
        """Return ln(B(u)/X) at every point and minus its derivative to H there."""
        squared = np.square(distance)
        at_points = (squared @ self._rows().T).reshape(self.total.shape)
        floor = squared[:, :1, None] * self.grid.floor
        low = at_points < floor
        later = -np.sqrt(np.where(low, floor, at_points))
        return later, np.where(low, 0.0, -0.5 / later)

    def _jacobian(self, weights: Floats, own: Floats, distance: Floats) -> Floats:
        matrix = np.matmul(weights.transpose(1, 0, 2), self.grid.matrix).transpose(1, 0, 2)
        jacobian = np.ascontiguousarray(matrix) * (2.0 * distance)[:, None, :]
        diagonal = np.arange(distance.shape[1])
        jacobian[:, diagonal, diagonal] += own
        return jacobian

    def _rows(self) -> Floats:
        return self.grid.matrix.reshape(-1, self.grid.matrix.shape[-1])
