"""Implied volatility of American options, with a reason wherever there is none."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import Terms, volatility_reasons
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.options.dividends import dividend_schedule
from mahler_pipelines.options.early_exercise.premium import is_exercised_early
from mahler_pipelines.options.early_exercise.puts import Piece, Puts, pieces

Floats = NDArray[np.float64]

_MAX_ITERATIONS: Final = 80
_LAST_STEP: Final = 3e-4
_LEAST, _MOST = 1e-4, 50.0
_END: Final = 1.001
_WINDOW_BELOW: Final = 0.5
_UNKNOWN: Final = 2.0


def fill_volatilities(columns: tuple[Floats, ...], filled: tuple[NDArray[Any], ...]) -> None:
    """Fill volatility and reason of a block of contracts; all columns of one length."""
    volatility, reason = filled
    right, paid, spot, strike, years, rate, held = (
        np.broadcast_to(column, reason.shape) for column in columns
    )
    terms = Terms(right, spot, strike, years, rate, held, np.zeros(reason.shape))
    reason[:] = volatility_reasons(terms, paid, dividend_schedule(()), diffusing=spot)
    volatility[:] = np.nan
    with np.errstate(all="ignore"):
        puts = Puts.of(right, spot, strike, years, rate, held)
        guess = european.implied_volatility(
            right=-1.0,
            price=paid / puts.strike,
            spot=np.exp(puts.log_spot),
            strike=1.0,
            years=years,
            rate=puts.rate,
            dividend_yield=puts.dividend_yield,
            threads=1,
        )
    sound = reason == NoVolatility.NONE
    early = sound & is_exercised_early(puts.rate, puts.dividend_yield)
    volatility[sound & ~early] = guess[sound & ~early]
    rows = np.flatnonzero(early)
    target, guess = (paid / puts.strike)[rows], guess[rows]
    puts = puts.at(rows)
    for part in pieces(puts, np.where(np.isfinite(guess), guess, _UNKNOWN)):
        volatility[rows[part]] = _solve(puts.at(part), target[part], guess[part])
    # At an end of the bracket the price is nearer to a bound than the premium is accurate.
    for code, beyond in (
        (NoVolatility.BELOW_INTRINSIC, volatility <= _LEAST * _END),
        (NoVolatility.ABOVE_MAXIMUM, volatility >= _MOST / _END),
    ):
        lost = early & beyond
        reason[lost], volatility[lost] = code, np.nan


def _solve(puts: Puts, target: Floats, guess: Floats) -> Floats:
    """Solve a piece; the European volatility `guess` is never too low, NaN above its maximum."""
    start = np.where(np.isfinite(guess), guess, _UNKNOWN)
    lowest = _WINDOW_BELOW * start
    piece = Piece.of(puts, lowest=lowest, highest=start, single=True)
    found = _newton(piece, target, start)
    outside = np.flatnonzero((found < lowest) | (found > start * (1.0 + 1e-9)))
    if outside.size:
        least, most = np.full(outside.size, _LEAST), np.full(outside.size, _MOST)
        wide = Piece.of(puts.at(outside), lowest=least, highest=most, single=True)
        found[outside] = _newton(wide, target[outside], start[outside])
    return found


def _newton(piece: Piece, target: Floats, start: Floats) -> Floats:
    """Newton's method on the logarithm of the price, inside a shrinking bracket."""
    found, sigma = start.copy(), start
    low, high = np.full_like(start, _LEAST), np.full_like(start, _MOST)
    active = np.arange(start.size)
    for _ in range(_MAX_ITERATIONS):
        values = piece.values(sigma)
        over = values.price > target
        np.copyto(high, sigma, where=over)
        np.copyto(low, sigma, where=~over)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = -np.log(values.price / target) * values.price / values.vega
        proposed = sigma + step
        inside = (proposed > low) & (proposed < high)
        small = np.abs(step) <= _LAST_STEP * sigma
        sigma = np.where(inside | small, proposed, np.sqrt(low * high))
        found[active] = sigma
        rest = ~((small & np.isfinite(step)) | (high - low <= 1e-12 * high))
        if not rest.any():
            break
        rows = np.flatnonzero(rest)
        active, sigma, target = active[rows], sigma[rows], target[rows]
        low, high, piece = low[rows], high[rows], piece.at(rows)
    return found
