"""Records of files without samples, a megabyte at a time: separators are found for all of them at once.

What nearly every record is, one base for another with a frequency in decimals, becomes numbers here; all others are
named, for a close look. The numbers are those that Python makes of the same text: a mantissa below 2^53 over a power of
ten up to 22 is one correctly rounded division.
"""

from typing import NamedTuple

import numpy as np

from data_prep.variants.alleles import LETTER_CODE, SEVERAL
from data_prep.variants.definition import ALLELE
from data_prep.variants.vcf_header import COLUMNS

PAD = 32  # bytes on both sides, so that words that end in the first record or begin in the last stay inside
POS_DIGITS, FRACTION_DIGITS = 10, 12
WORD, LONGEST_VALUE = 8, 24  # bytes; a frequency of more is looked at closely
TENS = 10.0 ** np.arange(23)
# For eight digits in the bytes of a number, after D. Lemire's "Quickly parsing eight digits" (2018).
ZEROS, ABOVE_NINE, HIGH_BITS, LOW_BITS, SEMICOLONS = (
    np.uint64(int(byte * WORD, 16)) for byte in ("30", "76", "80", "01", "3b")
)
PAIRS = np.uint64(0x000000FF000000FF)
LOW_PAIRS, HIGH_PAIRS = np.uint64(100 + (1_000_000 << 32)), np.uint64(1 + (10_000 << 32))
TAB, LINE_FEED, ZERO, DOT, MINUS, SEMICOLON = b"\t\n0.-;"
PASS = np.frombuffer(b"PASS", "<u4")[0]


class PlainRows(NamedTuple):
    """N records of one contig.

    plain bool (N,): which are plain; alleles ALLELE (P,): of those. starts, stops int64 (N,): the lines in the text.
    """

    contig: bytes
    plain: np.ndarray
    alleles: np.ndarray
    starts: np.ndarray
    stops: np.ndarray


def plain_rows(text: bytes, key: str, *, filter_pass: bool) -> PlainRows | None:
    """The records of whole lines; None unless all have eight columns and the same contig.

    key: of INFO, with the frequency. filter_pass: a record is plain only if its FILTER is PASS or empty.
    """
    letters = np.frombuffer(bytes(PAD) + text + bytes(PAD), np.uint8)
    line_ends = letters == LINE_FEED
    separators = np.flatnonzero(line_ends | (letters == TAB))
    size, rest = divmod(len(separators), COLUMNS)
    if rest or not size or np.count_nonzero(line_ends) != size:
        return None
    ends = np.ascontiguousarray(separators.reshape(size, COLUMNS).T)  # of each column, (8, N)
    stops = ends[-1]
    starts = np.concatenate([[PAD], stops[:-1] + 1])
    width = int(ends[0, 0]) - PAD
    if not width or (letters[stops] != LINE_FEED).any() or (ends[0] - starts != width).any():
        return None
    if not _all_begin_alike(letters, starts, width):
        return None

    position, plain = _whole_number(letters, ends[0] + 1, ends[1])
    single = (ends[3] - ends[2] == 2) & (ends[4] - ends[3] == 2)
    reference, alternative = LETTER_CODE[letters[ends[2] + 1]], LETTER_CODE[letters[ends[3] + 1]]
    plain &= single & (reference != SEVERAL) & (alternative != SEVERAL)
    if filter_pass:
        plain &= _passes(letters, ends[5] + 1, ends[6])
    values, known = _values_of(letters, key.encode() + b"=", ends[6], stops)
    frequency, good = _frequency(letters, *values)
    plain &= known & good & (frequency <= 1)

    alleles = np.empty(int(plain.sum()), ALLELE)
    for name, column in (("pos0", position - 1), ("ref", reference), ("alt", alternative), ("frequency", frequency)):
        alleles[name] = column[plain]
    return PlainRows(text[:width], plain, alleles, starts - PAD, stops - PAD)


def _words(letters: np.ndarray, kind: str = "<u8") -> np.ndarray:
    """The word of 8 bytes (or another kind) that begins at each byte: a view, of which some are taken."""
    kind_of = np.dtype(kind)
    return np.ndarray(len(letters) - kind_of.itemsize + 1, kind_of, letters, strides=(1,))


def _all_begin_alike(letters: np.ndarray, starts: np.ndarray, width: int) -> bool:
    """Whether the `width` bytes at all starts (N,) are those at the first."""
    words = _words(letters)
    for at in range(0, width, WORD):
        unused = np.uint64(8 * max(at + WORD - width, 0))
        found = words[starts + at] << unused
        if (found != found[0]).any():
            return False
    return True


