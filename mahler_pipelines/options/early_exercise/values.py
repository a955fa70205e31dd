"""Prices, boundaries and greeks of blocks of American contracts, from puts per unit of strike."""

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mahler_pipelines.options import european
from mahler_pipelines.options.american_terms import Terms, value_without_volatility
from mahler_pipelines.options.black_scholes.greeks import DAYS_PER_YEAR, Greeks, SecondOrderGreeks
from mahler_pipelines.options.blocks import Columns, in_blocks
from mahler_pipelines.options.dividends import dividend_schedule
from mahler_pipelines.options.early_exercise.premium import is_exercised_early
from mahler_pipelines.options.early_exercise.puts import Piece, Puts, pieces

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_RATE_STEP: Final = 1e-4
_VOLATILITY_STEP: Final = 1e-3
_YEARS_STEP: Final = 1e-3
_PER_POINT: Final = 0.01
_GREEKS: Final = 5


def fill_prices(columns: Columns, filled: Columns) -> None:
    """Fill the price per share of each row of a block, and its vega where a column waits for it."""
    terms = _full(columns, filled[0].size)
    vega = filled[1] if len(filled) > 1 else None
    if vega is not None:
        vega[:] = european.greeks(**_named(terms), threads=1).vega
    filled[0][:] = _prices(terms, vega=vega)


def fill_boundaries(columns: Columns, filled: Columns) -> None:
    """Fill the spot at which exercise now becomes best; 0 (put) or infinite (call) where never."""
    terms = _full(columns, filled[0].size)
    puts = _puts(terms)
    log_boundary = np.full(len(puts), -np.inf)
    early = is_exercised_early(puts.rate, puts.dividend_yield)
    with np.errstate(divide="ignore", invalid="ignore"):
        still = np.where(puts.dividend_yield > puts.rate, puts.rate / puts.dividend_yield, 1.0)
        log_boundary[early] = np.log(still[early])
    log_boundary[terms.years == 0] = 0.0
    for rows, piece in _early_pieces(terms, puts):
        log_boundary[rows] = piece.log_boundary(terms.volatility[rows])
    filled[0][:] = terms.strike * np.exp(np.where(terms.right < 0, log_boundary, -log_boundary))


def greeks_of(columns: Columns, shape: tuple[int, ...], *, threads: int | None) -> Greeks:
    """Return the greeks of flat inputs: right, spot, strike, years, rate, yield, volatility."""
    found = np.empty((_GREEKS, int(np.prod(shape))))
    in_blocks(_fill_greeks, columns, tuple(found), threads=threads)
    delta, gamma, theta, vega, rho = (row.reshape(shape) for row in found)
    later = partial(_second_order_of, columns, shape, threads=threads)
    return Greeks(delta, gamma, theta, vega, rho, later)


def _fill_greeks(columns: Columns, filled: Columns) -> None:
    """Fill delta, gamma, theta, vega and rho.

    Theta is what the Black-Scholes equation leaves (J. Hull, 10th ed., eq. 15.16): it holds where
    waiting is best. Rho is a central difference, since the boundary moves with the rate.
    """
    terms = _full(columns, filled[0].size)
    held = european.greeks(**_named(terms), threads=1)
    for column, found in zip(
        filled, (held.delta, held.gamma, held.theta_per_day, held.vega, held.rho), strict=True
    ):
        column[:] = found
    puts = _puts(terms)
    for rows, piece in _early_pieces(terms, puts):
        found_here = (*_piece_greeks(terms.at(rows), piece), _rho(terms.at(rows)))
        for column, found in zip(filled, found_here, strict=True):
            column[rows] = found


