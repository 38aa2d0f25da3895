"""The one transformer encoder: packed, without padding, with a switch for every published choice.

Names of parameters (state dict of ``Encoder``; ``{i}`` counts layers from 0):

    embeddings.word.weight (V, D)                 embeddings.position.weight (P, D)   learned positions only
    embeddings.segment.weight (rows, D)           embeddings.norm.{weight,bias}       embedding_norm only
    pairing.hidden.{weight (6,1),bias}            pairing.output.{weight (H,6),bias}  pairing_bias only
    layers.{i}.attention.{query,key,value,output}.{weight (D,D),bias}
    layers.{i}.attention_norm.{weight,bias}       layers.{i}.mlp_norm.{weight,bias}
    layers.{i}.mlp.{up (F,D),down (D,F)}.{weight,bias}
    final_norm.{weight,bias}                      final_norm only
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
from pretrain.models.transformer.attention import ScoreCarry, attention, choose_backend
from pretrain.models.transformer.embeddings import Embeddings
from pretrain.models.transformer.initialization import initialize_encoder
from pretrain.models.transformer.mlp import Mlp
from pretrain.models.transformer.norms import ResidualNorm
from pretrain.models.transformer.positions import rotary_angles, rotate
from pretrain.models.transformer.recomputed import Scores
from pretrain.models.transformer.recurrent.factored import FactoredScores
from pretrain.models.transformer.recurrent.pairing import PairingBias
from pretrain.models.transformer.settings import TransformerSettings


@dataclass(frozen=True)
class ForwardContext:
    """What every layer of one forward pass shares."""

    layout: Layout
    rotary: tuple[Tensor, Tensor] | None
    backend: str


class SelfAttention(nn.Module):
    """Multi-head self-attention inside each sequence; with scores, the recurrent form."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.hidden_size
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, scores: ScoreCarry, context: ForwardContext) -> tuple[Tensor, ScoreCarry]:
        """(N, D), scores of the layer below -> (N, D), scores of this layer."""
        heads, size = self.settings.num_attention_heads, self.settings.head_size
        q, k, v = (layer(x).view(-1, heads, size) for layer in (self.query, self.key, self.value))
        if context.rotary is not None:
            q, k = rotate(q, *context.rotary), rotate(k, *context.rotary)
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        y, scores = attention(
            q,
            k,
            v,
            scores,
            context.layout,
            dropout=rate,
            backend=context.backend,
        )
        return self.output(y.reshape(x.shape)), scores


