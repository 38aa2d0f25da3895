"""What stands on a backbone, one small module per prediction.

Inside a pretraining model the output head is ``mlm_head`` next to ``encoder``; the heads of other objectives live in a
ModuleDict ``heads`` under their names: ``mlm_head.dense.weight``, ``heads.structure.linear.weight``, ...
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.transformer.mlp import ACTIVATIONS

STRUCTURE_CLASSES = ("(", ".", ")")  # rows of the structure head, in UTR-LM's order


@dataclass(frozen=True)
class HeadSettings:
    """What the output head is made of, whatever the backbone.

    initializer_range: deviation of the first weights; None leaves torch's defaults.
    """

    hidden_size: int
    vocab_size: int
    transform: Literal["dense_norm", "none"] = "dense_norm"
    transform_bias: bool = True  # of dense and of a LayerNorm behind it
    act: str = "gelu"  # between dense and norm
    tied: bool = True  # to the backbone's token embedding
    bias: bool = True
    norm: Literal["layer", "rms"] = "layer"
    layer_norm_eps: float = 1e-12
    initializer_range: float | None = None

    def flops_per_token(self) -> float:
        """Matrix products per token that reaches the head."""
        dense = self.hidden_size if self.transform == "dense_norm" else 0
        return 2.0 * self.hidden_size * (dense + self.vocab_size)


class MlmHead(nn.Module):
    """logits = transform(hidden) E^T + bias, transform = norm(act(dense(.))) or nothing.

    E is the backbone's token embedding (tied) or the head's own. Parameters: dense.{weight (D,D),bias} and
    norm.{weight,bias} of ``dense_norm``, decoder.weight (V, D) where not tied, bias (V,).
    """

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        width, std = settings.hidden_size, settings.initializer_range
        if settings.transform == "dense_norm":
            self.dense = nn.Linear(width, width, bias=settings.transform_bias)
            self.norm = _norm(settings)
            self.act = ACTIVATIONS[settings.act].apply
            if std is not None:
                nn.init.normal_(self.dense.weight, std=std)
                if settings.transform_bias:
                    nn.init.zeros_(self.dense.bias)
        if not settings.tied:
            self.decoder = nn.Linear(width, settings.vocab_size, bias=False)
            if std is not None:
                nn.init.normal_(self.decoder.weight, std=std)
        self.bias = nn.Parameter(torch.zeros(settings.vocab_size)) if settings.bias else None

    def forward(self, hidden: Tensor, token_embedding: Tensor | None) -> Tensor:
        """(M, D) at the selected positions, the backbone's table (V, D) -> (M, V)."""
        if self.settings.transform == "dense_norm":
            hidden = self.norm(self.act(self.dense(hidden)))
        if not self.settings.tied:
            logits = self.decoder(hidden)
            return logits if self.bias is None else logits + self.bias
        assert token_embedding is not None, "a tied head needs a backbone with a token embedding"
        return F.linear(hidden, token_embedding, self.bias)


def _norm(settings: HeadSettings) -> nn.LayerNorm | nn.RMSNorm:
    if settings.norm == "rms":
        return nn.RMSNorm(settings.hidden_size, eps=settings.layer_norm_eps)
    return nn.LayerNorm(settings.hidden_size, eps=settings.layer_norm_eps, bias=settings.transform_bias)


class LinearHead(nn.Module):
    """One linear layer with torch's default initialisation. Parameters: linear.{weight (outputs,D),bias}."""

    def __init__(self, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """(M, D) -> (M, outputs)."""
        return self.linear(hidden)


class StructureHead(LinearHead):
    """Dot-bracket symbol of a token: (M, D) -> (M, 3), columns as STRUCTURE_CLASSES."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, len(STRUCTURE_CLASSES))


class MfeHead(LinearHead):
    """Normalised minimum free energy from the first token: (S, D) -> (S, 1)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, 1)


class TypeHead(LinearHead):
    """RNA type from the first token: (S, D) -> (S, C)."""
