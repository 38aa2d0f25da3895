"""The transformer as an entry of ``ARCHITECTURES``: what it costs, what it reads, what a card says of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pretrain.models.entry import Architecture, SideInput
from pretrain.models.transformer.settings import TransformerOptions, TransformerSettings

if TYPE_CHECKING:
    from pretrain.models.backbone import Backbone
    from pretrain.models.heads import HeadSettings


def _build(settings: TransformerSettings, options: TransformerOptions) -> Backbone:
    from pretrain.models.transformer.encoder import Encoder

    return Encoder(settings, options)


def _head(settings: TransformerSettings) -> HeadSettings:
    from pretrain.models.heads import HeadSettings
    from pretrain.models.transformer.initialization import INITIALIZATIONS

    return HeadSettings.of(
        settings,
        norm=settings.norm,
        layer_norm_eps=settings.layer_norm_eps,
        initialization=INITIALIZATIONS[settings.initialization].head,
    )


def flops_per_token(settings: TransformerSettings, length: float) -> float:
    """Count operations of the layers: projections and MLP, and attention over ``length`` tokens."""
    width, inner = settings.hidden_size, settings.intermediate_size
    from pretrain.models.transformer.mlp import MLPS

    products = 4 * width * width + MLPS[settings.mlp].products * width * inner
    return settings.num_hidden_layers * (2.0 * products + 4.0 * length * width)


def activation_bytes(
    settings: TransformerSettings, options: TransformerOptions, lengths: Sequence[int], size: int
) -> float:
    """Estimate the bytes that the forward pass keeps for the backward pass.

    Per token and layer: queries, keys, values and their mixture, outputs of both norms and what these keep, the inner
    width of the MLP. Attention keeps nothing per pair of tokens, dropout on a CPU only its seed.
    """
    from pretrain.models.transformer.mlp import MLPS
    from pretrain.models.transformer.norms import NORMS

    tokens, cells = sum(lengths), sum(length * length for length in lengths)
    width, layers = settings.hidden_size, settings.num_hidden_layers
    inner = MLPS[settings.mlp].kept * settings.intermediate_size
    layer = tokens * size * ((6 + 2 * NORMS[settings.norm].kept) * width + inner)
    scores = 0.0
    if settings.pairing_bias and options.pairing_memory != "none":
        is_stored = options.pairing_memory == "store" or options.checkpoint_activations
        stored = (layers if is_stored else 1) * (2 if options.pairing_scores_dtype == "float16" else 4)
        scores = (stored + 4.0) * settings.num_attention_heads * cells  # 4 bytes for their gradient, 2 on some GPUs
    if options.checkpoint_activations:  # inputs of all layers, the inside of one
        return layers * tokens * width * size + layer + scores
    return layers * layer + scores


def longest_input(settings: TransformerSettings) -> int | None:
    """Return the rows of a table of positions; None for positions without a table."""
    limited = settings.position_embedding_type in ("learned", "sinusoidal")
    return settings.max_position_embeddings if limited else None


def summary(settings: TransformerSettings) -> dict[str, object]:
    """Return the rows of a model card."""
    return {
        "layers": settings.num_hidden_layers,
        "attention heads": settings.num_attention_heads,
        "hidden size": settings.hidden_size,
        "intermediate size": settings.intermediate_size,
        "vocabulary": settings.vocab_size,
        "longest input (tokens)": settings.max_position_embeddings,
    }


def side_inputs(settings: TransformerSettings, vocab: tuple[str, ...]) -> dict[str, SideInput]:
    """Return the function for the pair class of every token, for pairing models."""
    if not settings.pairing_bias:
        return {}
    from pretrain.models.transformer.recurrent.pairing import pair_class_table

    return {"pair_class": partial(_pair_class, pair_class_table(vocab))}


def _pair_class(table: np.ndarray, ids: np.ndarray, selected: np.ndarray | None) -> np.ndarray:
    from pretrain.models.transformer.recurrent.pairing import pair_classes

    return pair_classes(ids, table, selected)


def idle_options(settings: TransformerSettings, options: TransformerOptions) -> dict[str, str]:
    """Name the options of pairing as without effect for models without pairing bias."""
    names = ("pairing_memory", "pairing_scores_dtype")
    return {} if settings.pairing_bias else dict.fromkeys(names, "pairing_bias is false")


TRANSFORMER = Architecture(
    name="transformer",
    settings=TransformerSettings,
    options=TransformerOptions,
    build=_build,
    head=_head,
    dimensions={
        "vocab_size": ("encoder.embeddings.word.weight", 0),
        "hidden_size": ("encoder.embeddings.word.weight", 1),
        "intermediate_size": ("encoder.layers.0.mlp.up.weight", 0),
        "max_position_embeddings": ("encoder.embeddings.position.weight", 0),
        "segment_rows": ("encoder.embeddings.segment.weight", 0),
        "num_attention_heads": ("encoder.pairing.output.weight", 0),
    },
    counted={"num_hidden_layers": "encoder.layers."},
    unseen=("num_attention_heads",),
    flops_per_token=flops_per_token,
    activation_bytes=activation_bytes,
    longest_input=longest_input,
    is_causal=lambda settings: settings.causal,
    remembers=lambda settings: settings.causal and (settings.rope_scaling is None or settings.rope_scaling.is_fixed),
    summary=summary,
    layers=lambda settings: settings.num_hidden_layers,
    side_inputs=side_inputs,
    idle_options=idle_options,
    varies=lambda settings: "its pairing bias keeps scores of all pairs of tokens" if settings.pairing_bias else None,
    keeps_pairs=lambda settings: settings.pairing_bias,
    first_weights=("initialization", "initializer_range", "zero_pad_row"),
    former={"hidden_act": ("mlp", "head_act"), "pairing_scores_dtype": ()},
)
