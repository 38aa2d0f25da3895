"""HyenaDNA's trunk: pre-norm layers of a Hyena operator and an MLP over packed tokens, then a LayerNorm.

Names of parameters (``{i}`` counts layers from 0):

    embeddings.word.weight (V, D)
    layers.{i}.mixer_norm.{weight,bias}   layers.{i}.mixer.* as ``HyenaOperator`` lists them
    layers.{i}.mlp_norm.{weight,bias}     layers.{i}.mlp.{up (F, D),down (D, F)}.{weight,bias}
    final_norm.{weight,bias}

Every sequence starts at position 0. Upstream pads on the left, and pads are ordinary tokens there: they enter the
convolutions and move the logits of the real tokens by up to 13 in the reference case. Full windows, which the recipe
trains on, agree; for shorter ones put the pads into the sequence to get upstream's figures.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.models.backbone import Backbone, BackboneOutput
from pretrain.models.batch import PackedBatch
from pretrain.models.dropout import dropout
from pretrain.models.hyena.initialization import initialize_hyena
from pretrain.models.hyena.operator import HyenaOperator
from pretrain.models.hyena.settings import HyenaOptions, HyenaSettings
from pretrain.models.layer_stack import backbone_output, run_layers
from pretrain.models.layout import Layout
from pretrain.models.memory import Memory
from pretrain.models.token_embedding import TokenEmbedding


class HyenaLayer(nn.Module):
    """x += mixer(LN x); x += down(gelu_tanh(up(LN x))). The residual stream is float32 whatever the precision."""

    def __init__(self, settings: HyenaSettings) -> None:
        super().__init__()
        self.settings = settings
        width, inner = settings.hidden_size, settings.intermediate_size
        self.mixer_norm = nn.LayerNorm(width, eps=settings.layer_norm_eps)
        self.mixer = HyenaOperator(settings)
        self.mlp_norm = nn.LayerNorm(width, eps=settings.layer_norm_eps)
        self.mlp = nn.ModuleDict({"up": nn.Linear(width, inner), "down": nn.Linear(inner, width)})

    def forward(self, x: Tensor, layout: Layout, memory: Memory | None = None) -> Tensor:
        """Float32 (N, D) in layout order -> float32 (N, D)."""
        x = x + self._drop(self.mixer(_normed(self.mixer_norm, x), layout, memory))
        inner = F.gelu(self.mlp["up"](_normed(self.mlp_norm, x)), approximate="tanh")
        return x + self._drop(self.mlp["down"](inner))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.settings.hidden_dropout_prob, self.training)


class Hyena(Backbone):
    """Embedding, L layers, final LayerNorm; causal."""

    settings: HyenaSettings

    def __init__(self, settings: HyenaSettings, options: HyenaOptions) -> None:
        super().__init__()
        self.settings, self.options, self.width = settings, options, settings.hidden_size
        self.embeddings = TokenEmbedding(settings, padding_idx=None)
        self.layers = nn.ModuleList(HyenaLayer(settings) for _ in range(settings.num_hidden_layers))
        self.final_norm = nn.LayerNorm(self.width, eps=settings.layer_norm_eps)
        initialize_hyena(self, settings)

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; there are no extras.

        Raises:
            PolymeraseError: a sequence is longer than the filter.
        """
        layout, settings = batch.sequence_layout, self.settings
        if layout.longest > settings.max_position_embeddings:
            raise PolymeraseError(
                f"a sequence of {layout.longest} tokens is longer than the filter of "
                f"{settings.max_position_embeddings} (model.max_position_embeddings); "
                "crop it or use a model of longer inputs"
            )
        x = self.embeddings(batch, layout).float()
        x = dropout(x, settings.embedding_dropout_prob, self.training)
        states = run_layers(self.layers, x, layout, batch.memory, recompute=self.options.checkpoint_activations)
        x = dropout(states[-1], settings.hidden_dropout_prob, self.training)
        return backbone_output(_normed(self.final_norm, x), states, layout, return_states)

    def token_embedding(self) -> Tensor:
        """Return the word embedding (V, D), which the output head is tied to."""
        return self.embeddings.word.weight


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply the norm in the type of its own weights: LayerNorm takes no mixture of types."""
    return norm(x.to(norm.weight.dtype))
