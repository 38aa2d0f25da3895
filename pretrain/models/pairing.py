"""Recurrent base-pairing attention of ERNIE-RNA (ernie_rna.md, b and e).

A position has one of six classes; the pairing value of two positions depends on their classes alone. So the 1-6-H
network that turns values into a bias per head is evaluated on the 6 x 6 class pairs, never on a T x T input. The
biased scores of a layer, before the softmax, are the additive bias of the next one.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.layout import Layout

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
    """Class of every token id, uint8 (V,): 1 A, 2 C, 3 G, 4 U or T, 0 everything else (<mask> included)."""
    return np.array([CLASS_OF_LETTER.get(token, 0) for token in vocab], dtype=np.uint8)


def pair_classes(ids: np.ndarray, table: np.ndarray, selected: np.ndarray | None = None) -> np.ndarray:
    """Classes uint8 (N,) of token ids (N,).

    In training, ids are the ORIGINAL ids and ``selected`` the flat positions chosen for prediction, whatever they were
    replaced with. At inference, ids are those given and nothing is selected, so <mask> pairs with nothing (value 0).
    """
    classes = table[ids]
    if selected is not None:
        classes[selected] = SELECTED_CLASS
    return classes


@dataclass(frozen=True)
class Scores:
    """Scores of one layer, per length group (B, H, T, T).

    An object and not a list, because ZeRO stage 3 puts a collective on every tensor that it finds in the lists handed
    from module to module, and ranks have different numbers of length groups.
    """

    groups: list[Tensor]

    def to(self, dtype: torch.dtype) -> "Scores":
        """The same in another precision."""
        return Scores([scores.to(dtype) for scores in self.groups])


class Float32Linear(nn.Linear):
    """A Linear that computes in float32 (or wider), whatever its weights and the autocast around it are."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype))


class PairingBias(nn.Module):
    """The 1 -> 6 -> H network and the bias it gives."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.hidden = Float32Linear(1, HIDDEN)
        self.output = Float32Linear(HIDDEN, heads)

    def table(self, device: torch.device) -> Tensor:
        """Bias of every class pair, (H, 6, 6)."""
        values = torch.tensor(PAIR_VALUES, device=device)[..., None]  # (6, 6, 1)
        return self.output(F.gelu(self.hidden(values))).permute(2, 0, 1)

    def forward(self, pair_class: Tensor, layout: Layout) -> Scores:
        """Scores before the first layer, from classes (N,) in layout order."""
        table = self.table(pair_class.device)
        one_hot = F.one_hot(pair_class.to(torch.int64), len(PAIR_VALUES)).to(table.dtype)  # (N, 6)
        scores = []
        with torch.autocast(table.device.type, enabled=False):
            for group in layout.groups:
                e = group.block(one_hot)[:, None]  # (B, 1, T, 6)
                # exact: every sum has one term that is not zero; and its gradient is a product, not a scatter
                bias = e @ table @ e.transpose(-1, -2)
                if group.key_mask is not None:
                    bias = bias.masked_fill(~group.key_mask, float("-inf"))
                scores.append(bias)
        return Scores(scores)


def recurrent_attention(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores, layout: Layout, *, dropout: float
) -> tuple[Tensor, Scores]:
    """S_l = q k^T / sqrt(h) + S_{l-1}; returns softmax(S_l) v as (N, H, h), and S_l.

    Dropout acts on the probabilities only; the scores handed on are never dropped. Scores keep the dtype they have.
    """
    outputs, handed_on = [], []
    q = q * q.shape[-1] ** -0.5
    for group, previous in zip(layout.groups, scores.groups, strict=True):
        q_block, k_block, v_block = (group.block(x).transpose(1, 2) for x in (q, k, v))  # (B, H, T, h)
        current = previous + (q_block @ k_block.transpose(-1, -2)).to(previous.dtype)
        probabilities = F.dropout(current.softmax(dim=-1).to(v.dtype), dropout)
        outputs.append(group.tokens((probabilities @ v_block).transpose(1, 2)))
        handed_on.append(current)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), Scores(handed_on)
