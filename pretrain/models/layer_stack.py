"""Running layers one after another, for backbones that carry nothing else from layer to layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pretrain.models.backbone import BackboneOutput
from pretrain.models.layout import Layout


def run_layers(layers: Iterable[nn.Module], x: Tensor, *shared: Any, recompute: bool) -> list[Tensor]:
    """Run the layers and return all hidden states (N, D): x, then the output of each layer.

    Args:
        layers: called as ``layer(x, *shared)``.
        x: (N, D), input of the first layer.
        *shared: further arguments of every layer.
        recompute: store only the input of each layer and recompute its inside in the backward pass.
    """
    states = [x]
    for layer in layers:
        if recompute and torch.is_grad_enabled():
            states.append(checkpoint(layer, states[-1], *shared, use_reentrant=False))
        else:
            states.append(layer(states[-1], *shared))
    return states


def backbone_output(hidden: Tensor, states: list[Tensor], layout: Layout, return_states: bool) -> BackboneOutput:
    """Bring hidden states to batch order. ``hidden``, after the final norm, takes the place of the last state."""
    hidden = layout.to_batch_order(hidden)
    if not return_states:
        return BackboneOutput(hidden)
    return BackboneOutput(hidden, [*(layout.to_batch_order(state) for state in states[:-1]), hidden])
