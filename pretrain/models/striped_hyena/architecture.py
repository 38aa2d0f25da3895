"""Evo's trunk as an entry of ``ARCHITECTURES``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrain.models.entry import Architecture
from pretrain.models.striped_hyena.costs import activation_bytes, flops_per_token
from pretrain.models.striped_hyena.settings import StripedHyenaOptions, StripedHyenaSettings

if TYPE_CHECKING:
    from pretrain.models.backbone import Backbone
    from pretrain.models.heads import HeadSettings


def _build(settings: StripedHyenaSettings, options: StripedHyenaOptions) -> Backbone:
    from pretrain.models.striped_hyena.backbone import StripedHyena

    return StripedHyena(settings, options)


def _head(settings: StripedHyenaSettings) -> HeadSettings:
    from pretrain.models.heads import HeadSettings

    return HeadSettings.of(settings)


def summary(settings: StripedHyenaSettings) -> dict[str, object]:
    """Return the rows of a model card."""
    return {
        "layers": settings.num_hidden_layers,
        "layers with attention": ", ".join(map(str, settings.attention_layers)) or "none",
        "attention heads": settings.num_attention_heads,
        "hidden size": settings.hidden_size,
        "intermediate size": settings.intermediate_size,
        "states of a filter": settings.state_size,
        "vocabulary": settings.vocab_size,
        "longest input in training (tokens)": settings.max_position_embeddings,
    }


STRIPED_HYENA = Architecture(
    name="striped_hyena",
    settings=StripedHyenaSettings,
    options=StripedHyenaOptions,
    build=_build,
    head=_head,
    dimensions={
        "vocab_size": ("encoder.embeddings.word.weight", 0),
        "hidden_size": ("encoder.embeddings.word.weight", 1),
        "intermediate_size": ("encoder.layers.0.mlp.up.weight", 0),
        "state_size": ("encoder.layers.0.mixer.filter.poles", 1),
        "short_kernel_size": ("encoder.layers.0.mixer.short.weight", 2),
    },
    counted={"num_hidden_layers": "encoder.layers."},
    unseen=("num_attention_heads",),
    flops_per_token=flops_per_token,
    activation_bytes=activation_bytes,
    longest_input=lambda settings: None,
    is_causal=lambda settings: True,
    remembers=lambda settings: settings.rope_scaling is None or settings.rope_scaling.is_fixed,
    summary=summary,
    layers=lambda settings: settings.num_hidden_layers,
)
