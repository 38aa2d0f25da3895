"""What runs on the GPU beside attention: programs over rows of tokens, each of which touches memory once.

Tensors of tokens are (N, D) or (N, F), contiguous. Programs that sum over tokens take a strip of them each, and write
one row of float32 sums per strip: how tokens are cut into strips depends on their number alone, so a sum is the same
on every card. Dropout keeps what 16 bits of a hash of the place put at or above ``threshold``, times ``keep``.
"""

import triton
import triton.language as tl

from pretrain.models.transformer.kernels.triton_parts import hashed

# of these a new value must not mean a new compilation
_VARYING = ["tokens", "seed", "threshold"]


@triton.jit
def _kept(at, seed, threshold):
    """Whether values survive dropout."""
    return (hashed(at, seed, tl.zeros([1], tl.int32)) >> 16).to(tl.int32) >= threshold


@triton.jit(do_not_specialize=_VARYING)
def sum_norm(
    X, Y, WEIGHT, BIAS, SUM, OUT, STATISTICS, tokens, width, eps, seed, threshold, keep, CENTERED: tl.constexpr,
    HAS_BIAS: tl.constexpr, DROP: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """SUM = X + dropout(Y); OUT = norm(SUM); STATISTICS (2, N) its mean (CENTERED) and 1 / standard deviation."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, WIDTH)
    real = (rows < tokens)[:, None] & (d < width)[None, :]
    at = rows.to(tl.int64)[:, None] * width + d[None, :]
    y = tl.load(Y + at, mask=real, other=0.0).to(tl.float32)
    if DROP:
        y = tl.where(_kept(at, seed, threshold), y * keep, 0.0)
    s = (tl.load(X + at, mask=real, other=0.0).to(tl.float32) + y).to(SUM.dtype.element_ty)
    tl.store(SUM + at, s, mask=real)
    s = s.to(tl.float32)  # what the backward pass will see
    if CENTERED:
        mean = tl.sum(s, 1) / width
        tl.store(STATISTICS + rows, mean, mask=rows < tokens)
        s = tl.where(real, s - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(s * s, 1) / width + eps)
    tl.store(STATISTICS + tokens + rows, scale, mask=rows < tokens)
    out = s * scale[:, None] * tl.load(WEIGHT + d, mask=d < width, other=0.0).to(tl.float32)[None, :]
    if HAS_BIAS:
        out += tl.load(BIAS + d, mask=d < width, other=0.0).to(tl.float32)[None, :]
    tl.store(OUT + at, out.to(OUT.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=[*_VARYING, "strip"])
def sum_norm_backward(
    DOUT, DSUM, SUM, STATISTICS, WEIGHT, DX, DY, SUMS, tokens, width, strip, seed, threshold, keep,
    CENTERED: tl.constexpr, HAS_DSUM: tl.constexpr, DROP: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """DX, and DY if something was dropped; SUMS (strips, 3, D) over tokens: gradients of WEIGHT, of BIAS, and DY."""
    first = tl.program_id(0) * strip
    d = tl.arange(0, WIDTH)
    inside = d < width
    weight = tl.load(WEIGHT + d, mask=inside, other=0.0).to(tl.float32)[None, :]
    of_weight = tl.zeros([WIDTH], tl.float32)
    of_bias = tl.zeros([WIDTH], tl.float32)
    of_y = tl.zeros([WIDTH], tl.float32)
    for start in range(first, tl.minimum(first + strip, tokens), ROWS):
        rows = start + tl.arange(0, ROWS)
        there = rows < tl.minimum(first + strip, tokens)
        real = there[:, None] & inside[None, :]
        at = rows.to(tl.int64)[:, None] * width + d[None, :]
        above = tl.load(DOUT + at, mask=real, other=0.0).to(tl.float32)
        scaled = tl.load(SUM + at, mask=real, other=0.0).to(tl.float32)
        if CENTERED:
            scaled = tl.where(real, scaled - tl.load(STATISTICS + rows, mask=there, other=0.0)[:, None], 0.0)
        scale = tl.load(STATISTICS + tokens + rows, mask=there, other=0.0)
        scaled *= scale[:, None]
        of_weight += tl.sum(above * scaled, 0)
        of_bias += tl.sum(above, 0)
        above *= weight
        dx = above - scaled * (tl.sum(above * scaled, 1) / width)[:, None]
        if CENTERED:
            dx -= (tl.sum(above, 1) / width)[:, None]
        dx *= scale[:, None]
        if HAS_DSUM:
            dx += tl.load(DSUM + at, mask=real, other=0.0).to(tl.float32)
        dx = tl.where(real, dx, 0.0)
        tl.store(DX + at, dx.to(DX.dtype.element_ty), mask=real)
        if DROP:
            dx = tl.where(_kept(at, seed, threshold), dx * keep, 0.0)
            tl.store(DY + at, dx.to(DY.dtype.element_ty), mask=real)
        of_y += tl.sum(dx, 0)
    sums = SUMS + tl.program_id(0) * 3 * width + d
    tl.store(sums, of_weight, mask=inside)
    tl.store(sums + width, of_bias, mask=inside)
    tl.store(sums + 2 * width, of_y, mask=inside)


@triton.jit
def _act(x, ACT: tl.constexpr, IS_FULL: tl.constexpr):
    """The function, and its derivative."""
    if ACT == "gelu":
        density = tl.exp(-0.5 * x * x)
        if IS_FULL:
            below = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))
        else:  # within 1e-7, half the instructions: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26
            t = 1.0 / (1.0 + 0.23164190 * tl.abs(x))
            tail = 0.127414796 + t * (-0.142248368 + t * (0.7107068705 + t * (-0.7265760135 + t * 0.5307027145)))
            tail *= t * density
            below = tl.where(x < 0.0, tail, 1.0 - tail)
        y = x * below
        slope = below + x * density * 0.3989422804014327
    elif ACT == "gelu_tanh":
        share = 1.0 / (1.0 + tl.exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)))  # tanh u = 2 share - 1
        y = x * share
        slope = share + x * share * (1.0 - share) * 1.5957691216057308 * (1.0 + 0.134145 * x * x)
    elif ACT == "silu":
        share = 1.0 / (1.0 + tl.exp(-x))
        y = x * share
        slope = share + y * (1.0 - share)
    else:
        tl.static_assert(ACT == "relu")
        y = tl.maximum(x, 0.0)
        slope = tl.where(x > 0.0, 1.0, 0.0)
    return y, slope


@triton.jit(
    do_not_specialize=["seed", "threshold"]
)  # that ``values`` is a multiple of 16 lets it read 16 bytes at a time
def activate(
    X, FACTOR, OUT, values, seed, threshold, keep, ACT: tl.constexpr, GATED: tl.constexpr, DROP: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """OUT = dropout(act(X) FACTOR)."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = at < values
    y, _ = _act(tl.load(X + at, mask=real, other=0.0).to(tl.float32), ACT, X.dtype.element_ty == tl.float32)
    if GATED:
        y *= tl.load(FACTOR + at, mask=real, other=0.0).to(tl.float32)
    if DROP:
        y = tl.where(_kept(at, seed, threshold), y * keep, 0.0)
    tl.store(OUT + at, y.to(OUT.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=[*_VARYING, "strip"])
def activate_backward(
    DOUT, X, FACTOR, OUT, DX, DFACTOR, SUMS, tokens, width, strip, seed, threshold, keep, ACT: tl.constexpr,
    GATED: tl.constexpr, DROP: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """OUT once more, DX (possibly DOUT itself), DFACTOR; SUMS (strips, 1 or 2, F) over tokens of DX (and DFACTOR)."""
    first = tl.program_id(0) * strip
    d = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = d < width
    of_x = tl.zeros([COLUMNS], tl.float32)
    of_factor = tl.zeros([COLUMNS], tl.float32)
    for start in range(first, tl.minimum(first + strip, tokens), ROWS):
        rows = start + tl.arange(0, ROWS)
        real = (rows < tl.minimum(first + strip, tokens))[:, None] & inside[None, :]
        at = rows.to(tl.int64)[:, None] * width + d[None, :]
        above = tl.load(DOUT + at, mask=real, other=0.0).to(tl.float32)
        y, slope = _act(tl.load(X + at, mask=real, other=0.0).to(tl.float32), ACT, X.dtype.element_ty == tl.float32)
        if DROP:
            kept = _kept(at, seed, threshold)
            above = tl.where(kept, above * keep, 0.0)
        dx = above * slope
        if GATED:
            factor = tl.load(FACTOR + at, mask=real, other=0.0).to(tl.float32)
            dfactor = above * y
            tl.store(DFACTOR + at, dfactor.to(DFACTOR.dtype.element_ty), mask=real)
            of_factor += tl.sum(dfactor, 0)
            dx *= factor
            y *= factor
        if DROP:
            y = tl.where(kept, y * keep, 0.0)
        tl.store(OUT + at, y.to(OUT.dtype.element_ty), mask=real)
        tl.store(DX + at, dx.to(DX.dtype.element_ty), mask=real)
        of_x += tl.sum(dx, 0)
    sums = SUMS + tl.program_id(0) * (2 if GATED else 1) * width + d
    tl.store(sums, of_x, mask=inside)
    if GATED:
        tl.store(sums + width, of_factor, mask=inside)
