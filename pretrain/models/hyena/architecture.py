"""HyenaDNA's trunk as an entry of ``ARCHITECTURES``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrain.models.entry import Architecture
from pretrain.models.hyena.costs import activation_bytes, flops_per_token
from pretrain.models.hyena.settings import HyenaOptions, HyenaSettings

if TYPE_CHECKING:
    from pretrain.models.backbone import Backbone
    from pretrain.models.heads import HeadSettings


def _build(settings: HyenaSettings, options: HyenaOptions) -> Backbone:
    from pretrain.models.hyena.backbone import Hyena

    return Hyena(settings, options)


def _head(settings: HyenaSettings) -> HeadSettings:
    from pretrain.models.heads import HeadSettings

    return HeadSettings.of(settings, layer_norm_eps=settings.layer_norm_eps)


def summary(settings: HyenaSettings) -> dict[str, object]:
    """Return the rows of a model card."""
    return {
        "layers": settings.num_hidden_layers,
        "hidden size": settings.hidden_size,
        "intermediate size": settings.intermediate_size,
        "filter network width": settings.filter_width,
        "filter shift": settings.filter_shift,
        "vocabulary": settings.vocab_size,
        "longest input (tokens)": settings.max_position_embeddings,
    }


HYENA = Architecture(
    name="hyena",
    settings=HyenaSettings,
    options=HyenaOptions,
    build=_build,
    head=_head,
    dimensions={
        "vocab_size": ("encoder.embeddings.word.weight", 0),
        "hidden_size": ("encoder.embeddings.word.weight", 1),
        "intermediate_size": ("encoder.layers.0.mlp.up.weight", 0),
        "filter_features": ("encoder.layers.0.mixer.filter.input.weight", 1),
        "filter_width": ("encoder.layers.0.mixer.filter.input.weight", 0),
        "short_kernel_size": ("encoder.layers.0.mixer.short.weight", 2),
    },
    counted={"num_hidden_layers": "encoder.layers."},
    unseen=("max_position_embeddings",),
    flops_per_token=flops_per_token,
    activation_bytes=activation_bytes,
    longest_input=lambda settings: settings.max_position_embeddings,
    is_causal=lambda settings: True,
    remembers=lambda settings: True,
    summary=summary,
    layers=lambda settings: settings.num_hidden_layers,
)
