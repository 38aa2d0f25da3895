"""What stands in for kernels that no fake tensor knows: ours in Triton, what torch compiles, its dropout and SDPA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pretrain.models.device_kind import Counting
from pretrain.planning.counted.ledger import Ledger, size_of


def stand_ins(ledger: Ledger) -> Counting:
    """Everything a model may launch on a GPU that is not an operation of torch."""
    return Counting(
        "cuda", AttentionPrograms(ledger), RowPrograms(ledger), lambda formula: partial(_Fused.apply, ledger, formula)
    )


class AttentionPrograms:
    """The programs of ``kernels/triton_programs.py``: each launch is written down with its bytes and FLOPs.

    Cells are pairs of tokens times heads; tokens are read once, as tiles of keys stay in the cache.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        for name, note in (
            ("forward", self._forward),
            ("backward_queries", self._queries),
            ("backward_keys", self._keys),
            ("delta", self._delta),
            ("class_scores", self._class_scores),
            ("class_sums", self._class_sums),
        ):
            setattr(self, name, _Program(note))

    def _forward(self, q: Tensor, args: Any, flags: dict[str, Any]) -> None:
        cells, tokens = self._sizes(q)
        scores = [args[place].element_size() * cells for place in (3, 4)]
        read = 3 * tokens + (scores[0] if flags["HAS_BEFORE"] else 0)
        written = tokens + (scores[1] if flags["WRITE"] else 0)
        self._add("forward", q, flags, read, written, 2)

    def _queries(self, q: Tensor, args: Any, flags: dict[str, Any]) -> None:
        cells, tokens = self._sizes(q)
        scores, grad = (args[place].element_size() * cells for place in (6, 7))
        stored, handed = flags["HAS_SCORES"], flags["HAS_GRAD"]
        read = 4 * tokens + (scores if stored else 0) + (grad if handed and flags["ADD"] else 0)
        self._add("backward_queries", q, flags, read, tokens + (grad if handed else 0), 2 if stored else 3)

    def _keys(self, q: Tensor, args: Any, flags: dict[str, Any]) -> None:
        cells, tokens = self._sizes(q)
        scores, grad = (args[place].element_size() * cells for place in (6, 7))
        stored, handed = flags["HAS_SCORES"], flags["HAS_GRAD"]
        reverse = flags.get("REVERSE", False)
        read = 4 * tokens + (scores if stored else 0) + (grad if handed else 0)
        written = 2 * tokens + (scores if reverse else 0)
        self._add("backward_keys", q, flags, read, written, 4 if reverse or not stored else 3)

    def _delta(self, grad: Tensor, args: Any, flags: dict[str, Any]) -> None:
        self._ledger.add("triton::delta", "elementwise", size_of(args[:2]), size_of(args[2:3]))

    def _class_scores(self, table: Tensor, args: Any, flags: dict[str, Any]) -> None:
        written = self._ledger.pairs * len(table) * args[2].element_size()
        self._ledger.add("triton::class_scores", "elementwise", size_of([table]), written)

    def _class_sums(self, grad: Tensor, args: Any, flags: dict[str, Any]) -> None:
        read = self._ledger.pairs * args[2].shape[1] * grad.element_size()
        self._ledger.add("triton::class_sums", "elementwise", read, size_of(args[2:3]))

    def _sizes(self, q: Tensor) -> tuple[int, int]:
        return self._ledger.pairs * q.shape[1], size_of([q])

    def _add(self, name: str, q: Tensor, flags: dict[str, Any], read: float, written: float, products: int) -> None:
        flops = 2.0 * products * self._ledger.pairs * q.shape[1] * q.shape[2]
        use = _use(flags, "HAS_BEFORE", "HAS_SCORES", "REVERSE", "DROP")
        dtype = str(q.dtype).removeprefix("torch.")
        self._ledger.add(
            f"triton::{name}[{use}]", "attention", read, written, flops=flops, dtype=dtype, heads=q.shape[1]
        )


class _Program:
    """``program[grid](...)``."""

    def __init__(self, note: Callable[[Tensor, Any, dict[str, Any]], None]) -> None:
        self._note = note

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return lambda *args, **flags: self._note(args[0], args, flags)


