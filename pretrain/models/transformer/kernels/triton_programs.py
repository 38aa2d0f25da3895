"""What runs on the GPU: attention over packed sequences, one program per tile of queries (or keys) and head.

Tensors of tokens are (N, H, h), contiguous. A program finds its sequence through tables (``Layout.tiles``): TILES
(2, P) holds the sequence and the first row of every tile, SPANS (4, S) first token, length, width of a row of scores,
and pairs of tokens before the sequence. Cell (i, j) of the scores of a head lies at H * pairs + head * width^2 +
i * width + j.

Shapes in comments: M queries of a tile, K keys of a tile, h head size (padded to a power of two).
"""

import triton
import triton.language as tl

# of these a new value must not mean a new compilation
_VARYING = ["programs", "sequences", "seed"]


@triton.jit
def _place(TILES, SPANS, programs, sequences, heads, tile, head):
    """Sequence, first row, first token, length, width, first cell."""
    sequence = tl.load(TILES + tile)
    row = tl.load(TILES + programs + tile)
    first = tl.load(SPANS + sequence)
    length = tl.load(SPANS + sequences + sequence).to(tl.int32)
    width = tl.load(SPANS + 2 * sequences + sequence)
    cell = tl.load(SPANS + 3 * sequences + sequence) * heads + head * width * width  # beyond 32 bits
    return sequence, row.to(tl.int32), first, length, width.to(tl.int32), cell


@triton.jit
def _tokens(X, first, rows, length, heads, head, size, SIZE: tl.constexpr):
    """(rows, h) of one head, zero beyond the sequence."""
    d = tl.arange(0, SIZE)
    at = X + ((first + rows) * heads + head)[:, None] * size + d[None, :]
    return tl.load(at, mask=(rows < length)[:, None] & (d < size)[None, :], other=0.0)


@triton.jit
def _store_tokens(X, value, first, rows, length, heads, head, size, SIZE: tl.constexpr):
    d = tl.arange(0, SIZE)
    at = X + ((first + rows) * heads + head)[:, None] * size + d[None, :]
    tl.store(at, value.to(X.dtype.element_ty), mask=(rows < length)[:, None] & (d < size)[None, :])


@triton.jit
def _kept(seed, sequence, heads, head, rows, columns, width, rate):
    """Whether probabilities (M, K) survive dropout: a hash of the cell with two keys, the same in every pass.

    Philox gives the keys, once per program; per cell it would cost more than the products of a tile.
    """
    key, other, _, _ = tl.randint4x(seed, (sequence * heads + head).to(tl.int32))
    x = (rows[:, None] * width + columns[None, :]).to(tl.uint32) ^ key.to(tl.uint32, bitcast=True)
    x ^= x >> 16
    x = tl.mul(x, 0x7FEB352D, sanitize_overflow=False)
    x ^= (x >> 15) ^ other.to(tl.uint32, bitcast=True)
    x = tl.mul(x, 0x846CA68B, sanitize_overflow=False)
    x ^= x >> 16
    return (x >> 8).to(tl.float32) * 5.9604644775390625e-08 >= rate  # 2^-24


@triton.jit
def _biased(s, SLOPES, head, rows, columns, SLOPED: tl.constexpr, CAUSAL: tl.constexpr):
    """Scores (M, K) less the penalty on distance, and minus infinity at keys after the query."""
    if SLOPED:
        s -= tl.load(SLOPES + head) * tl.abs(rows[:, None] - columns[None, :]).to(tl.float32)
    if CAUSAL:
        s = tl.where(rows[:, None] >= columns[None, :], s, -float("inf"))
    return s


@triton.jit
def _end_of_keys(row, length, CAUSAL: tl.constexpr, TILE: tl.constexpr):
    """Where the keys end that a tile of queries beginning at ``row`` sees."""
    end = length
    if CAUSAL:
        end = tl.minimum(row + TILE, length)
    return end


