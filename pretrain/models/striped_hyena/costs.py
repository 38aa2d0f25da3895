"""What gated convolutions and attention cost: operations and stored activations."""

from __future__ import annotations

from collections.abc import Sequence

from pretrain.models.hyena.costs import fft_flops_per_value
from pretrain.models.striped_hyena.settings import StripedHyenaOptions, StripedHyenaSettings


def flops_per_token(settings: StripedHyenaSettings, length: float) -> float:
    """Count operations of the forward pass per token, two per multiply-add.

    Filters are shared by the sequences of a batch and not counted; attention looks back at half the sequence on
    average.
    """
    width, attend = settings.hidden_size, len(set(settings.attention_layers))
    products = 2.0 * (4 * width * width + 3 * width * settings.intermediate_size)
    attention = 2.0 * length * width
    convolution = width * (2.0 * 3 * settings.short_kernel_size + fft_flops_per_value(length))
    convolve = settings.num_hidden_layers - attend
    return settings.num_hidden_layers * products + attend * attention + convolve * convolution


def activation_bytes(
    settings: StripedHyenaSettings, options: StripedHyenaOptions, lengths: Sequence[int], size: int
) -> float:
    """Estimate the bytes kept for the backward pass: linear in the number of tokens.

    Args:
        settings: sizes of the model.
        options: its memory choices.
        lengths: tokens of the sequences of one micro-batch.
        size: bytes of one value.
    """
    width, inner, tokens = settings.hidden_size, settings.intermediate_size, sum(lengths)
    layers, attend = settings.num_hidden_layers, len(set(settings.attention_layers))
    # per token: inputs of both norms and what they make of them; the MLP's gate, activated gate, other half and product
    shared = tokens * size * (6 * width + 4 * inner)
    attention = tokens * size * 8 * width  # queries, keys, values before and after rotation, their mixture
    # projections before and after the short convolution, gated product and its convolution (float32), input of output
    convolution = tokens * width * (7 * size + 3 * 4)
    convolution += 4 * max(lengths, default=0) * 2 * width  # values of the filter, with and without skip
    if options.checkpoint_activations:  # inputs of all layers, the inside of one
        inside = max(attention * bool(attend), convolution * (attend < layers))
        return float(layers * tokens * width * size + shared + inside)
    return float(layers * shared + attend * attention + (layers - attend) * convolution)
