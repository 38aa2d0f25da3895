"""What a stack of Hyena operators costs: operations and stored activations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pretrain.models.hyena.settings import HyenaOptions, HyenaSettings


def fft_flops_per_value(length: float) -> float:
    """Count operations of two real FFTs of twice the length, per value: 2 x 2.5 n log2 n over n / 2 values."""
    return 10.0 * math.log2(max(2.0, 2.0 * length))


def flops_per_token(settings: HyenaSettings, length: float) -> float:
    """Count operations of the forward pass per token, two per multiply-add.

    The filter is shared by the sequences of a batch and not counted.
    """
    width = settings.hidden_size
    products = 2.0 * (4 * width * width + 2 * width * settings.intermediate_size)
    mixer = width * (2.0 * 3 * settings.short_kernel_size + fft_flops_per_value(length))
    return settings.num_hidden_layers * (products + mixer)


def activation_bytes(settings: HyenaSettings, options: HyenaOptions, lengths: Sequence[int], size: int) -> float:
    """Estimate the bytes kept for the backward pass: linear in the number of tokens.

    Args:
        settings: sizes of the model.
        options: its memory choices.
        lengths: tokens of the sequences of one micro-batch.
        size: bytes of one value.
    """
    width, inner, tokens = settings.hidden_size, settings.intermediate_size, sum(lengths)
    # per token and layer: both norms' inputs (float32) and outputs; projections before and after the short convolution,
    # the gated product with what the convolution makes of it (float32), the input of the output layer; the MLP's inside
    layer = tokens * (width * (9 * size + 4 * 4) + 2 * inner * size)
    # per position of the longest sequence: inputs of the filter's sines and products, its values with window and skip
    layer += 4 * max(lengths, default=0) * (7 * settings.filter_width + 3 * width)
    layers = settings.num_hidden_layers
    if options.checkpoint_activations:  # inputs of all layers, the inside of one
        return float(layers * tokens * width * 4 + layer)
    return float(layers * layer)
