"""Dilated convolutions over packed tokens: embedding, L blocks, optional final LayerNorm.

Names of parameters: embeddings.word.weight (V, D) with a learned embedding, layers.{i}.* as ``blocks`` lists them,
final_norm.{weight,bias}.

A window's ends are zeros, not padding tokens: a sequence gives the same hidden states alone and beside others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.models.backbone import Backbone, BackboneOutput
from pretrain.models.batch import PackedBatch
from pretrain.models.convnet.blocks import BLOCKS
from pretrain.models.convnet.initialization import initialize_convnet
from pretrain.models.convnet.settings import ConvNetOptions, ConvNetSettings
from pretrain.models.layer_stack import backbone_output, run_layers
from pretrain.models.token_embedding import OneHotEmbedding, TokenEmbedding


class ConvNet(Backbone):
    """GPN's encoder in its three published forms."""

    settings: ConvNetSettings

    def __init__(self, settings: ConvNetSettings, options: ConvNetOptions) -> None:
        super().__init__()
        self.settings, self.options, self.width = settings, options, settings.hidden_size
        if settings.embedding == "learned":
            self.embeddings: nn.Module = TokenEmbedding(settings, padding_idx=settings.pad_token_id)
        else:
            self.embeddings = OneHotEmbedding(settings)
        block = BLOCKS[settings.block]
        self.layers = nn.ModuleList(block(settings, layer) for layer in range(settings.num_hidden_layers))
        if settings.final_norm:
            self.final_norm = nn.LayerNorm(self.width, eps=settings.layer_norm_eps, bias=settings.bias)
        initialize_convnet(self, settings)

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; there are no extras."""
        layout = batch.sequence_layout
        x = self.embeddings(batch, layout).to(self.weight_dtype)
        states = run_layers(self.layers, x, layout, recompute=self.options.checkpoint_activations)
        hidden = self.final_norm(states[-1]) if self.settings.final_norm else states[-1]
        return backbone_output(hidden, states, layout, return_states)

    @property
    def weight_dtype(self) -> torch.dtype:
        """Type of the weights; a one-hot embedding has no weights and so no type of its own."""
        return next(self.layers.parameters()).dtype

    def token_embedding(self) -> Tensor | None:
        """Return the learned embedding (V, D) for a tied head; None if the input is one-hot."""
        return self.embeddings.word.weight if isinstance(self.embeddings, TokenEmbedding) else None
