"""The transformer encoder: packed, without padding, with a switch for every published choice.

Names of parameters (state dict of ``Encoder``; ``{i}`` counts layers from 0; RMS norms have no bias):

    embeddings.word.weight (V, D)                 embeddings.position.weight (P, D)   learned positions only
    embeddings.segment.weight (rows, D)           embeddings.norm.{weight,bias}       embedding_norm only
    layers.{i}.attention.{query,key,value,output}.{weight (D,D),bias}                 bias: attention_bias only
    layers.{i}.attention_norm.{weight,bias}       layers.{i}.mlp_norm.{weight,bias}
    layers.{i}.mlp.{up,gate (F,D),down (D,F)}.{weight,bias}                           gate: gated MLPs only
    layers.{i}.mlp.beta (1,)                                                          swiglu_beta learned only
    final_norm.{weight,bias}                      final_norm only
    and those of the bias, if it has weights (``first_bias``)
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pretrain.errors import PolymeraseError
from pretrain.models.backbone import Backbone, BackboneOutput
from pretrain.models.batch import PackedBatch
from pretrain.models.device_kind import kind_of
from pretrain.models.precision import computed_dtype
from pretrain.models.transformer.attention import Bias, choose_backend
from pretrain.models.transformer.attention_weights import attention_weights
from pretrain.models.transformer.embeddings import Embeddings
from pretrain.models.transformer.first_bias import FirstBias, make_first_bias
from pretrain.models.transformer.initialization import initialize_encoder
from pretrain.models.transformer.layer import EncoderLayer, ForwardContext
from pretrain.models.transformer.norms import NORMS
from pretrain.models.transformer.positions import rotary_angles
from pretrain.models.transformer.settings import TransformerOptions, TransformerSettings


class Encoder(Backbone):
    """Embeddings, L layers, and a final norm if the settings have one."""

    settings: TransformerSettings

    def __init__(self, settings: TransformerSettings, options: TransformerOptions) -> None:
        super().__init__()
        self.settings, self.width = settings, settings.hidden_size
        self.checkpoint_activations = options.checkpoint_activations
        self.embeddings = Embeddings(settings)
        first_bias = make_first_bias(settings, options)
        self._first_bias = first_bias.name
        self.add_module(first_bias.name, first_bias)
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_hidden_layers))
        if settings.final_norm:
            self.final_norm = NORMS[settings.norm].alone(settings.hidden_size, settings.layer_norm_eps)
        initialize_encoder(self, self.embeddings.word.weight, settings)

    def token_embedding(self) -> Tensor:
        """Return the word embedding (V, D)."""
        return self.embeddings.word.weight

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; see ``BackboneOutput``, and ``first_bias`` for the extras."""
        layout = batch.layout
        x = self.embeddings(batch)
        again = self.checkpoint_activations and torch.is_grad_enabled()
        first_bias = cast(FirstBias, self.get_submodule(self._first_bias))
        bias: Bias = first_bias(batch, again=again, is_shown=return_extras)
        context = self._forward_context(batch, x, bias)
        states, biases = [x], [bias] if return_extras else []
        for layer in self.layers:
            if again:
                x, bias = checkpoint(layer, x, bias, context, use_reentrant=False)
            else:
                x, bias = layer(x, bias, context)
            if return_states:
                states.append(x)
            if return_extras:
                biases.append(bias)
        if self.settings.final_norm:
            x = self.final_norm(x)
        if return_states:
            states[-1] = x
        return BackboneOutput(
            hidden=layout.to_batch_order(x),
            states=[layout.to_batch_order(state) for state in states] if return_states else None,
            extras=first_bias.extras(biases, layout) if return_extras else {},
        )

    def attention_weights(self, batch: PackedBatch, layer: int) -> Tensor:
        """Return the attention of a layer for the one sequence of a batch: float32 (H, T, T), rows sum to 1."""
        return attention_weights(self, batch, layer)

    def _forward_context(self, batch: PackedBatch, x: Tensor, bias: Bias) -> ForwardContext:
        layout, rotary = batch.layout, None
        if self.settings.position_embedding_type == "rotary":
            rotary = rotary_angles(layout.to_layout_order(batch.position_ids), self.settings, layout.longest)
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        backend = choose_backend(bias, x.device, computed_dtype(x), rate, self.settings.head_size)
        if batch.fixed is not None and backend == "grouped" and kind_of(x.device) == "cuda":
            raise PolymeraseError(
                "batch.static=true cannot hold on this GPU: without Triton attention works on groups of sequences of "
                "similar length; install triton and a C compiler, or leave the key out"
            )
        return ForwardContext(layout, rotary, backend, batch.memory)
