"""What runs on the GPU: attention over packed sequences, one program per tile of queries (or keys) and head.

Tensors of tokens are (N, H, h), contiguous. Cell (i, j) of the scores of a head lies at H * before + head * length *
width + i * width + j. Exponentials are powers of two, which is what the hardware has, so LSE (N, H) is a logarithm to
base 2. Dropout keeps what a hash of 16 bits puts at or above ``threshold``, times ``keep``.
"""

import triton
import triton.language as tl

from pretrain.models.transformer.kernels.triton_parts import (
    biased,
    end_of_keys,
    kept_along_keys,
    kept_along_queries,
    load_tokens,
    place,
    store_tokens,
)

# of these a new value must not mean a new compilation
_VARYING = ["programs", "sequences", "seed", "threshold"]


@triton.jit(do_not_specialize=_VARYING)
def forward(
    Q, K, V, BEFORE, AFTER, OUT, LSE, SLOPES, TILES, SPANS, programs, sequences, heads, size, scale, seed, threshold,
    keep, HAS_BEFORE: tl.constexpr, WRITE: tl.constexpr, DROP: tl.constexpr, SLOPED: tl.constexpr,
    CAUSAL: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """S = q k^T scale + BEFORE or bias, written to AFTER; OUT = dropout(softmax(S)) v; LSE = log2 sum exp S."""
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows, stride, base = row + tl.arange(0, TILE), heads * size, (first * heads + head) * size
    Q += base
    K += base
    V += base
    OUT += base
    BEFORE += cell
    AFTER += cell
    q = load_tokens(Q, rows, length, stride, size, SIZE)
    top = tl.full([TILE], -float("inf"), tl.float32)
    total = tl.zeros([TILE], tl.float32)
    mixed = tl.zeros([TILE, SIZE], tl.float32)
    for start in range(0, end_of_keys(row, length, CAUSAL, TILE), TILE):
        columns = start + tl.arange(0, TILE)
        k = load_tokens(K, columns, length, stride, size, SIZE)
        s = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # (M, K)
        if HAS_BEFORE:
            real = (rows < length)[:, None] & (columns < width)[None, :]
            at = rows[:, None] * width + columns[None, :]
            s = s * scale + tl.load(BEFORE + at, mask=real, other=0.0).to(tl.float32)
            s = s.to(BEFORE.dtype.element_ty).to(tl.float32)  # what the layer above and the backward pass will see
            if WRITE:
                tl.store(AFTER + at, s.to(AFTER.dtype.element_ty), mask=real)
            s *= 1.4426950408889634
        else:
            s = biased(s * (scale * 1.4426950408889634), SLOPES, head, rows[:, None], columns[None, :], SLOPED, CAUSAL)
        s = tl.where((columns < length)[None, :], s, -float("inf"))
        higher = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - higher[:, None])
        shrink = tl.exp2(top - higher)
        total = total * shrink + tl.sum(p, 1)
        top = higher
        if DROP:
            p = tl.where(kept_along_keys(seed, sequence, heads, head, rows, start, width, threshold, TILE), p, 0.0)
        v = load_tokens(V, columns, length, stride, size, SIZE)
        mixed = mixed * shrink[:, None] + tl.dot(p.to(v.dtype), v, input_precision=PRECISION)
    if DROP:
        mixed *= keep
    store_tokens(OUT, mixed / total[:, None], rows, length, stride, size, SIZE)
    tl.store(LSE + (first + rows) * heads + head, top + tl.log2(total), mask=rows < length)


@triton.jit
def delta(DO, OUT, DELTA, rows, size, SIZE: tl.constexpr, TILE: tl.constexpr):
    """DELTA (N * H,) = sum of DO OUT over h, which is the row sum of dP P, dropout included."""
    row = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    d = tl.arange(0, SIZE)
    at, real = row[:, None] * size + d[None, :], (row < rows)[:, None] & (d < size)[None, :]
    products = tl.load(DO + at, mask=real, other=0.0).to(tl.float32) * tl.load(OUT + at, mask=real, other=0.0)
    tl.store(DELTA + row, tl.sum(products, 1), mask=row < rows)


