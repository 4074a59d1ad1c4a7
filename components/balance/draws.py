"""Random numbers that depend on nothing but their name: the seed, which face, and which of its numbers.

No generator is carried along, so any face can be made first, last, alone or on another core, and comes out the same.
The numbers are SplitMix64's (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014), in integer
arithmetic modulo 2**64 only: alike on every machine.
"""

from __future__ import annotations

import numpy as np

_GAMMA = 0x9E3779B97F4A7C15


def scramble(value: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: uint64 to uint64, of any shape, a bijection."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def key_of(seed: int, *names: np.ndarray | int) -> np.ndarray:
    """A key for each tuple of `names` (integers or integer arrays of one shape) under a seed: uint64 of that shape."""
    key = scramble(np.array([seed], np.uint64))  # one element, not none: NumPy warns of overflow in scalars
    for name in names:
        key = scramble(key ^ scramble(np.atleast_1d(name).astype(np.uint64) * np.uint64(2) + np.uint64(1)))
    return key


def draw(key: np.ndarray, count: int) -> np.ndarray:
    """The first `count` numbers of each key's SplitMix64 stream: uint64 (n,) to uint64 (n, count)."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return scramble(key[:, None] + steps)


def below(number: np.ndarray, bound: int) -> np.ndarray:
    """Even integers 0..bound-1 from uint64 numbers, for bounds far below 2**32: int64 of the same shape."""
    return ((number >> np.uint64(32)) * np.uint64(bound) >> np.uint64(32)).astype(np.int64)
