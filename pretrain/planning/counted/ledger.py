"""The ledger of a counted step: every operation that reaches the device, with what it launches, reads and writes."""

from __future__ import annotations

import math
import traceback
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

PHASES = ("forward", "backward", "optimizer")
KINDS = ("gemm", "attention", "elementwise")

# operations that only look at memory, or take it, and launch nothing
_SILENT = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "view_as", "t", "transpose", "permute", "expand", "slice",
    "select", "unsqueeze", "squeeze", "split", "split_with_sizes", "detach", "alias", "as_strided", "unbind", "chunk",
    "narrow", "diagonal", "unfold", "view_as_real", "view_as_complex", "lift", "lift_fresh", "empty", "empty_like",
    "empty_strided", "new_empty", "new_empty_strided", "is_same_size", "set_", "resize_", "numel", "sym_size", "real",
    "imag", "_conj", "promote_types",
}  # fmt: skip
# kernels of operations that are several, as read in ATen; an assumption where the number depends on sizes
_KERNELS = {
    "native_layer_norm_backward": 3, "_fused_rms_norm_backward": 2, "embedding_dense_backward": 9, "index_put": 10,
    "index_put_": 10, "_index_put_impl_": 10, "index_add": 2, "index_copy": 2, "convolution_backward": 3,
    "_varlen_attn": 1, "_varlen_attn_backward": 3, "_flash_attention_forward": 1, "_flash_attention_backward": 3,
}  # fmt: skip
_FILLS = {
    "zeros", "zeros_like", "new_zeros", "zero_", "fill_", "full", "full_like", "ones", "arange", "scalar_tensor",
    "random_",
}  # fmt: skip
_READS = {"_local_scalar_dense", "item", "equal", "is_nonzero"}  # a number for the host
_WAITS = _READS | {"nonzero", "masked_select"}  # or a size that depends on values
_GEMMS = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "convolution", "convolution_backward"}


@dataclass(frozen=True)
class Launch:
    """One operation on the device.

    Attributes:
        kernels: how many kernels it is.
        read, written: bytes of the device's memory.
        flops: of matrix products and attention; others have none.
        dtype: of its first result (``bfloat16``).
        heads: of our attention programs.
        values: that our programs over rows work on.
    """

    phase: str
    name: str
    kind: str
    kernels: int
    read: int
    written: int
    flops: float
    dtype: str
    heads: int = 0
    values: int = 0


class Ledger(TorchDispatchMode):
    """Writes down what is dispatched while it is entered.

    Attributes:
        launches: in order.
        host_reads: ``phase: operation at file:line`` of each value that the host waits for.
        peak_bytes: the most that tensors made meanwhile held at one time.
        pairs: pairs of tokens that attention looks at, set by whoever runs the step.
        tiles: tiles of our attention programs that hold them, set likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[Launch] = []
        self.host_reads: list[str] = []
        self.phase, self.pairs, self.tiles = PHASES[0], 0, 0
        self.peak_bytes = self._live_bytes = 0
        self._alive: set[int] = set()
        self._muted = 0

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Inside, operations allocate but are not written down: somebody does so for all of them."""
        self._muted += 1
        try:
            yield
        finally:
            self._muted -= 1

    @property
    def is_muted(self) -> bool:
        """Whether operations are left uncounted now."""
        return self._muted > 0

    def add(
        self,
        name: str,
        kind: str,
        read: float,
        written: float,
        *,
        flops: float = 0.0,
        kernels: int = 1,
        dtype: str = "",
        heads: int = 0,
        values: int = 0,
    ) -> None:
        """Write down one operation of the present phase."""
        moved = int(read), int(written)
        self.launches.append(Launch(self.phase, name, kind, kernels, *moved, flops, dtype, heads, values))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        space, _, name = func._schema.name.partition("::")
        if name in _WAITS and not self._muted:
            self.host_reads.append(f"{self.phase}: {name} at {_where()}")
            if name in _READS:
                return 1  # whatever it is; a tensor without content has none
        result = func(*args, **kwargs)
        self._hold(result)
        if not self._muted and name not in _SILENT and space != "prim":
            self._note(space, name, func, args, kwargs, result)
        return result

    def _note(self, space: str, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        read_from = args, {name: value for name, value in kwargs.items() if name != "out"}
        inputs = [leaf for leaf in tree_leaves(read_from) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        read, written = size_of(inputs), size_of(outputs)
        if name in _FILLS:
            read = 0
        elif name in ("index_select", "index", "embedding"):
            read = written + size_of(inputs[1:])
        dtype = str(outputs[0].dtype).removeprefix("torch.") if outputs else ""
        kind, flops = "elementwise", 0.0
        if name in _GEMMS:
            formula = torch.ops.aten.addmm if name == "addmm_" else func.overloadpacket
            kind, flops = "gemm", float(flop_registry[formula](*args, **kwargs, out_val=result))
        elif "attn" in name or "attention" in name:
            heads, size = args[0].shape[-2:]
            kind, flops = "attention", (10.0 if "backward" in name else 4.0) * self.pairs * heads * size
        elif space == "aten" and name.startswith("_fused_adam"):
            read, written = _adam_bytes(args)
        label = name if space == "aten" else f"{space}::{name}"
        self.add(label, kind, read, written, flops=flops, kernels=_KERNELS.get(name, 1), dtype=dtype)

    def _hold(self, result: Any) -> None:
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._hold_storage(leaf.untyped_storage())

    def _hold_storage(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return
        self._alive.add(key)
        self._live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        weakref.finalize(storage, self._free, key, size).atexit = False

    def _free(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self._live_bytes -= size


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes that an operation touches; expanded dimensions lie in memory once."""
    return sum(
        math.prod(d for d, step in zip(t.shape, t.stride(), strict=True) if step) * t.element_size() for t in tensors
    )


def _adam_bytes(args: Any) -> tuple[int, int]:
    """Parameters, gradients and both moments are read; all but the gradients are written."""
    parameters, gradients, first, second = args[:4]
    return size_of((*parameters, *gradients, *first, *second)), size_of((*parameters, *first, *second))


def _where() -> str:
    """The line of ours that asked."""
    for frame in reversed(traceback.extract_stack()):
        if "pretrain" in frame.filename and "/counted/" not in frame.filename:
            return f"{frame.filename[frame.filename.rindex('pretrain') :]}:{frame.lineno}"
    return "unknown"