class EncoderLayer(nn.Module):
    """Attention and MLP, each with a residual; LayerNorm after the sum (post) or before the sublayer (pre)."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        norm = nn.LayerNorm if settings.norm_placement == "pre" else ResidualNorm
        self.attention = SelfAttention(settings)
        self.attention_norm = norm(settings.hidden_size, eps=settings.layer_norm_eps)
        self.mlp = Mlp(settings)
        self.mlp_norm = norm(settings.hidden_size, eps=settings.layer_norm_eps)

    def forward(self, x: Tensor, scores: ScoreCarry, context: ForwardContext) -> tuple[Tensor, ScoreCarry]:
        """(N, D), scores -> (N, D), scores."""
        if self.settings.norm_placement == "pre":
            y, scores = self.attention(self.attention_norm(x), scores, context)
            x = x + self._drop(y)
            return x + self._drop(self.mlp(self.mlp_norm(x))), scores
        rate = self.settings.hidden_dropout_prob
        y, scores = self.attention(x, scores, context)
        x = self.attention_norm(x, y, rate)
        return self.mlp_norm(x, self.mlp(x), rate), scores

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.settings.hidden_dropout_prob, self.training)


class Encoder(Backbone):
    """Embeddings, L layers, optional final norm.

    ``checkpoint_activations`` recomputes each layer in the backward pass instead of storing it. ``pairing_memory``:
    pairing models store the scores of every layer; or rebuild them in one buffer, from those of the layer above, which
    gives the same up to float32 rounding; or none: scores never exist as a whole, for sequences that are too long.
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
        self.pairing_memory = pairing_memory
        self.embeddings = Embeddings(settings)
        if settings.pairing_bias:
            self.pairing = PairingBias(settings.num_attention_heads)
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_hidden_layers))
        if settings.final_norm:
            self.final_norm = nn.LayerNorm(settings.hidden_size, eps=settings.layer_norm_eps)
        initialize_encoder(self, settings)

    def token_embedding(self) -> Tensor:
        """The word embedding (V, D)."""
        return self.embeddings.word.weight

    def forward(
        self, batch: PackedBatch, *, return_states: bool = False, return_extras: bool = False
    ) -> BackboneOutput:
        """Encode a packed batch; see ``BackboneOutput``.

        Extras of pairing models: ``scores``, for each of the S sequences (L+1, H, T, T), index 0 the pairing bias.
        """
        return_scores = return_extras and self.settings.pairing_bias
        layout = batch.layout
        x = self.embeddings(batch)
        again = self.checkpoint_activations and torch.is_grad_enabled()
        scores = self._first_scores(batch, again, return_scores)
        context = self._forward_context(batch, x)
        states, all_scores = [x], [scores] if isinstance(scores, Scores) else []
        for layer in self.layers:
            if again:
                x, scores = checkpoint(layer, x, scores, context, use_reentrant=False)
            else:
                x, scores = layer(x, scores, context)
            if return_states:
                states.append(x)
            if return_scores and isinstance(scores, Scores):
                all_scores.append(scores)
        if self.settings.final_norm:
            x = self.final_norm(x)
        if return_states:
            states[-1] = x
        return BackboneOutput(
            hidden=layout.to_batch_order(x),
            states=[layout.to_batch_order(state) for state in states] if return_states else None,
            extras={"scores": _scores_by_sequence(all_scores, layout, self.settings)} if return_scores else {},
        )

    def _first_scores(self, batch: PackedBatch, again: bool, return_scores: bool) -> ScoreCarry:
        if not self.settings.pairing_bias:
            return None
        if "pair_class" not in batch.side:
            raise ValueError('a pairing model needs batch.side["pair_class"] (see recurrent/pairing.py, pair_classes)')
        pair_class = batch.side["pair_class"]
        table, classes = self.pairing(pair_class.device), batch.layout.to_layout_order(pair_class)
        if self.pairing_memory == "none" and not return_scores:
            return FactoredScores(table, classes)
        # layers that are recomputed one by one need the scores between them
        store = self.pairing_memory == "store" or again or return_scores
        return Scores.of_classes(table, classes, batch.layout, store=store, shared=again or return_scores)

    def _forward_context(self, batch: PackedBatch, x: Tensor) -> ForwardContext:
        layout, rotary = batch.layout, None
        if self.settings.position_embedding_type == "rotary":
            rotary = rotary_angles(layout.to_layout_order(batch.position_ids), self.settings, layout.longest)
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        backend = choose_backend(x.device, dtype, rate, self.settings.pairing_bias, self.settings.head_size)
        return ForwardContext(layout, rotary, backend)


def _scores_by_sequence(by_layer: list[Scores], layout: Layout, settings: TransformerSettings) -> list[Tensor]:
    """Per layer flat (H * pairs,) -> per sequence in batch order (L+1, H, T, T)."""
    by_sequence: list[Tensor] = [torch.empty(0)] * len(layout.sequences)
    blocks = [layout.split_pairs(scores.packed, settings.num_attention_heads) for scores in by_layer]
    numbers = iter(layout.sequences)
    for g, group in enumerate(layout.groups):
        for row, length in enumerate(group.lengths):
            by_sequence[next(numbers)] = torch.stack([layer[g][row, :, :length, :length] for layer in blocks])
    return by_sequence
