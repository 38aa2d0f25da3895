"""Evo's trunk: gated convolutions with layers of attention between them, over packed tokens.

Names of parameters (``{i}`` counts layers from 0): embeddings.word.weight (V, D), layers.{i}.* as ``layers`` lists
them, final_norm.scale (D,). Every sequence starts at position 0.
"""

from __future__ import annotations

from torch import Tensor, nn

from pretrain.models.backbone import Backbone, BackboneOutput
from pretrain.models.batch import PackedBatch
from pretrain.models.dropout import dropout
from pretrain.models.layer_stack import backbone_output, run_layers
from pretrain.models.layout import Layout
from pretrain.models.memory import Memory
from pretrain.models.striped_hyena.initialization import initialize_striped_hyena
from pretrain.models.striped_hyena.layers import CausalAttention, GatedConvolution, GatedMlp, RootNorm, Rotary
from pretrain.models.striped_hyena.settings import StripedHyenaOptions, StripedHyenaSettings
from pretrain.models.token_embedding import TokenEmbedding
from pretrain.models.transformer.positions import rotary_angles


class StripedHyenaLayer(nn.Module):
    """x += mixer(norm x); x += mlp(norm x)."""

    def __init__(self, settings: StripedHyenaSettings, number: int) -> None:
        super().__init__()
        self.settings = settings
        attends = number in settings.attention_layers
        self.mixer_norm = RootNorm(settings.hidden_size, settings.rms_norm_eps)
        self.mixer = CausalAttention(settings) if attends else GatedConvolution(settings)
        self.mlp_norm = RootNorm(settings.hidden_size, settings.rms_norm_eps)
        self.mlp = GatedMlp(settings)

    def forward(self, x: Tensor, layout: Layout, rotary: Rotary, memory: Memory | None = None) -> Tensor:
        """(N, D) in layout order -> (N, D)."""
        x = x + self._drop(self.mixer(self.mixer_norm(x), layout, rotary, memory))
        return x + self._drop(self.mlp(self.mlp_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.settings.hidden_dropout_prob, self.training)


class StripedHyena(Backbone):
    """Embedding, L layers, final norm; causal."""

    settings: StripedHyenaSettings

    def __init__(self, settings: StripedHyenaSettings, options: StripedHyenaOptions) -> None:
        super().__init__()
        self.settings, self.options, self.width = settings, options, settings.hidden_size
        self.embeddings = TokenEmbedding(settings, padding_idx=None)
        self.layers = nn.ModuleList(StripedHyenaLayer(settings, i) for i in range(settings.num_hidden_layers))
        self.final_norm = RootNorm(self.width, settings.rms_norm_eps)
        initialize_striped_hyena(self, settings)

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; there are no extras."""
        layout = batch.sequence_layout
        x = self.embeddings(batch, layout)
        rotary = rotary_angles(layout.to_layout_order(batch.position_ids), self.settings, layout.longest)
        states = run_layers(self.layers, x, layout, rotary, batch.memory, recompute=self.options.checkpoint_activations)
        return backbone_output(self.final_norm(states[-1]), states, layout, return_states)

    def token_embedding(self) -> Tensor:
        """Return the word embedding (V, D), which the output head is tied to."""
        return self.embeddings.word.weight
