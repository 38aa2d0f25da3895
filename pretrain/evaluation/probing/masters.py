"""16-bit fine-tuning: a copy of the encoder computes, the float32 weights are what is trained and kept."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import nn

Precision = Literal["fp32", "bf16"]


class Masters:
    """An encoder's float32 weights and the copy that computes in ``precision``.

    Small updates would vanish in 16-bit weights: gradients are taken over to the float32 ones, these are updated, and
    the copy is written anew, as in pretraining (recipes/deepspeed.md#accumulation-dtype). In fp32 the encoder computes
    itself.
    """

    def __init__(self, encoder: nn.Module, precision: Precision):
        self.weights = encoder
        self.computing = encoder if precision == "fp32" else copy.deepcopy(encoder).to(torch.bfloat16)
        pairs = zip(encoder.parameters(), self.computing.parameters(), strict=True)
        self._pairs = [(master, low) for master, low in pairs if master.requires_grad and low is not master]

    def take_gradients(self) -> None:
        """Move the copy's gradients to the float32 weights."""
        for master, low in self._pairs:
            master.grad = None if low.grad is None else low.grad.float()
            low.grad = None

    @torch.no_grad()
    def write_copy(self) -> None:
        """Make the copy's weights the rounded float32 ones."""
        for master, low in self._pairs:
            low.copy_(master)
