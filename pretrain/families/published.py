"""A published model as a module: encoder, output head and the heads its weights come with.

Its state dict has the names of a pretraining model (``encoder.…``, ``mlm_head.…``, ``heads.…``).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pretrain.families.keys import TRANSFORMS, KeyLayout
from pretrain.models import Encoder, MfeHead, MlmHead, PackedBatch, StructureHead, TransformerSettings

HEADS = {"structure": StructureHead, "mfe": MfeHead}  # heads other than mlm that published weights come with


class PublishedModel(nn.Module):
    """Encoder, output head and extra heads by name."""

    def __init__(self, settings: TransformerSettings, heads: tuple[str, ...] = ("mlm",)) -> None:
        super().__init__()
        self.encoder = Encoder(settings)
        self.mlm_head = MlmHead(settings)
        self.heads = nn.ModuleDict({name: HEADS[name](settings.hidden_size) for name in heads if name != "mlm"})

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (M, D) -> (M, V)."""
        return self.mlm_head(hidden, self.encoder.embeddings.word.weight)

    def forward(self, batch: PackedBatch) -> Tensor:
        """Packed batch -> logits (N, V) at every token."""
        return self.logits(self.encoder(batch).hidden)


def our_tensors(layout: KeyLayout, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under our names, transforms applied, without the unused ones.

    Keys that no rule knows are left out as well: refusing them is the importer's business.
    """
    named: dict[str, Tensor] = {}
    for key, tensor in published.items():
        found = layout.to_ours(key)
        if found is not None and not found[0].startswith("unused."):
            ours, rule = found
            named[ours] = TRANSFORMS[rule.transform][0](tensor)
    return named


def parameter_count(settings: TransformerSettings, heads: tuple[str, ...]) -> int:
    """Parameters of the encoder with these heads, counted without allocating them."""
    with torch.device("meta"):
        model = PublishedModel(settings, heads)
    return sum(parameter.numel() for parameter in model.parameters())
