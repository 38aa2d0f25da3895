"""Published weights as a module: backbone, output head and the heads that they come with."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pretrain.families.keys import TRANSFORMS, KeyLayout, in_pieces
from pretrain.models import LanguageModel, MfeHead, ModelSettings, StructureHead

HEADS = {"structure": StructureHead, "mfe": MfeHead}  # heads other than mlm that published weights come with


def published_model(settings: ModelSettings, heads: tuple[str, ...] = ("mlm",)) -> LanguageModel:
    """Build a model of these settings with these heads; its state dict has the names of a pretraining model."""
    model = LanguageModel.build(settings)
    model.heads.update({name: HEADS[name](settings.hidden_size) for name in heads if name != "mlm"})
    return model


def our_tensors(layout: KeyLayout, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published tensors under our names, transforms applied, without the unused ones.

    Keys that no rule knows are left out as well: refusing them is the importer's task.
    """
    named: dict[str, Tensor] = {}
    for key, tensor in in_pieces(layout, published).items():
        found = layout.to_ours(key)
        if found is not None and not found[0].startswith("unused."):
            ours, rule = found
            named[ours] = TRANSFORMS[rule.transform][0](tensor)
    return named


def parameter_count(settings: ModelSettings, heads: tuple[str, ...] = ("mlm",)) -> int:
    """Count the parameters of the encoder with these heads without allocating them."""
    with torch.device("meta"):
        model = published_model(settings, heads)
    return sum(parameter.numel() for parameter in model.parameters())
