"""Prediction heads on a backbone, one small module per prediction.

Inside a pretraining model the output head is ``mlm_head`` next to ``encoder``; the heads of other objectives live in a
ModuleDict ``heads`` under their names: ``mlm_head.dense.weight``, ``heads.structure.linear.weight``, ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.transformer.mlp import ACTIVATIONS
from pretrain.models.transformer.norms import NORMS

STRUCTURE_CLASSES = ("(", ".", ")")  # rows of the structure head, in UTR-LM's order


@dataclass(frozen=True)
class HeadSettings:
    """What the output head is made of, whatever the backbone.

    initialization: first weights, a name in ``HEAD_INITIALIZATIONS``. initializer_range: deviation of ``normal``.
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
    initialization: Literal["torch", "normal", "truncated_normal"] = "normal"
    initializer_range: float = 0.02

    @classmethod
    def of(cls, settings: Any, **others: Any) -> "HeadSettings":
        """Collect what the settings of every architecture say about the head; ``others`` are fields only some have."""
        return cls(
            hidden_size=settings.hidden_size,
            vocab_size=settings.vocab_size,
            transform=settings.head_transform,
            act=settings.head_act,
            tied=settings.head_tied,
            bias=settings.head_bias,
            initializer_range=settings.initializer_range,
            **others,
        )

    def flops_per_token(self) -> float:
        """Operations of the matrix products per token that reaches the head."""
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
        width = settings.hidden_size
        if settings.transform == "dense_norm":
            self.dense = nn.Linear(width, width, bias=settings.transform_bias)
            self.norm = NORMS[settings.norm].alone(width, settings.layer_norm_eps, bias=settings.transform_bias)
            self.act = ACTIVATIONS[settings.act].apply
        if not settings.tied:
            self.decoder = nn.Linear(width, settings.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(settings.vocab_size)) if settings.bias else None
        HEAD_INITIALIZATIONS[settings.initialization](self, settings)

    def forward(self, hidden: Tensor, token_embedding: Tensor | None) -> Tensor:
        """(M, D) at the selected positions, the backbone's table (V, D) -> (M, V)."""
        if self.settings.transform == "dense_norm":
            hidden = self.norm(self.act(self.dense(hidden)))
        if not self.settings.tied:
            logits = self.decoder(hidden)
            return logits if self.bias is None else logits + self.bias
        assert token_embedding is not None, "a tied head needs a backbone with a token embedding"
        return F.linear(hidden, token_embedding, self.bias)


def _torch(head: MlmHead, settings: HeadSettings) -> None:
    """Linear uniform within 1/sqrt(inputs), biases too: that of an untied head is one of a Linear, a tied one is 0."""
    if head.bias is not None and not settings.tied:
        nn.init.uniform_(head.bias, -(settings.hidden_size**-0.5), settings.hidden_size**-0.5)


def _normal(head: MlmHead, settings: HeadSettings) -> None:
    """normal(0, initializer_range), biases 0."""
    for linear in _linears(head):
        nn.init.normal_(linear.weight, std=settings.initializer_range)


def _truncated_normal(head: MlmHead, settings: HeadSettings) -> None:
    """Haiku's: normal of deviation 1/sqrt(inputs), cut at two deviations; biases 0."""
    for linear in _linears(head):
        std = linear.in_features**-0.5
        nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)


def _linears(head: MlmHead) -> list[nn.Linear]:
    """Those of a head, their biases 0."""
    linears = [part for part in head.modules() if isinstance(part, nn.Linear)]
    for linear in linears:
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
    return linears


HEAD_INITIALIZATIONS: dict[str, Callable[[MlmHead, HeadSettings], None]] = {
    "torch": _torch,
    "normal": _normal,
    "truncated_normal": _truncated_normal,
}


class LinearHead(nn.Module):
    """One linear layer with torch's default initialization. Parameters: linear.{weight (outputs,D),bias}."""

    def __init__(self, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """(M, D) -> (M, outputs)."""
        return self.linear(hidden)


class StructureHead(LinearHead):
    """Dot-bracket symbol of each token: (M, D) -> (M, 3), columns as STRUCTURE_CLASSES."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, len(STRUCTURE_CLASSES))


class MfeHead(LinearHead):
    """Normalized minimum free energy from the first token: (S, D) -> (S, 1)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, 1)


class TypeHead(LinearHead):
    """RNA type from the first token: (S, D) -> (S, C)."""
