"""What every architecture offers: packed tokens in, one hidden state per token out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pretrain.models.batch import PackedBatch
from pretrain.models.model_settings import ModelSettings


@dataclass(frozen=True)
class BackboneOutput:
    """What a backbone makes of a batch.

    hidden: (N, D) in batch order. states: hidden states (N, D), index 0 after the embeddings, the last one equal to
    hidden. extras: what only some architectures have, by name (``scores`` of ERNIE-RNA's attention).
    """

    hidden: Tensor
    states: list[Tensor] | None = None
    extras: dict[str, Any] = field(default_factory=dict)


class Backbone(nn.Module):
    """The part of a language model below its output head.

    Attributes:
        settings: the frozen dataclass that it was built from.
        width: D, the size of a hidden state.
    """

    settings: ModelSettings
    width: int

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; see ``BackboneOutput``."""
        raise NotImplementedError

    def token_embedding(self) -> Tensor | None:
        """The table (V, D) that an output head may be tied to; None where there is none."""
        return None
