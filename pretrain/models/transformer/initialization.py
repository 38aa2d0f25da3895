"""First weights, as the specification of each family gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from pretrain.models.transformer.layer import EncoderLayer
from pretrain.models.transformer.settings import TransformerSettings


def initialize_encoder(encoder: nn.Module, word: Tensor, settings: TransformerSettings) -> None:
    """Draw first weights in place: torch's defaults stay where ``INITIALIZATIONS`` says nothing else.

    Args:
        encoder: embeddings, layers and norms.
        word: its word embedding (V, D).
        settings: ``initialization``, ``initializer_range`` and ``zero_pad_row`` of them.
    """
    INITIALIZATIONS[settings.initialization].encoder(encoder, settings)
    if settings.zero_pad_row:
        nn.init.zeros_(word[settings.pad_token_id])


def _bert(encoder: nn.Module, settings: TransformerSettings) -> None:
    """normal(0, initializer_range) for the weights of Linear and Embedding, 0 for biases, 1 and 0 for norms."""
    for part in encoder.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=settings.initializer_range)
        if isinstance(part, nn.Linear):
            _zero_bias(part)


def _esm(encoder: nn.Module, settings: TransformerSettings) -> None:
    """ESM-2: xavier for attention, torch's defaults for the rest (recipes/utr_lm.md#model)."""
    for layer in _layers(encoder):
        attention = layer.attention
        for linear in (attention.query, attention.key, attention.value):
            nn.init.xavier_uniform_(linear.weight, gain=2**-0.5)
        nn.init.xavier_uniform_(attention.output.weight)
        _zero_bias(attention.output)


def _gpt2(encoder: nn.Module, settings: TransformerSettings) -> None:
    """As BERT, but the layers that write to the residual stream start smaller, by the square root of their number."""
    _bert(encoder, settings)
    std = settings.initializer_range / (2 * settings.num_hidden_layers) ** 0.5
    for layer in _layers(encoder):
        nn.init.normal_(layer.attention.output.weight, std=std)
        nn.init.normal_(layer.mlp.down.weight, std=std)


def _nucleotide_transformer(encoder: nn.Module, settings: TransformerSettings) -> None:
    """Haiku's: He-uniform for attention, biases included; a normal cut at two deviations for the rest.

    The deviation is 1 for embeddings and 1/sqrt(inputs) for Linear, whose biases are 0.
    """
    for part in encoder.modules():
        if isinstance(part, nn.Embedding):
            nn.init.trunc_normal_(part.weight)
        if isinstance(part, nn.Linear):
            std = part.in_features**-0.5
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            _zero_bias(part)
    for layer in _layers(encoder):
        attention = layer.attention
        for linear in (attention.query, attention.key, attention.value, attention.output):
            for tensor in (linear.weight, linear.bias):
                if tensor is not None:
                    limit = (6 / tensor.shape[-1]) ** 0.5
                    nn.init.uniform_(tensor, -limit, limit)


def _torch(encoder: nn.Module, settings: TransformerSettings) -> None:
    """Nothing: Linear uniform within 1/sqrt(inputs), embeddings normal(0, 1)."""


def _layers(encoder: nn.Module) -> list[EncoderLayer]:
    return [part for part in encoder.modules() if isinstance(part, EncoderLayer)]


def _zero_bias(linear: nn.Linear) -> None:
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


@dataclass(frozen=True)
class Initialization:
    """First weights of an encoder and of its output head (a name in ``HEAD_INITIALIZATIONS``)."""

    encoder: Callable[[nn.Module, TransformerSettings], None]
    head: Literal["torch", "normal", "truncated_normal"]


INITIALIZATIONS: dict[str, Initialization] = {
    "bert": Initialization(_bert, "normal"),
    "esm": Initialization(_esm, "torch"),
    "gpt2": Initialization(_gpt2, "torch"),  # HELM's head stands outside the class that draws normal weights
    "torch": Initialization(_torch, "torch"),
    "nucleotide_transformer": Initialization(_nucleotide_transformer, "truncated_normal"),
}