def _whole_number(letters: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 (N,) of the digits letters[start:stop], and bool (N,): whether it is one of up to POS_DIGITS digits."""
    number, good = _last_digits(letters, stop, stop - start, POS_DIGITS)
    return number, good & (stop > start)


def _last_digits(letters: np.ndarray, stop: np.ndarray, count: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 (N,) of the last `count` digits before `stop`, and bool (N,): whether they are, and at most `most`."""
    number, good = _eight_digits(letters, stop, np.minimum(count, 8))
    longer = np.flatnonzero(count > 8)
    if len(longer):
        high, fine = _eight_digits(letters, stop[longer] - 8, np.minimum(count[longer] - 8, 8))
        number[longer] += high * 10**8
        good[longer] &= fine
    return number, good & (count <= most)


def _eight_digits(letters: np.ndarray, stop: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of up to eight digits: their bytes are one number, and three multiplications add up all eight places."""
    word = _words(letters)[np.maximum(stop - WORD, 0)] ^ ZEROS  # the last digit is the highest byte
    unused = (8 * (8 - np.maximum(count, 1))).astype(np.uint64)
    word = np.where(count > 0, (word >> unused) << unused, np.uint64(0))
    good = (((word + ABOVE_NINE) | word) & HIGH_BITS) == 0
    word = word * np.uint64(10) + (word >> np.uint64(8))  # pairs of digits
    word = (word & PAIRS) * LOW_PAIRS + ((word >> np.uint64(16)) & PAIRS) * HIGH_PAIRS
    return (word >> np.uint64(32)).astype(np.int64), good


def _passes(letters: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Whether letters[start:stop] are PASS or a dot, bool (N,)."""
    named = _words(letters, "<u4")[start] == PASS
    return np.where(stop - start == 4, named, (stop - start == 1) & (letters[start] == DOT))


def _values_of(
    letters: np.ndarray, key: bytes, before: np.ndarray, stops: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Start and stop of the value of `key` in INFO, and bool (N,): whether a record has the key exactly once."""
    last = len(letters) - len(key)
    found = letters[:last] == key[0]
    for offset in range(1, len(key)):
        found &= letters[offset : last + offset] == key[offset]
    at = np.flatnonzero(found)
    at = at[(letters[at - 1] == SEMICOLON) | (letters[at - 1] == TAB)]
    if len(at) == len(stops) and ((at > before) & (at < stops)).all():  # nearly always
        start, known = at + len(key), np.ones(len(stops), bool)
    else:
        row = np.searchsorted(stops, at)
        inside = at > before[row]
        at, row = at[inside], row[inside]
        start = np.full(len(stops), PAD)
        start[row] = at + len(key)
        known = np.bincount(row, minlength=len(stops)) == 1
    stop = np.minimum(start + _bytes_before_semicolon(letters, start), stops)
    return (start, stop), known


def _bytes_before_semicolon(letters: np.ndarray, start: np.ndarray) -> np.ndarray:
    """How many bytes from `start` on (N,) are no semicolon, at most LONGEST_VALUE: word by word."""
    words = _words(letters)
    count, going_on = np.zeros(len(start), np.int64), np.ones(len(start), bool)
    for at in range(0, LONGEST_VALUE, WORD):
        word = words[start + at] ^ SEMICOLONS  # a semicolon is a zero byte, and the lowest one gets the lowest bit
        zeros = (word - LOW_BITS) & ~word & HIGH_BITS
        here = np.bitwise_count((zeros & -zeros) - np.uint64(1)) >> 3  # all 8 where there is none
        count += np.where(going_on, here, 0)
        going_on &= here == WORD
        if not going_on.any():
            break
    return count


def _frequency(letters: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 (N,) of letters[start:stop], and bool (N,): whether they are `d`, `d.ddd` or one of these and `e-dd`."""
    small = (stop - start > 4) & (letters[stop - 3] == MINUS) & ((letters[stop - 4] | 0x20) == ord("e"))
    exponent, good = np.zeros(len(stop), np.int64), np.ones(len(stop), bool)
    rows = np.flatnonzero(small)
    if len(rows):
        exponent[rows], good[rows] = _eight_digits(letters, stop[rows], np.full(len(rows), 2))
        stop = np.where(small, stop - 4, stop)
    size = stop - start
    places = np.maximum(size - 2, 0)
    first = letters[start] - np.uint8(ZERO)
    fraction, digits = _last_digits(letters, stop, places, FRACTION_DIGITS)
    power = places + exponent
    good &= digits & (first <= 9) & ((size == 1) | ((size > 1) & (letters[start + 1] == DOT))) & (power < len(TENS))
    mantissa = first * TENS[np.minimum(places, FRACTION_DIGITS)] + fraction
    return mantissa / TENS[np.minimum(power, len(TENS) - 1)], good
