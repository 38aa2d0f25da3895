"""A backbone with an output head: what is pretrained, evaluated, verified and exported, whatever the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.models.architecture import architecture_of
from pretrain.models.backbone import Backbone
from pretrain.models.batch import PackedBatch
from pretrain.models.heads import MlmHead
from pretrain.models.model_settings import ModelSettings
from pretrain.models.whole_rows import whole_rows


def has_output_head(settings: Any, state: Mapping[str, Tensor]) -> bool:
    """Tell whether the tensors hold the whole output head.

    A tied head without transform and bias needs no tensor of its own.
    """
    return all(f"mlm_head.{name}" in state for name in head_names(settings))


def head_names(settings: Any) -> list[str]:
    """Return the names of the output head's own tensors, as ``MlmHead`` calls them."""
    with torch.device("meta"):
        return list(MlmHead(architecture_of(settings).head(settings)).state_dict())


class LanguageModel(nn.Module):
    """A backbone with its output head, and the heads of other objectives by name.

    The names of its tensors are the same for every architecture: ``encoder.*`` (the backbone), ``mlm_head.*``,
    ``heads.NAME.*``.
    """

    def __init__(self, backbone: Backbone, head: MlmHead, heads: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.encoder = backbone
        self.mlm_head = head
        self.heads = nn.ModuleDict(heads or {})

    @classmethod
    def build(
        cls, settings: ModelSettings, options: Any = None, heads: Mapping[str, nn.Module] | None = None
    ) -> LanguageModel:
        """Build the model that the settings describe, with first weights.

        Args:
            settings: their class decides the architecture.
            options: the architecture's memory choices; its defaults if None.
            heads: heads of other objectives.
        """
        architecture = architecture_of(settings)
        backbone = architecture.build(settings, options or architecture.options())
        return LanguageModel(backbone, MlmHead(architecture.head(settings)), heads)

    @property
    def settings(self) -> ModelSettings:
        """Settings of the backbone."""
        return self.encoder.settings

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the output head: hidden states (M, D) -> (M, V)."""
        return self.mlm_head(hidden, self.encoder.token_embedding())

    def logits_at(self, hidden: Tensor, index: Tensor) -> Tensor:
        """Apply the output head at flat positions (M,) of the hidden states (N, D) -> (M, V)."""
        rows = whole_rows(index, hidden)
        logits = self.logits(hidden.index_select(0, rows))
        return logits if rows is index else logits[: len(index)]

    def forward(self, batch: PackedBatch) -> Tensor:
        """Compute logits (N, V) at every token of a packed batch."""
        return self.logits(self.encoder(batch).hidden)
