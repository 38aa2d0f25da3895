"""Dilated convolutions as an entry of ``ARCHITECTURES``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrain.models.convnet.costs import activation_bytes, flops_per_token
from pretrain.models.convnet.settings import ConvNetOptions, ConvNetSettings
from pretrain.models.entry import Architecture

if TYPE_CHECKING:
    from pretrain.models.backbone import Backbone
    from pretrain.models.heads import HeadSettings


def _build(settings: ConvNetSettings, options: ConvNetOptions) -> Backbone:
    from pretrain.models.convnet.backbone import ConvNet

    return ConvNet(settings, options)


def _head(settings: ConvNetSettings) -> HeadSettings:
    from pretrain.models.heads import HeadSettings

    return HeadSettings.of(settings, transform_bias=settings.bias, layer_norm_eps=settings.layer_norm_eps)


def summary(settings: ConvNetSettings) -> dict[str, object]:
    """Return the rows of a model card."""
    return {
        "layers": settings.num_hidden_layers,
        "block": settings.block,
        "hidden size": settings.hidden_size,
        "kernel (first layer, others)": f"{settings.first_kernel_size}, {settings.kernel_size}",
        "largest dilation": max(settings.dilation_of(layer) for layer in range(settings.num_hidden_layers)),
        "tokens seen to each side": settings.reach,
        "vocabulary": settings.vocab_size,
        "longest input in training (tokens)": settings.max_position_embeddings,
    }


CONVNET = Architecture(
    name="convnet",
    settings=ConvNetSettings,
    options=ConvNetOptions,
    build=_build,
    head=_head,
    dimensions={
        "vocab_size": ("mlm_head.decoder.weight", 0),
        "hidden_size": ("mlm_head.decoder.weight", 1),
        "intermediate_size": ("encoder.layers.0.mlp.up.weight", 0),
        "first_kernel_size": ("encoder.layers.0.conv.weight", 2),
        "kernel_size": ("encoder.layers.1.conv.weight", 2),
    },
    more_places={  # one-hot rows have no table, and the head may be missing
        "vocab_size": (("encoder.embeddings.word.weight", 0),),
        "hidden_size": (("encoder.embeddings.word.weight", 1), ("encoder.layers.0.conv_norm.weight", 0)),
    },
    counted={"num_hidden_layers": "encoder.layers."},
    flops_per_token=flops_per_token,
    activation_bytes=activation_bytes,
    longest_input=lambda settings: None,
    is_causal=lambda settings: False,
    summary=summary,
    layers=lambda settings: settings.num_hidden_layers,
)