class RowPrograms:
    """The programs of ``kernels/triton_rows.py``: each touches its tensors once; a pointer may stay unread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.sum_norm = self._noted("sum_norm", lambda a, flag: (a[: 3 + flag("HAS_BIAS")], a[4:7]))
        self.sum_norm_backward = self._noted(
            "sum_norm_backward",
            lambda a, flag: (a[: 1 + flag("HAS_DSUM")] + a[2:5], a[5 : 6 + flag("DROP")] + a[7:8]),
        )
        self.activate = self._noted("activate", lambda a, flag: (a[: 1 + flag("GATED")], a[2:3]))
        self.activate_backward = self._noted(
            "activate_backward", lambda a, flag: (a[: 2 + flag("GATED")], a[3 : 5 + flag("GATED")] + a[6:7])
        )

    def _noted(self, name: str, parts: Callable[[Any, Callable[[str], bool]], tuple[Any, Any]]) -> _Program:
        """A program, and which of its arguments are read and written."""

        def note(first: Tensor, args: Any, flags: dict[str, Any]) -> None:
            read, written = parts(args, lambda flag: bool(flags[flag]))
            use = _use(flags, "HAS_DSUM", "GATED", "DROP")
            self._ledger.add(
                f"triton::{name}[{use}]", "elementwise", size_of(read), size_of(written), values=first.numel()
            )

        return _Program(note)


def _use(flags: dict[str, Any], *names: str) -> str:
    """How a program is named in the ledger: after the flags that change what it does."""
    return "+".join(name.lower() for name in names if flags.get(name))


class _Fused(torch.autograd.Function):
    """A formula as one kernel each way; it is linear in what has a gradient, so it keeps the other arguments."""

    @staticmethod
    def forward(ctx: Any, ledger: Ledger, formula: Callable[..., Any], *args: Tensor) -> Any:
        ctx.ledger, ctx.formula, ctx.shapes = ledger, formula, [(arg.shape, arg.dtype, arg.device) for arg in args]
        with ledger.muted():
            result = formula(*args)
        ledger.add(f"fused::{formula.__name__}", "elementwise", size_of(args), size_of(result))
        ctx.save_for_backward(*(arg for arg in args if not arg.requires_grad))
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # type: ignore[override]
        with ctx.ledger.muted():
            results = [
                torch.empty(shape, dtype=dtype, device=device) if want else None
                for (shape, dtype, device), want in zip(ctx.shapes, ctx.needs_input_grad[2:], strict=True)
            ]
        read, made = size_of([*grads, *ctx.saved_tensors]), size_of(result for result in results if result is not None)
        ctx.ledger.add(f"fused::{ctx.formula.__name__}_backward", "elementwise", read, made)
        return None, None, *results


class TorchKernels(TorchFunctionMode):
    """Functions of torch that take another way on a GPU than what fake tensors on a CPU would show."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention and not self._ledger.is_muted:
            return self._sdpa(*args, **kwargs)
        if func in (Tensor.tolist, Tensor.numpy) and not self._ledger.is_muted:
            self._ledger.host_reads.append(f"{self._ledger.phase}: {func.__name__}")
        return func(*args, **kwargs)

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """One kernel each way, and a mask of one byte per value; none within a kernel that does it along."""
        if not training or not p:
            return input
        return _Simple.apply(self._ledger, ("native_dropout", "elementwise", 0.0, input.numel(), 1, 1), input)

    def _sdpa(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
        """Count torch's kernels: one forwards (and one for a mask), three backwards."""
        heads, length, size = query.shape[1], query.shape[2], query.shape[3]
        flops = 4.0 * query.shape[0] * heads * length * key.shape[2] * size
        kernels = 1 + (attn_mask is not None)
        return _Simple.apply(self._ledger, ("sdpa", "attention", flops, 0, kernels, 3), query, key, value)


class _Simple(torch.autograd.Function):
    """Reads its tensors and writes the like of the last one; the other way round for the gradient."""

    @staticmethod
    def forward(ctx: Any, ledger: Ledger, what: tuple[str, str, float, int, int, int], *tensors: Tensor) -> Tensor:
        name, kind, flops, mask, kernels, _ = what
        ctx.ledger, ctx.what = ledger, what
        with ledger.muted():
            result = torch.empty_like(tensors[-1])
            kept = torch.empty(mask, dtype=torch.uint8, device=result.device)
        dtype = str(result.dtype).removeprefix("torch.")
        ledger.add(name, kind, size_of(tensors), size_of([result, kept]), flops=flops, kernels=kernels, dtype=dtype)
        ctx.save_for_backward(kept) if kind == "elementwise" else ctx.save_for_backward(kept, result, *tensors)
        ctx.shapes = [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        name, kind, flops, _, _, kernels = ctx.what
        with ctx.ledger.muted():
            results = [torch.empty(shape, dtype=dtype, device=device) for shape, dtype, device in ctx.shapes]
        read, dtype = size_of([grad, *ctx.saved_tensors]), str(grad.dtype).removeprefix("torch.")
        ctx.ledger.add(
            f"{name}_backward", kind, read, size_of(results), flops=2.5 * flops, kernels=kernels, dtype=dtype
        )
        return None, None, *results
