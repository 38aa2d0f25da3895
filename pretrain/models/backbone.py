"""The interface of every architecture: packed tokens in, one hidden state per token out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pretrain.models.batch import PackedBatch
from pretrain.models.model_settings import ModelSettings


@dataclass(frozen=True)
class BackboneOutput:
    """What a backbone returns.

    Attributes:
        hidden: hidden states (N, D) in batch order.
        states: hidden states (N, D) of every depth: index 0 after the embeddings, the last one equal to ``hidden``.
            None unless asked for.
        extras: values that only some architectures have, by name (``scores`` of ERNIE-RNA's attention).
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
        """Return the table (V, D) that an output head may be tied to; None if there is no such table."""
        return None

    def attention_weights(self, batch: PackedBatch, layer: int) -> Tensor | None:
        """Return the attention of a layer for the one sequence of a batch, (H, T, T); None if there is none."""
        return None
