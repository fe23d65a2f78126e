"""Random numbers as a pure function of what they are for: the same numbers as training/random/philox.ts, as arrays.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011). The key is the run's seed, the counter says which block, which
occasion (training step, epoch, parameter) and which purpose.
"""

import numpy as np

# Part of every run's results: never renumbered.
PURPOSE = {"weights": 0, "shuffle": 1, "posterior": 2, "prior": 3, "scheduling": 4, "noise": 5, "flips": 6}

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ROUNDS = 10


def philox4x32(counter, key):
    """Blocks of four words. counter: four arrays of uint64 below 2^32; key: two integers; returns four such arrays."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0 = _MULTIPLIERS[0] * c0
        product1 = _MULTIPLIERS[1] * c2
        c0 = (product1 >> _32) ^ c1 ^ np.uint64(k0)
        c1 = product1 & _LOW
        c2 = (product0 >> _32) ^ c3 ^ np.uint64(k1)
        c3 = product0 & _LOW
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(seed, purpose, occasion, count):
    """The first `count` words of a sequence, uint64 in 0 .. 2^32 - 1. seed: 0 .. 2^53 - 1; purpose: a key of PURPOSE."""
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    fixed = np.full_like(block, occasion), np.full_like(block, PURPOSE[purpose]), np.zeros_like(block)
    blocks = philox4x32((block, *fixed), (seed % 2**32, seed // 2**32))
    return np.stack(blocks, axis=1).reshape(-1)[:count]


def uniform(seed, purpose, occasion, count):
    """float64 in [0, 1), in steps of 2^-32."""
    return words(seed, purpose, occasion, count) / 2.0**32


def below(seed, purpose, occasion, count, bound):
    """int64 in 0 .. bound - 1; bound is one integer of at most 2^20, or one for each number."""
    return (words(seed, purpose, occasion, count) * np.asarray(bound, dtype=np.uint64) >> _32).astype(np.int64)


def normal(seed, purpose, occasion, count):
    """float64, mean 0, variance 1 (Box and Muller, two words for each)."""
    pairs = words(seed, purpose, occasion, 2 * count).reshape(count, 2).astype(np.float64)
    radius = np.sqrt(-2 * np.log((pairs[:, 0] + 1) / 2.0**32))
    return radius * np.cos(2 * np.pi * (pairs[:, 1] / 2.0**32))


def permutation(seed, purpose, occasion, count):
    """0 .. count - 1 in a random order (Fisher and Yates), int64."""
    picks = below(seed, purpose, occasion, count - 1, np.arange(count, 1, -1)).tolist() if count > 1 else []
    order = list(range(count))
    for i, j in zip(range(count - 1, 0, -1), picks):
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)
