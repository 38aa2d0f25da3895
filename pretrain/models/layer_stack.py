"""Layers one after another: what backbones without state between their layers have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pretrain.models.backbone import BackboneOutput
from pretrain.models.layout import Layout


def run_layers(layers: Iterable[nn.Module], x: Tensor, *shared: Any, recompute: bool) -> list[Tensor]:
    """Hidden states (N, D): x, then what each layer makes of the one before.

    Args:
        shared: what every layer is given besides.
        recompute: keep a layer's input only, and compute its inside again in the backward pass.
    """
    states = [x]
    for layer in layers:
        if recompute and torch.is_grad_enabled():
            states.append(checkpoint(layer, states[-1], *shared, use_reentrant=False))
        else:
            states.append(layer(states[-1], *shared))
    return states


def backbone_output(hidden: Tensor, states: list[Tensor], layout: Layout, return_states: bool) -> BackboneOutput:
    """Hidden states in batch order; the last state is what the final norm made of it."""
    hidden = layout.to_batch_order(hidden)
    if not return_states:
        return BackboneOutput(hidden)
    return BackboneOutput(hidden, [*(layout.to_batch_order(state) for state in states[:-1]), hidden])