def _piece_greeks(terms: Terms, piece: Piece) -> tuple[Floats, Floats, Floats, Floats]:
    """Return delta, gamma, theta per day and vega."""
    strike, m = piece.puts.strike, np.exp(piece.puts.log_spot)
    values = piece.values(terms.volatility)
    slopes = piece.spot_slopes(terms.volatility)
    put = terms.right < 0
    delta = np.where(put, slopes.delta, values.price - m * slopes.delta)
    gamma = np.where(put, slopes.gamma, m * m * slopes.gamma) / strike
    decay = (
        terms.rate * strike * values.price
        - (terms.rate - terms.dividend_yield) * terms.spot * delta
        - 0.5 * np.square(terms.volatility * terms.spot) * gamma
    )
    alive = ~values.exercised
    return (
        np.where(alive, delta, terms.right),
        np.where(alive, gamma, 0.0),
        np.where(alive, decay / DAYS_PER_YEAR, 0.0),
        strike * values.vega * _PER_POINT,
    )


def _rho(terms: Terms) -> Floats:
    up, down = (
        _prices(replace(terms, rate=terms.rate + step)) for step in (_RATE_STEP, -_RATE_STEP)
    )
    return (up - down) * (_PER_POINT / (2.0 * _RATE_STEP))


def _second_order_of(
    columns: Columns, shape: tuple[int, ...], *, threads: int | None
) -> SecondOrderGreeks:
    """Return vanna, volga and charm as central differences of delta and vega."""
    *terms, years, rate, held, sigma = columns

    def at(years: Floats, sigma: Floats) -> Greeks:
        return greeks_of((*terms, years, rate, held, sigma), shape, threads=threads)

    wide = np.minimum(_VOLATILITY_STEP, 0.5 * sigma)
    up, down = at(years, sigma + wide), at(years, sigma - wide)
    points = np.reshape(np.broadcast_to(2.0 * wide, (up.delta.size,)), shape) / _PER_POINT
    long = np.minimum(_YEARS_STEP, 0.5 * years)
    later, sooner = at(years + long, sigma), at(years - long, sigma)
    days = np.reshape(np.broadcast_to(2.0 * long, (up.delta.size,)), shape) * DAYS_PER_YEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        return SecondOrderGreeks(
            vanna=np.where(points > 0, (up.delta - down.delta) / points, 0.0),
            volga=np.where(points > 0, (up.vega - down.vega) / points, 0.0),
            charm_per_day=np.where(days > 0, (sooner.delta - later.delta) / days, 0.0),
        )


def _prices(terms: Terms, *, vega: Floats | None = None) -> Floats:
    """Return the prices; fill the vegas of what is exercised early."""
    with np.errstate(invalid="ignore"):
        quiet = (terms.volatility == 0) | (terms.years == 0)
    exercise = terms.right * (terms.spot - terms.strike)
    found = np.maximum(european.price(**_named(terms)), exercise)
    if quiet.any():
        found = np.where(quiet, value_without_volatility(terms, dividend_schedule(())), found)
    for rows, piece in _early_pieces(terms, _puts(terms)):
        values = piece.values(terms.volatility[rows], with_vega=vega is not None)
        if vega is not None:
            vega[rows] = piece.puts.strike * values.vega * _PER_POINT
        found[rows] = np.where(values.exercised, exercise[rows], piece.puts.strike * values.price)
    return found


def _early_pieces(terms: Terms, puts: Puts) -> "list[tuple[Rows, Piece]]":
    """Return the rows, and the puts laid out, of what may be exercised early and still moves."""
    with np.errstate(invalid="ignore"):
        moves = (terms.volatility > 0) & (terms.years > 0) & terms.finite
        rows = np.flatnonzero(moves & is_exercised_early(puts.rate, puts.dividend_yield))
    chosen, volatility = puts.at(rows), terms.volatility[rows]
    laid_out = []
    for part in pieces(chosen, volatility):
        sigma = volatility[part]
        laid_out.append((rows[part], Piece.of(chosen.at(part), lowest=sigma, highest=sigma)))
    return laid_out


def _puts(terms: Terms) -> Puts:
    return Puts.of(
        terms.right, terms.spot, terms.strike, terms.years, terms.rate, terms.dividend_yield
    )


def _named(terms: Terms) -> dict[str, Floats]:
    return {name: getattr(terms, name) for name in Terms.__slots__}


def _full(columns: Columns, size: int) -> Terms:
    return Terms(*(np.broadcast_to(column, (size,)) for column in columns))
