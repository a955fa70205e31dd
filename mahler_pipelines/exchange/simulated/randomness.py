"""Counter-based randomness: every draw is a function of its key, never of what was drawn before.

Paths use Philox streams (Salmon, Moraes, Dror & Shaw, SC11) whose counter is set to a channel and
a session. What belongs to single contracts uses SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) as
a hash, so that one contract can be asked for without drawing its whole chain.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class Draw(IntEnum):
    """What a number is drawn for; the values are part of a seed's meaning: never renumber."""

    DAILY_NORMALS = 1
    DAILY_MIXING = 2
    DAILY_JUMPS = 3
    DAILY_START = 15
    PATH_PRICE = 4
    PATH_VOLATILITY = 5
    QUOTE_WIDTH = 6
    QUOTE_SHIFT = 7
    QUOTE_AGE = 8
    BID_SIZE = 9
    ASK_SIZE = 10
    OPEN_INTEREST = 11
    VOLUME = 12
    LAST = 13
    SHARE_QUOTE = 14
    ASSIGNMENT = 16


def seed_key(seed: int) -> KeyArray:
    """Spread a seed over the two words of a Philox key."""
    return np.random.SeedSequence(seed).generate_state(2, np.uint64).astype(np.uint64)


def stream(key: KeyArray, draw: Draw, *, member: int = 0, session: int = 0) -> np.random.Generator:
    """Return the stream of one purpose, member (name or factor) and session."""
    counter = np.array([0, member, draw, session], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def mix(words: KeyArray) -> KeyArray:
    """Apply SplitMix64's finaliser to each word."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


def uniforms(key: KeyArray, draw: Draw, words: Sequence[ArrayLike]) -> FloatArray:
    """Hash broadcast integer words to uniforms in the open interval (0, 1)."""
    state = mix(key[:1] ^ (np.array([draw], dtype=np.uint64) * _GOLDEN))
    for word in words:
        as_unsigned = np.atleast_1d(np.asarray(word)).astype(np.uint64)
        state = mix((state ^ as_unsigned) + _GOLDEN)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