@triton.jit(do_not_specialize=_VARYING)
def forward(
    Q, K, V, BEFORE, AFTER, OUT, LSE, SLOPES, TILES, SPANS, programs, sequences, heads, size, scale, seed, rate,
    HAS_BEFORE: tl.constexpr, WRITE: tl.constexpr, DROP: tl.constexpr, SLOPED: tl.constexpr, CAUSAL: tl.constexpr,
    SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """S = q k^T scale + BEFORE or bias, written to AFTER; OUT = dropout(softmax(S)) v; LSE (N, H) = log sum exp S."""
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = _place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows = row + tl.arange(0, TILE)
    q = _tokens(Q, first, rows, length, heads, head, size, SIZE)
    top = tl.full([TILE], -float("inf"), tl.float32)
    total = tl.zeros([TILE], tl.float32)
    mixed = tl.zeros([TILE, SIZE], tl.float32)
    for start in range(0, _end_of_keys(row, length, CAUSAL, TILE), TILE):
        columns = start + tl.arange(0, TILE)
        real = (rows < length)[:, None] & (columns < length)[None, :]
        k = _tokens(K, first, columns, length, heads, head, size, SIZE)
        s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale  # (M, K)
        s = _biased(s, SLOPES, head, rows, columns, SLOPED, CAUSAL)
        if HAS_BEFORE:
            at = cell + rows[:, None] * width + columns[None, :]
            s += tl.load(BEFORE + at, mask=real, other=0.0).to(tl.float32)
            s = s.to(BEFORE.dtype.element_ty).to(tl.float32)  # what the layer above and the backward pass will see
            if WRITE:
                tl.store(AFTER + at, s.to(AFTER.dtype.element_ty), mask=real)
        s = tl.where((columns < length)[None, :], s, -float("inf"))
        higher = tl.maximum(top, tl.max(s, 1))
        p = tl.exp(s - higher[:, None])
        shrink = tl.exp(top - higher)
        total = total * shrink + tl.sum(p, 1)
        top = higher
        if DROP:
            p = tl.where(_kept(seed, sequence, heads, head, rows, columns, width, rate), p, 0.0)
        v = _tokens(V, first, columns, length, heads, head, size, SIZE)
        mixed = mixed * shrink[:, None] + tl.dot(p.to(v.dtype), v, input_precision=PRECISION)
    if DROP:
        mixed = mixed / (1.0 - rate)
    _store_tokens(OUT, mixed / total[:, None], first, rows, length, heads, head, size, SIZE)
    tl.store(LSE + (first + rows) * heads + head, top + tl.log(total), mask=rows < length)


@triton.jit(do_not_specialize=_VARYING)
def add_product(
    Q, K, SCORES, TILES, SPANS, programs, sequences, heads, size, scale,
    SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """SCORES += q k^T scale."""
    head = tl.program_id(1)
    _, row, first, length, width, cell = _place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows = row + tl.arange(0, TILE)
    q = _tokens(Q, first, rows, length, heads, head, size, SIZE)
    for start in range(0, length, TILE):
        columns = start + tl.arange(0, TILE)
        real = (rows < length)[:, None] & (columns < length)[None, :]
        k = _tokens(K, first, columns, length, heads, head, size, SIZE)
        at = SCORES + cell + rows[:, None] * width + columns[None, :]
        s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        s += tl.load(at, mask=real, other=0.0).to(tl.float32)
        tl.store(at, s.to(SCORES.dtype.element_ty), mask=real)


@triton.jit
def _gradient_of_scores(
    q, k, v, do, lse, delta, SCORES, SLOPES, at, real, seed, rate, sequence, heads, head, rows, columns, width, scale,
    HAS_SCORES: tl.constexpr, DROP: tl.constexpr, SLOPED: tl.constexpr, CAUSAL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Probabilities (M, K), the same after dropout, and the gradient of the softmax: P (dP - rowsum(dP P))."""
    if HAS_SCORES:
        s = tl.load(SCORES + at, mask=real, other=0.0).to(tl.float32)
    else:
        s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        s = _biased(s, SLOPES, head, rows, columns, SLOPED, CAUSAL)
    p = tl.where(real, tl.exp(s - lse[:, None]), 0.0)
    dp = tl.dot(do, tl.trans(v), input_precision=PRECISION)
    dropped = p
    if DROP:
        kept = _kept(seed, sequence, heads, head, rows, columns, width, rate)
        dp = tl.where(kept, dp / (1.0 - rate), 0.0)
        dropped = tl.where(kept, p / (1.0 - rate), 0.0)
    return dropped, p * (dp - delta[:, None])


@triton.jit(do_not_specialize=_VARYING)
def backward_queries(
    Q, K, V, DO, LSE, DELTA, SCORES, GRAD, SLOPES, DQ, TILES, SPANS, programs, sequences, heads, size, scale, seed,
    rate, HAS_SCORES: tl.constexpr, HAS_GRAD: tl.constexpr, DROP: tl.constexpr, SLOPED: tl.constexpr,
    CAUSAL: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """DQ, one tile of queries against all keys; GRAD += gradient of the softmax, in place."""
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = _place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows = row + tl.arange(0, TILE)
    q = _tokens(Q, first, rows, length, heads, head, size, SIZE)
    do = _tokens(DO, first, rows, length, heads, head, size, SIZE)
    lse = tl.load(LSE + (first + rows) * heads + head, mask=rows < length, other=0.0)
    delta = tl.load(DELTA + (first + rows) * heads + head, mask=rows < length, other=0.0)
    dq = tl.zeros([TILE, SIZE], tl.float32)
    for start in range(0, _end_of_keys(row, length, CAUSAL, TILE), TILE):
        columns = start + tl.arange(0, TILE)
        real = (rows < length)[:, None] & (columns < length)[None, :]
        at = cell + rows[:, None] * width + columns[None, :]
        k = _tokens(K, first, columns, length, heads, head, size, SIZE)
        v = _tokens(V, first, columns, length, heads, head, size, SIZE)
        _, ds = _gradient_of_scores(
            q, k, v, do, lse, delta, SCORES, SLOPES, at, real, seed, rate, sequence, heads, head, rows, columns, width,
            scale, HAS_SCORES, DROP, SLOPED, CAUSAL, PRECISION,
        )  # fmt: skip
        if HAS_GRAD:
            ds += tl.load(GRAD + at, mask=real, other=0.0).to(tl.float32)
            tl.store(GRAD + at, ds.to(GRAD.dtype.element_ty), mask=real)
        dq += tl.dot(ds.to(k.dtype), k, input_precision=PRECISION)
    _store_tokens(DQ, dq * scale, first, rows, length, heads, head, size, SIZE)


@triton.jit(do_not_specialize=_VARYING)
def backward_keys(
    Q, K, V, DO, LSE, DELTA, SCORES, GRAD, SLOPES, DK, DV, TILES, SPANS, programs, sequences, heads, size, scale, seed,
    rate, HAS_SCORES: tl.constexpr, HAS_GRAD: tl.constexpr, DROP: tl.constexpr, SLOPED: tl.constexpr,
    CAUSAL: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """DK and DV, one tile of keys against all queries; GRAD already holds the whole gradient of the scores."""
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = _place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    columns = row + tl.arange(0, TILE)
    k = _tokens(K, first, columns, length, heads, head, size, SIZE)
    v = _tokens(V, first, columns, length, heads, head, size, SIZE)
    dk = tl.zeros([TILE, SIZE], tl.float32)
    dv = tl.zeros([TILE, SIZE], tl.float32)
    begin = 0
    if CAUSAL:
        begin = row  # queries before the first of these keys see none of them
    for start in range(begin, length, TILE):
        rows = start + tl.arange(0, TILE)
        real = (rows < length)[:, None] & (columns < length)[None, :]
        at = cell + rows[:, None] * width + columns[None, :]
        q = _tokens(Q, first, rows, length, heads, head, size, SIZE)
        do = _tokens(DO, first, rows, length, heads, head, size, SIZE)
        lse = tl.load(LSE + (first + rows) * heads + head, mask=rows < length, other=0.0)
        delta = tl.load(DELTA + (first + rows) * heads + head, mask=rows < length, other=0.0)
        dropped, ds = _gradient_of_scores(
            q, k, v, do, lse, delta, SCORES, SLOPES, at, real, seed, rate, sequence, heads, head, rows, columns, width,
            scale, HAS_SCORES, DROP, SLOPED, CAUSAL, PRECISION,
        )  # fmt: skip
        if HAS_GRAD:
            ds = tl.load(GRAD + at, mask=real, other=0.0).to(tl.float32)
        dv += tl.dot(tl.trans(dropped.to(do.dtype)), do, input_precision=PRECISION)
        dk += tl.dot(tl.trans(ds.to(q.dtype)), q, input_precision=PRECISION)
    _store_tokens(DK, dk * scale, first, columns, length, heads, head, size, SIZE)
    _store_tokens(DV, dv, first, columns, length, heads, head, size, SIZE)
