"""Heads that published models are fine-tuned with: hidden states of sequences -> one output per class, or one value."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """A head on a pooled state. pool: ``cls`` (the first token), ``mean`` (over letters) or ``none``."""

    pool = "cls"

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, pooled: Tensor) -> Tensor:
        """(S, D) -> (S, outputs)."""
        return self.layers(pooled)


class PoolerHead(Head):
    """tanh of a dense layer, dropout, linear: BertForSequenceClassification (3UTRBERT, DNABERT, RNAErnie)."""

    def __init__(self, width: int, outputs: int):
        layers = [nn.Linear(width, width), nn.Tanh(), nn.Dropout(0.1), nn.Linear(width, outputs)]
        super().__init__(*layers)


class MeanHead(Head):
    """Mean over letters, dropout, linear (MutBERT's default pooler)."""

    pool = "mean"

    def __init__(self, width: int, outputs: int):
        super().__init__(nn.Dropout(0.1), nn.Linear(width, outputs))


class TwoLayerHead(Head):
    """Linear to 40, ReLU, dropout, linear: UTR-LM's predictor of ribosome load (recipes/utr_lm.md#downstream)."""

    def __init__(self, width: int, outputs: int):
        super().__init__(nn.Linear(width, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, outputs))


class LettersHead(Head):
    """Dropout, linear, on the state of every letter: BertForTokenClassification and like classes."""

    pool = "none"

    def __init__(self, width: int, outputs: int):
        super().__init__(nn.Dropout(0.1), nn.Linear(width, outputs))


HEADS: dict[str, Callable[[int, int], Head]] = {
    "pooler": PoolerHead,
    "mean": MeanHead,
    "two_layers": TwoLayerHead,
    "letters": LettersHead,
}


def pooled(states: Tensor, lengths: list[int], maskable: Tensor, pool: str) -> Tensor:
    """Pool hidden states (N, D) of sequences of these token counts: (S, D). maskable: bool (N,), the letters."""
    if pool == "cls":
        first = torch.tensor([0, *lengths[:-1]], device=states.device).cumsum(0)
        return states[first]
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(states.device)
    weight = maskable.to(states.dtype)
    total = states.new_zeros(len(lengths), states.shape[1]).index_add(0, row, states * weight[:, None])
    count = states.new_zeros(len(lengths)).index_add(0, row, weight)
    return total / count[:, None].clamp(min=1)
