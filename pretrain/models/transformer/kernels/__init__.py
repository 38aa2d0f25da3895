"""Attention kernels that store no probabilities and no masks, in two versions of the same contract.

A kernel works on packed tensors, N tokens in layout order with H heads of size h. Scores and their gradient are flat,
packed as the kernel likes them: ``class_scores`` makes the first ones, ``maps`` takes them apart. ``torch`` runs
everywhere, ``triton`` on GPUs. Both take every bias with ``AttentionBias.in_kernels``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from pretrain.models.device_kind import counting, kind_of
from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import AttentionBias
from pretrain.models.transformer.kernels.torch_kernel import TorchKernel


class Kernel(Protocol):
    """Scores, softmax, dropout and the product with the values; and their gradient."""

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: AttentionBias,
        layout: Layout,
        drop: SeededDropout,
        *,
        previous: Tensor | None = None,
        current: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Attend with scores S = q k^T / sqrt(h) + bias; with ``previous``, S = previous + q k^T / sqrt(h).

        Args:
            q: queries (N, H, h) in layout order.
            k: keys, likewise.
            v: values, likewise.
            bias: added to the scores.
            layout: the sequences that the tokens belong to.
            drop: dropout of the probabilities.
            previous: scores of the layer below, which take the place of the bias.
            current: where S is written, possibly ``previous`` itself; None: nowhere.

        Returns:
            (N, H, h), and the tensors that ``backward`` takes as ``kept``.
        """

    def backward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: AttentionBias,
        kept: Sequence[Tensor],
        layout: Layout,
        drop: SeededDropout,
        grad_output: Tensor,
        *,
        scores: Tensor | None = None,
        grad_scores: Tensor | None = None,
        fresh: bool = False,
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of q, k, v.

        Args:
            q: as in ``forward``, like the next three.
            k: keys.
            v: values.
            bias: added to the scores.
            kept: second result of ``forward``.
            layout: as in ``forward``.
            drop: as in ``forward``: the same masks.
            grad_output: gradient of the output (N, H, h).
            scores: S if it was written; None: it is recomputed.
            grad_scores: the gradient that S received from above; that of the softmax is added in place, so that it
                becomes the gradient of ``previous``. None: nothing came and nothing is asked for.
            fresh: nothing came from above, whatever ``grad_scores`` holds: it is written, not added to.
            reverse: turn S back into ``previous``, in place.
        """

    def class_scores(self, table: Tensor, classes: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
        """Compute scores S[i, j] = table[class of i, class of j].

        Args:
            table: (H, C, C).
            classes: uint8 (N,) in layout order.
            layout: the sequences that the tokens belong to.
            dtype: of the scores.

        Returns:
            Flat (n,).
        """

    def class_gradient(self, grad: Tensor, classes: Tensor, layout: Layout, table: Tensor) -> Tensor:
        """Compute the gradient of a table (H, C, C), summed in its dtype, from that of its scores (n,)."""

    def maps(self, scores: Tensor, layout: Layout, heads: int) -> list[Tensor]:
        """View flat scores (n,) as (H, T, T) of every sequence, in layout order."""


def kernel_of(device: torch.device | str) -> tuple[str, Kernel]:
    """The kernel for a device, with its name."""
    if (stand_ins := counting()) is not None:
        from pretrain.models.transformer.kernels.triton_kernel import TritonKernel

        return "triton", TritonKernel(programs=stand_ins.attention_programs)
    return _of_kind(kind_of(device))


@cache
def _of_kind(kind: str) -> tuple[str, Kernel]:
    """Return the kernel for a kind of device, with its name.

    Triton comes with torch's builds for GPUs; to launch compiled programs it builds a few lines of C.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if kind == "cuda" and find_spec("triton") is not None and compiler:
        from pretrain.models.transformer.kernels.triton_kernel import TritonKernel

        return "triton", TritonKernel()
    return "torch", TorchKernel()
