"""What stands on the encoder, one small module per prediction.

Inside a pretraining model the output head is ``mlm_head`` next to ``encoder``; the heads of other objectives live in a
ModuleDict ``heads`` under their names: ``mlm_head.dense.weight``, ``heads.structure.linear.weight``, ...
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.transformer.initialization import initialize_bert
from pretrain.models.transformer.mlp import ACTIVATIONS
from pretrain.models.transformer.settings import TransformerSettings

STRUCTURE_CLASSES = ("(", ".", ")")  # rows of the structure head, in UTR-LM's order


class MlmHead(nn.Module):
    """logits = norm(act(dense(hidden))) E^T + bias, E tied to the word embedding.

    Parameters: dense.{weight (D,D),bias}, norm.{weight,bias}, bias (V,).
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.dense = nn.Linear(settings.hidden_size, settings.hidden_size)
        self.norm = nn.LayerNorm(settings.hidden_size, eps=settings.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(settings.vocab_size))
        self.act = ACTIVATIONS[settings.head_act].apply
        if settings.initialization == "bert":
            initialize_bert(self, settings)

    def forward(self, hidden: Tensor, embedding_weight: Tensor) -> Tensor:
        """(M, D) at the selected positions, (V, D) -> (M, V)."""
        return F.linear(self.norm(self.act(self.dense(hidden))), embedding_weight, self.bias)


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