@triton.jit(do_not_specialize=_VARYING)
def backward_queries(
    Q, K, V, DO, LSE, DELTA, SCORES, GRAD, SLOPES, DQ, TILES, SPANS, programs, sequences, heads, size, scale, seed,
    threshold, keep, HAS_SCORES: tl.constexpr, HAS_GRAD: tl.constexpr, ADD: tl.constexpr, DROP: tl.constexpr,
    SLOPED: tl.constexpr, CAUSAL: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """DQ, one tile of queries against all keys; GRAD = gradient of the softmax P (dP - DELTA), with ADD added to it."""
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows, stride, base = row + tl.arange(0, TILE), heads * size, (first * heads + head) * size
    Q += base
    K += base
    V += base
    DO += base
    DQ += base
    SCORES += cell
    GRAD += cell
    q = load_tokens(Q, rows, length, stride, size, SIZE)
    do = load_tokens(DO, rows, length, stride, size, SIZE)
    lse = tl.load(LSE + (first + rows) * heads + head, mask=rows < length, other=float("inf"))
    sums = tl.load(DELTA + (first + rows) * heads + head, mask=rows < length, other=0.0)
    dq = tl.zeros([TILE, SIZE], tl.float32)
    for start in range(0, end_of_keys(row, length, CAUSAL, TILE), TILE):
        columns = start + tl.arange(0, TILE)
        real = (rows < length)[:, None] & (columns < width)[None, :]
        at = rows[:, None] * width + columns[None, :]
        k = load_tokens(K, columns, length, stride, size, SIZE)
        v = load_tokens(V, columns, length, stride, size, SIZE)
        if HAS_SCORES:
            s = tl.load(SCORES + at, mask=real, other=0.0).to(tl.float32) * 1.4426950408889634
        else:
            s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * (scale * 1.4426950408889634)
            s = biased(s, SLOPES, head, rows[:, None], columns[None, :], SLOPED, CAUSAL)
        s = tl.where((columns < length)[None, :], s, -float("inf"))
        p = tl.exp2(s - lse[:, None])
        dp = tl.dot(do, tl.trans(v), input_precision=PRECISION)
        if DROP:
            kept = kept_along_keys(seed, sequence, heads, head, rows, start, width, threshold, TILE)
            dp = tl.where(kept, dp * keep, 0.0)
        ds = p * (dp - sums[:, None])
        if HAS_GRAD:
            if ADD:
                ds += tl.load(GRAD + at, mask=real, other=0.0).to(tl.float32)
            tl.store(GRAD + at, ds.to(GRAD.dtype.element_ty), mask=real)
        dq += tl.dot(ds.to(k.dtype), k, input_precision=PRECISION)
    store_tokens(DQ, dq * scale, rows, length, stride, size, SIZE)


@triton.jit(do_not_specialize=_VARYING)
def backward_keys(
    Q, K, V, DO, LSE, DELTA, SCORES, GRAD, SLOPES, DK, DV, TILES, SPANS, programs, sequences, heads, size, scale, seed,
    threshold, keep, HAS_SCORES: tl.constexpr, HAS_GRAD: tl.constexpr, REVERSE: tl.constexpr, DROP: tl.constexpr,
    SLOPED: tl.constexpr, CAUSAL: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """DK and DV, one tile of keys against STEP queries at a time; GRAD already holds the gradient of the scores.

    Tiles are (K, M), so that what multiplies from the left stays in registers. REVERSE: SCORES -= q k^T scale.
    """
    head = tl.program_id(1)
    sequence, row, first, length, width, cell = place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    columns, stride, base = row + tl.arange(0, TILE), heads * size, (first * heads + head) * size
    Q += base
    K += base
    V += base
    DO += base
    DK += base
    DV += base
    SCORES += cell
    GRAD += cell
    LSE += first * heads + head
    DELTA += first * heads + head
    k = load_tokens(K, columns, length, stride, size, SIZE)
    v = load_tokens(V, columns, length, stride, size, SIZE)
    dk = tl.zeros([TILE, SIZE], tl.float32)
    dv = tl.zeros([TILE, SIZE], tl.float32)
    begin = 0
    if CAUSAL:
        begin = row  # queries before the first of these keys see none of them
    for start in range(begin, length, STEP):
        rows = start + tl.arange(0, STEP)
        real = (rows < length)[None, :] & (columns < width)[:, None]
        at = rows[None, :] * width + columns[:, None]
        q = load_tokens(Q, rows, length, stride, size, SIZE)
        do = load_tokens(DO, rows, length, stride, size, SIZE)
        lse = tl.load(LSE + rows * heads, mask=rows < length, other=float("inf"))
        sums = tl.load(DELTA + rows * heads, mask=rows < length, other=0.0)
        if HAS_SCORES:
            s = tl.load(SCORES + at, mask=real, other=0.0).to(tl.float32)  # (K, M)
            if REVERSE:
                below = s - tl.dot(k, tl.trans(q), input_precision=PRECISION) * scale
                tl.store(SCORES + at, below.to(SCORES.dtype.element_ty), mask=real)
            s *= 1.4426950408889634
        else:
            s = tl.dot(k, tl.trans(q), input_precision=PRECISION) * (scale * 1.4426950408889634)
            s = biased(s, SLOPES, head, rows[None, :], columns[:, None], SLOPED, CAUSAL)
        s = tl.where((columns < length)[:, None], s, -float("inf"))
        p = tl.exp2(s - lse[None, :])
        dropped = p
        if DROP:
            kept = kept_along_queries(seed, sequence, heads, head, rows, columns, width, threshold)
            dropped = tl.where(kept, p, 0.0)
        if HAS_GRAD:
            ds = tl.load(GRAD + at, mask=real, other=0.0).to(tl.float32)
        else:
            dp = tl.dot(v, tl.trans(do), input_precision=PRECISION)
            if DROP:
                dp = tl.where(kept, dp * keep, 0.0)
            ds = p * (dp - sums[None, :])
        dv += tl.dot(dropped.to(do.dtype), do, input_precision=PRECISION)
        dk += tl.dot(ds.to(q.dtype), q, input_precision=PRECISION)
    if DROP:
        dv *= keep
    store_tokens(DK, dk * scale, columns, length, stride, size, SIZE)
    store_tokens(DV, dv, columns, length, stride, size, SIZE)


@triton.jit(do_not_specialize=["programs", "sequences"])
def class_scores(
    TABLE, CLASSES, OUT, TILES, SPANS, programs, sequences, heads, COUNT: tl.constexpr, TILE: tl.constexpr
):
    """OUT = TABLE (H, C, C) at the classes (N,) of query and key."""
    head = tl.program_id(1)
    _, row, first, length, width, cell = place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows = row + tl.arange(0, TILE)
    mine = tl.load(CLASSES + first + rows, mask=rows < length, other=0).to(tl.int32)
    for start in range(0, length, TILE):
        columns = start + tl.arange(0, TILE)
        theirs = tl.load(CLASSES + first + columns, mask=columns < length, other=0).to(tl.int32)
        values = tl.load(TABLE + (head * COUNT + mine)[:, None] * COUNT + theirs[None, :])
        real = (rows < length)[:, None] & (columns < width)[None, :]
        tl.store(OUT + cell + rows[:, None] * width + columns[None, :], values.to(OUT.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=["programs", "sequences"])
def class_sums(GRAD, CLASSES, OUT, TILES, SPANS, programs, sequences, heads, COUNT: tl.constexpr, TILE: tl.constexpr):
    """OUT (P, H, C, C): GRAD summed over pairs of two classes, one tile of queries; products with ones are exact."""
    head = tl.program_id(1)
    _, row, first, length, width, cell = place(TILES, SPANS, programs, sequences, heads, tl.program_id(0), head)
    rows, classes = row + tl.arange(0, TILE), tl.arange(0, COUNT)
    sums = tl.zeros([TILE, COUNT], tl.float32)
    for start in range(0, length, TILE):
        columns = start + tl.arange(0, TILE)
        theirs = tl.load(CLASSES + first + columns, mask=columns < length, other=COUNT).to(tl.int32)
        real = (rows < length)[:, None] & (columns < width)[None, :]
        grad = tl.load(GRAD + cell + rows[:, None] * width + columns[None, :], mask=real, other=0.0)
        grad = tl.where((columns < length)[None, :], grad, 0.0)
        ones = (theirs[:, None] == classes[None, :]).to(tl.float32).to(grad.dtype)
        sums += tl.dot(grad, ones, input_precision="ieee")
    mine = tl.load(CLASSES + first + rows, mask=rows < length, other=COUNT).to(tl.int32)
    ones = (mine[None, :] == classes[:, None]).to(tl.float32)
    at = (tl.program_id(0).to(tl.int64) * heads + head) * (COUNT * COUNT)
    tl.store(OUT + at + classes[:, None] * COUNT + classes[None, :], tl.dot(ones, sums, input_precision="ieee"))
