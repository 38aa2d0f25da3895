"""What a stack of dilated convolutions costs: operations and stored activations."""

from __future__ import annotations

from collections.abc import Sequence

from pretrain.models.convnet.settings import ConvNetOptions, ConvNetSettings


def flops_per_token(settings: ConvNetSettings, length: float) -> float:
    """Count operations of the forward pass per token, two per multiply-add; the same at every length."""
    width, inner, layers = settings.hidden_size, settings.intermediate_size or 0, settings.num_hidden_layers
    taps = settings.first_kernel_size + (layers - 1) * settings.kernel_size
    if settings.block == "bytenet":
        return 2.0 * (taps * inner * inner + layers * 2 * width * inner)
    linear = width * width if settings.block == "post_norm" else width * width + 2 * width * inner
    return 2.0 * (taps * width * width + layers * linear)


def activation_bytes(settings: ConvNetSettings, options: ConvNetOptions, lengths: Sequence[int], size: int) -> float:
    """Estimate the bytes kept for the backward pass: inputs of convolutions, linear layers, norms and GELUs.

    Args:
        settings: sizes of the model.
        options: its memory choices.
        lengths: tokens of the sequences of one micro-batch.
        size: bytes of one value.
    """
    width, inner = settings.hidden_size, settings.intermediate_size or 0
    # values per token and layer
    layer = {"post_norm": 6 * width, "pre_norm": 6 * width + 2 * inner, "bytenet": 2 * width + 6 * inner}[
        settings.block
    ]
    layers, tokens = settings.num_hidden_layers, sum(lengths)
    if options.checkpoint_activations:  # inputs of all blocks, the inside of one
        return float(tokens * size * (layers * width + layer))
    return float(tokens * size * layers * layer)
