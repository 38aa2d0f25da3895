"""Recurrent base-pairing attention of ERNIE-RNA (recipes/ernie_rna.md#pairing).

A position has one of six classes; the pairing value of two positions depends on their classes alone. So the 1-6-H
network that turns values into a bias per head is evaluated on the 6 x 6 class pairs, never on a T x T input. The
biased scores of a layer, before the softmax, are the additive bias of the next one.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.batch import PackedBatch
from pretrain.models.constants import constant
from pretrain.models.layout import Layout
from pretrain.models.precision import computed_dtype
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.extras import score_maps
from pretrain.models.transformer.recurrent.factored import FactoredScores
from pretrain.models.transformer.recurrent.recomputed import Scores

CLASS_OF_LETTER = {"A": 1, "C": 2, "G": 3, "U": 4, "T": 4}
SELECTED_CLASS = 5
HIDDEN = 6  # a constant of the published model, not half the number of heads

# pairing values of class pairs: other, A, C, G, U, selected (rows and columns of selected positions are -1)
PAIR_VALUES = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    (0.0, 0.0, 0.0, 0.0, 2.0, -1.0),
    (0.0, 0.0, 0.0, 3.0, 0.0, -1.0),
    (0.0, 0.0, 3.0, 0.0, 0.8, -1.0),
    (0.0, 2.0, 0.0, 0.8, 0.0, -1.0),
    (-1.0, -1.0, -1.0, -1.0, -1.0, -1.0),
)


def pair_class_table(vocab: tuple[str, ...]) -> np.ndarray:
    """Return the class of every token id, uint8 (V,): 1 A, 2 C, 3 G, 4 U or T, 0 everything else (<mask> included)."""
    return np.array([CLASS_OF_LETTER.get(token, 0) for token in vocab], dtype=np.uint8)


def pair_classes(ids: np.ndarray, table: np.ndarray, selected: np.ndarray | None = None) -> np.ndarray:
    """Return the classes uint8 (N,) of token ids (N,).

    In training, ids are the ORIGINAL ids and ``selected`` the flat positions chosen for prediction, whatever replaced
    them. At inference, ids are those given and nothing is selected, so <mask> pairs with nothing (value 0).
    """
    classes = table[ids]
    if selected is not None:
        classes[selected] = SELECTED_CLASS
    return classes


class Float32Linear(nn.Linear):
    """A Linear that computes in float32 (or wider), whatever the type of its weights and the autocast around it."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype))


class PairingBias(nn.Module):
    """The 1 -> 6 -> H network on the pairing values of all class pairs, which gives the bias of the first layer.

    Parameters: hidden.{weight (6,1),bias}, output.{weight (H,6),bias}.

    Args:
        heads: H.
        memory: ``store`` the scores of every layer; or ``rebuild`` them in one buffer from those of the layer above,
            which gives the same up to float32 rounding; or ``none``: scores never exist as a tensor, for very long
            sequences.
        scores_dtype: of stored scores. Those that are shown are float32 in any case.
    """

    name = "pairing"

    def __init__(
        self,
        heads: int,
        memory: Literal["store", "rebuild", "none"] = "rebuild",
        scores_dtype: Literal["float32", "float16"] = "float32",
    ) -> None:
        super().__init__()
        self.memory, self.scores_dtype = memory, scores_dtype
        self.hidden = Float32Linear(1, HIDDEN)
        self.output = Float32Linear(HIDDEN, heads)

    def forward(self, batch: PackedBatch, *, again: bool, is_shown: bool) -> Recurrent:
        """Compute the bias of the first layer.

        Args:
            batch: with ``side["pair_class"]``, uint8 (N,).
            again: the backward pass recomputes layers one by one, which needs the scores between them.
            is_shown: the caller wants to see the scores of every layer.
        """
        if "pair_class" not in batch.side:
            raise ValueError('a pairing model needs batch.side["pair_class"] (see pair_classes)')
        classes = batch.layout.to_layout_order(batch.side["pair_class"])
        table = self.output(F.gelu(self.hidden(constant(PAIR_VALUES, classes.device)[..., None]))).permute(
            2, 0, 1
        )  # (H, 6, 6)
        if self.memory == "none" and not is_shown:
            return Recurrent(FactoredScores(table, classes))
        seen = again or is_shown
        store = seen or self.memory == "store"
        kernel = kernel_of(classes.device)[1]
        dtype, grad_dtype = (None, None) if is_shown else self._dtypes(table)
        scores = Scores.of_classes(
            table, classes, batch.layout, kernel, store=store, shared=seen, dtype=dtype, grad_dtype=grad_dtype
        )
        return Recurrent(scores)

    def _dtypes(self, table: Tensor) -> tuple[torch.dtype, torch.dtype | None]:
        """The dtype of scores and of their gradient, None if it is the same.

        The gradient is bfloat16 in the Triton kernels beside tokens in 16 bits, and never float16, which underflows.
        """
        dtype = torch.float16 if self.scores_dtype == "float16" else table.dtype
        is_half = computed_dtype(self.output.weight) in (torch.bfloat16, torch.float16)
        is_narrow = is_half and kernel_of(table.device)[0] == "triton"
        grad_dtype = torch.bfloat16 if is_narrow else table.dtype
        return dtype, None if grad_dtype == dtype else grad_dtype

    def extras(self, biases: Sequence[object], layout: Layout) -> dict[str, Any]:
        """Return the ``scores`` of every layer, see ``score_maps``."""
        return score_maps(biases, layout, self.output.out_features)
