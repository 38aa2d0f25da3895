"""Seeds: short words of a sequence, the same on both strands, by which relatives are found.

A word takes letters at the places of a pattern; gapped patterns find diverged relatives that whole words miss (Ma et
al. 2002). Patterns are symmetric, so the word of the other strand is the complement read backwards, and the smaller of
the two stands for both. All words are seeds while they are few enough, else the minimizers of a window (Roberts et al.
2004).
"""

from collections.abc import Iterator

import numpy as np

from data_prep.corpus.ragged import Ragged

UNKNOWN = 4  # the code of a letter that is not A, C, G, T or U
CODES = np.full(256, UNKNOWN, np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    CODES[list(_letters)] = _code

# Half of a pattern, from its end to its middle; the first `weight` / 2 letters count. The second one is gapless.
HALF_PATTERNS = ("111011001011011", "111111111111111")
LEAST_WEIGHT, MOST_WEIGHT = 10, 16
BLOCK_LETTERS = 1 << 18  # worked on at a time, so that it stays in the processor's cache
ALL_WORDS_LETTERS = 1 << 28  # above this many letters only minimizers are seeds: the disk holds at most 2 to 4 GB
FEW_LETTERS = 1 << 23  # up to here the seeds lie in one part
NONE = np.uint32(0xFFFFFFFF)


def patterns_for(letters: int) -> list[np.ndarray]:
    """Offsets int64 (W,) of each pattern: so many letters that a word is rare by chance among `letters`."""
    by_chance = int(np.ceil(np.log2(max(letters, 2)) / 2)) + 2
    half = min(max(by_chance + 1, LEAST_WEIGHT), MOST_WEIGHT) // 2
    found = []
    for text in HALF_PATTERNS:
        ones = np.flatnonzero([letter == "1" for letter in text])[:half]
        found.append(np.concatenate([ones, 2 * ones[-1] + 1 - ones[::-1]]))
    return found


def window_for(letters: int) -> int:
    """Words of which the smallest is a seed: 1 means that all are."""
    window = 1
    while letters > ALL_WORDS_LETTERS * (window + 1) // 2:
        window *= 2
    return window


def words(codes: Ragged, pattern: np.ndarray, both_strands: bool) -> tuple[np.ndarray, np.ndarray]:
    """The word that begins at each letter of S sequences, scrambled: uint32 (n,), NONE where there is none.

    Also bool (n,): the word is that of the other strand.
    """
    span, letters = int(pattern[-1]) + 1, codes.values
    count = len(letters) - span + 1
    found, turned = np.full(len(letters), NONE, np.uint32), np.zeros(len(letters), bool)
    if count <= 0:
        return found, turned
    wide = letters.astype(np.uint32)
    forward: np.ndarray = np.zeros(count, np.uint32)
    backward: np.ndarray = np.zeros(count, np.uint32)
    for ours, theirs in zip(pattern.tolist(), pattern[::-1].tolist(), strict=True):
        forward = (forward << 2) | (wide[ours : ours + count] & 3)
        if both_strands:
            backward = (backward << 2) | (~wide[theirs : theirs + count] & 3)
    if both_strands:
        turned[:count] = backward < forward
        forward = np.minimum(forward, backward)
    unknown = np.concatenate([[0], np.cumsum(letters == UNKNOWN)])
    left = np.repeat(codes.offsets[1:], codes.lengths)[:count] - np.arange(count)
    whole = (left >= span) & (unknown[span:] == unknown[:count])
    forward = forward * np.uint32(0x9E3779B1)  # one to one: equal words stay equal, others stay apart
    forward = (forward ^ (forward >> 15)) * np.uint32(0x85EBCA6B)
    found[:count] = np.where(whole, forward ^ (forward >> 13), NONE)
    return found, turned


def minimizers(found: np.ndarray, window: int) -> np.ndarray:
    """Return the words uint32 (n,) that are the smallest of some `window` (a power of 2) words in a row, bool (n,)."""
    padded = np.concatenate([np.full(window - 1, NONE), found, np.full(window - 1, NONE)])
    lowest = _sliding(np.minimum, padded, window)
    return (_sliding(np.maximum, lowest, window) == found) & (found != NONE)


def _sliding(best: np.ufunc, values: np.ndarray, window: int) -> np.ndarray:
    size = 1
    while size < window:
        values = best(values[:-size], values[size:])
        size *= 2
    return values


def seed_blocks(
    codes: Ragged, pattern: np.ndarray, both_strands: bool, window: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(words uint32 (m,), places int64 (m,)) a block of sequences at a time.

    A place is twice the number of the letter among all of them, and 1 more if the word is that of the other strand.
    """
    first = 0
    while first < len(codes):
        reach = np.searchsorted(codes.offsets, codes.offsets[first] + BLOCK_LETTERS, side="right") - 1
        last = max(int(reach), first + 1)
        found, turned = words(codes.part(first, last), pattern, both_strands)
        at = np.flatnonzero(minimizers(found, window))
        yield found[at], ((at + codes.offsets[first]) << 1) | turned[at]
        first = last
