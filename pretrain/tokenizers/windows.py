"""Windows of neighbouring letters as numbers: ids of k-mers, cells of motif tables."""

from __future__ import annotations

import numpy as np


def window_numbers(digits: np.ndarray, letters: int, base: int = 4) -> np.ndarray:
    """Every window of so many digits, uint8 (L,), as a number, the first digit most significant.

    Halves are put together, most of them in single bytes: a few cheap passes. (numpy multiplies bytes ten times as fast
    as it shifts them.)

    Returns:
        (L - letters + 1,), or none, as narrow as the numbers allow.
    """
    if letters == 1:
        return digits
    first = 1 << ((letters - 1).bit_length() - 1)  # digits of the first half, a power of 2
    kind = np.min_scalar_type(base**letters - 1)
    left = window_numbers(digits, first, base)
    right = left if 2 * first == letters else window_numbers(digits, letters - first, base)
    count = max(len(digits) - letters + 1, 0)
    return np.multiply(left[:count], base ** (letters - first), dtype=kind) + right[first : first + count]
