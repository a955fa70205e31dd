"""Functions of the normal distribution, from scipy.special.

scipy is imported with the first question: every process that loads the graph imports this room, the
one that carries an approval to the broker too, and asks for no price.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ndtr(x: ArrayLike, out: Floats | None = None) -> Any:
    """Return the standard normal probability of a value up to x."""
    from scipy import special

    return special.ndtr(x, out=out)


def log_ndtr(x: ArrayLike) -> Any:
    """Return the logarithm of `ndtr`, exact where that underflows."""
    from scipy import special

    return special.log_ndtr(x)


def ndtri(share: ArrayLike) -> Any:
    """Return the value up to which a standard normal lies with this probability."""
    from scipy import special

    return special.ndtri(share)


def erfcx(x: ArrayLike) -> Any:
    """Return the scaled complementary error function exp(x^2) erfc(x)."""
    from scipy import special

    return special.erfcx(x)
