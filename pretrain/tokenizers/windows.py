"""Windows of neighboring letters as numbers: ids of k-mers, cells of motif tables."""

from __future__ import annotations

import numpy as np


def window_numbers(digits: np.ndarray, letters: int, base: int = 4) -> np.ndarray:
    """Read every window of so many digits, uint8 (L,), as a number, the first digit most significant.

    Halves are combined, most of them in single bytes: a few cheap passes. (numpy multiplies bytes ten times as fast as
    it shifts them.)

    Args:
        digits: below ``base``.
        letters: digits per window.
        base: of the number.

    Returns:
        (L - letters + 1,), or none, in the narrowest type that holds them.
    """
    if letters == 1:
        return digits
    first = (letters + 1) // 2
    kind = np.min_scalar_type(base**letters - 1)
    left = window_numbers(digits, first, base)
    right = left if 2 * first == letters else window_numbers(digits, letters - first, base)
    count = max(len(digits) - letters + 1, 0)
    numbers = np.multiply(left[:count], base ** (letters - first), dtype=kind)
    numbers += right[first : first + count]
    return numbers
