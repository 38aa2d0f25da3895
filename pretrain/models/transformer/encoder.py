"""The one transformer encoder: packed, without padding, with a switch for every published choice.

Names of parameters (state dict of ``Encoder``; ``{i}`` counts layers from 0; RMS norms have no bias):

    embeddings.word.weight (V, D)                 embeddings.position.weight (P, D)   learned positions only
    embeddings.segment.weight (rows, D)           embeddings.norm.{weight,bias}       embedding_norm only
    layers.{i}.attention.{query,key,value,output}.{weight (D,D),bias}                 bias: attention_bias only
    layers.{i}.attention_norm.{weight,bias}       layers.{i}.mlp_norm.{weight,bias}
    layers.{i}.mlp.{up,gate (F,D),down (D,F)}.{weight,bias}                           gate: gated MLPs only
    layers.{i}.mlp.beta (1,)                                                          swiglu_beta learned only
    final_norm.{weight,bias}                      final_norm only
    pairing.{hidden,output}.{weight,bias}         pairing_bias only
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pretrain.models.backbone import Backbone, BackboneOutput
from pretrain.models.batch import PackedBatch
from pretrain.models.dropout import dropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import Bias, attention, choose_backend
from pretrain.models.transformer.bias import position_bias
from pretrain.models.transformer.embeddings import Embeddings
from pretrain.models.transformer.initialization import initialize_encoder
from pretrain.models.transformer.mlp import Mlp
from pretrain.models.transformer.norms import NORMS
from pretrain.models.transformer.positions import rotary_angles, rotate
from pretrain.models.transformer.recurrent.extras import bias_extras
from pretrain.models.transformer.recurrent.pairing import PairingBias
from pretrain.models.transformer.settings import TransformerSettings


@dataclass(frozen=True)
class ForwardContext:
    """What every layer of one forward pass shares."""

    layout: Layout
    rotary: tuple[Tensor, Tensor] | None
    backend: str


class SelfAttention(nn.Module):
    """Multi-head self-attention inside each sequence."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        width, bias = settings.hidden_size, settings.attention_bias
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, bias: Bias, context: ForwardContext) -> tuple[Tensor, Bias]:
        """(N, D), bias of this layer -> (N, D), bias of the next one."""
        heads, size = self.settings.num_attention_heads, self.settings.head_size
        q, k, v = (layer(x).view(-1, heads, size) for layer in (self.query, self.key, self.value))
        if context.rotary is not None:
            q, k = rotate(q, *context.rotary), rotate(k, *context.rotary)
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        y, bias = attention(q, k, v, bias, context.layout, dropout=rate, backend=context.backend)
        return self.output(y.reshape(x.shape)), bias


class EncoderLayer(nn.Module):
    """Attention and MLP, each with a residual; a norm after the sum (post) or before the sublayer (pre)."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        norm = NORMS[settings.norm]
        make_norm = norm.alone if settings.norm_placement == "pre" else norm.behind_sum
        self.attention = SelfAttention(settings)
        self.attention_norm = make_norm(settings.hidden_size, settings.layer_norm_eps)
        self.mlp = Mlp(settings)
        self.mlp_norm = make_norm(settings.hidden_size, settings.layer_norm_eps)

    def forward(self, x: Tensor, bias: Bias, context: ForwardContext) -> tuple[Tensor, Bias]:
        """(N, D), bias of this layer -> (N, D), bias of the next one."""
        rate = self.settings.hidden_dropout_prob
        mlp_rate = 0.0 if self.settings.mlp_dropout == "inner" else rate
        if self.settings.norm_placement == "post":
            y, bias = self.attention(x, bias, context)
            x = self.attention_norm(x, y, rate)
            return self.mlp_norm(x, self.mlp(x), mlp_rate), bias
        normed = self.attention_norm(x)
        y, bias = self.attention(normed, bias, context)
        x = (normed if self.settings.residual_from == "norm" else x) + dropout(y, rate, self.training)
        return x + dropout(self.mlp(self.mlp_norm(x)), mlp_rate, self.training), bias


class Encoder(Backbone):
    """Embeddings, L layers, optional final norm.

    ``checkpoint_activations`` recomputes each layer in the backward pass instead of storing it. ``pairing_memory`` is
    for pairing models, see ``PairingBias``.
    """

    settings: TransformerSettings

    def __init__(
        self,
        settings: TransformerSettings,
        *,
        checkpoint_activations: bool = False,
        pairing_memory: Literal["store", "rebuild", "none"] = "rebuild",
    ) -> None:
        super().__init__()
        self.settings, self.width = settings, settings.hidden_size
        self.checkpoint_activations = checkpoint_activations
        self.embeddings = Embeddings(settings)
        if settings.pairing_bias:
            self.pairing = PairingBias(settings.num_attention_heads, pairing_memory)
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_hidden_layers))
        if settings.final_norm:
            self.final_norm = NORMS[settings.norm].alone(settings.hidden_size, settings.layer_norm_eps)
        initialize_encoder(self, settings)

    def token_embedding(self) -> Tensor:
        """The word embedding (V, D)."""
        return self.embeddings.word.weight

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; see ``BackboneOutput``, and ``bias_extras`` for the extras."""
        layout = batch.layout
        x = self.embeddings(batch)
        again = self.checkpoint_activations and torch.is_grad_enabled()
        bias = self._first_bias(batch, again, return_extras)
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
            extras=bias_extras(biases, layout) if return_extras else {},
        )

    def _first_bias(self, batch: PackedBatch, again: bool, is_shown: bool) -> Bias:
        """Of the first layer. A recurrent one is seen twice by layers that are computed again, or by the caller."""
        if self.settings.pairing_bias:
            return self.pairing(batch, again=again, is_shown=is_shown)
        return position_bias(self.settings, batch.input_ids.device)

    def _forward_context(self, batch: PackedBatch, x: Tensor, bias: Bias) -> ForwardContext:
        layout, rotary = batch.layout, None
        if self.settings.position_embedding_type == "rotary":
            rotary = rotary_angles(layout.to_layout_order(batch.position_ids), self.settings, layout.longest)
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return ForwardContext(layout, rotary, choose_backend(bias, x.device, dtype, rate, self.settings.head_size))
