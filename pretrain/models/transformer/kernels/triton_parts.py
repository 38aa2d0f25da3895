"""What the attention programs share: where a tile lies, its tokens, its dropout, its bias.

A program finds its sequence through tables (``Layout.tiles``): TILES (2, P) holds the sequence and the first row of
every tile, SPANS (4, S) first token, length, width of a row of scores, and values of scores before the sequence.
Pointers are moved to the sequence and head once, so that offsets within a tile have 32 bits. Rows of scores begin at
multiples of 16 values, which the compiler is told, and it reads and writes them by the 16 bytes: what lies between the
length and the width is written without meaning and must not be used.

Shapes in comments: M queries of a tile, K keys of a tile, h head size (padded to a power of two).
"""

import triton
import triton.language as tl


@triton.jit
def place(TILES, SPANS, programs, sequences, heads, tile, head):
    """Sequence, first row of the tile, first token, length, width, first cell of the scores of this head."""
    sequence = tl.load(TILES + tile)
    row = tl.load(TILES + programs + tile)
    first = tl.load(SPANS + sequence)
    length = tl.load(SPANS + sequences + sequence).to(tl.int32)
    width = tl.load(SPANS + 2 * sequences + sequence)
    cell = tl.load(SPANS + 3 * sequences + sequence) * heads + head * width * length  # beyond 32 bits
    # said here, as it does not outlive the call; tiles have 16 rows at least, widths are multiples of ROW_STEP
    row, width, cell = (
        tl.multiple_of(row.to(tl.int32), 16),
        tl.multiple_of(width.to(tl.int32), 16),
        tl.multiple_of(cell, 16),
    )
    return sequence, row, first, length, width, cell


@triton.jit
def load_tokens(X, rows, length, stride, size, SIZE: tl.constexpr):
    """(rows, h) from the first value of a sequence and head, zero beyond the sequence."""
    d = tl.arange(0, SIZE)
    return tl.load(
        X + rows[:, None] * stride + d[None, :], mask=(rows < length)[:, None] & (d < size)[None, :], other=0.0
    )


@triton.jit
def store_tokens(X, value, rows, length, stride, size, SIZE: tl.constexpr):
    """Write (rows, h), nothing beyond the sequence."""
    d = tl.arange(0, SIZE)
    at = X + rows[:, None] * stride + d[None, :]
    tl.store(at, value.to(X.dtype.element_ty), mask=(rows < length)[:, None] & (d < size)[None, :])


@triton.jit
def hashed(x, seed, stream):
    """A hash of 32 bits with two keys; Philox gives the keys, per value it would cost more than the products."""
    key, other, _, _ = tl.randint4x(seed, stream)
    x = x.to(tl.uint32) ^ key.to(tl.uint32, bitcast=True)
    x ^= x >> 16
    x = tl.mul(x, 0x7FEB352D, sanitize_overflow=False)
    x ^= (x >> 15) ^ other.to(tl.uint32, bitcast=True)
    x = tl.mul(x, 0x846CA68B, sanitize_overflow=False)
    x ^= x >> 16
    return x


@triton.jit
def kept_along_keys(seed, sequence, heads, head, rows, start, width, threshold, TILE: tl.constexpr):
    """Whether probabilities (M, K) survive dropout; one hash decides for two keys, 16 bits each."""
    pair = start // 2 + tl.arange(0, TILE // 2)
    x = hashed(rows[:, None] * width + pair[None, :], seed, (sequence * heads + head).to(tl.int32))
    even, odd = (x & 0xFFFF).to(tl.int32) >= threshold, (x >> 16).to(tl.int32) >= threshold
    return tl.join(even, odd).reshape(TILE, TILE)


@triton.jit
def kept_along_queries(seed, sequence, heads, head, rows, columns, width, threshold):
    """The same for tiles (K, M)."""
    x = hashed(rows[None, :] * width + (columns // 2)[:, None], seed, (sequence * heads + head).to(tl.int32))
    half = (x >> ((columns & 1) * 16).to(tl.uint32)[:, None]) & 0xFFFF
    return half.to(tl.int32) >= threshold


@triton.jit
def biased(s, SLOPES, head, queries, keys, SLOPED: tl.constexpr, CAUSAL: tl.constexpr):
    """Scores in units of log 2 less the penalty on distance, minus infinity at keys after the query."""
    if SLOPED:
        s -= tl.load(SLOPES + head) * 1.4426950408889634 * tl.abs(queries - keys).to(tl.float32)
    if CAUSAL:
        s = tl.where(queries >= keys, s, -float("inf"))
    return s


@triton.jit
def end_of_keys(row, length, CAUSAL: tl.constexpr, TILE: tl.constexpr):
    """Where the keys end that a tile of queries beginning at ``row`` sees."""
    end = length
    if CAUSAL:
        end = tl.minimum(row + TILE, length)
    return end
