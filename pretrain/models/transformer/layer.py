"""One layer of the transformer: attention and MLP, each with its norm and residual."""

from dataclasses import dataclass

from torch import Tensor, nn

from pretrain.models.dropout import dropout
from pretrain.models.layout import Layout
from pretrain.models.linear import Handed, HandingLinear, hand_on
from pretrain.models.memory import Memory
from pretrain.models.transformer.attention import Bias, attention
from pretrain.models.transformer.bias import AttentionBias
from pretrain.models.transformer.mlp import Mlp
from pretrain.models.transformer.norms import NORMS
from pretrain.models.transformer.positions import rotate_both
from pretrain.models.transformer.remembered import remembered_attention
from pretrain.models.transformer.settings import TransformerSettings


@dataclass(frozen=True)
class ForwardContext:
    """What every layer of one forward pass shares."""

    layout: Layout
    rotary: tuple[Tensor, Tensor] | None
    backend: str
    memory: Memory | None = None


class SelfAttention(nn.Module):
    """Multi-head self-attention inside each sequence."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        width, bias = settings.hidden_size, settings.attention_bias
        self.query = HandingLinear(width, width, bias=bias)
        self.key = HandingLinear(width, width, bias=bias)
        self.value = HandingLinear(width, width, bias=bias)
        self.output = HandingLinear(width, width, bias=bias)

    def forward(self, x: Tensor, bias: Bias, context: ForwardContext) -> tuple[Handed, Bias]:
        """Attend: x (N, D) and the bias of this layer -> (N, D) as ``hand_on`` gives it, the bias of the next layer."""
        heads, size = self.settings.num_attention_heads, self.settings.head_size
        projected = []
        for layer in (self.query, self.key, self.value):
            y, x, _ = hand_on(layer, x)
            projected.append(y.view(-1, heads, size))
        q, k, v = projected
        if context.rotary is not None:
            q, k = rotate_both(q, k, *context.rotary)
        if context.memory is not None:
            rows = len(context.layout.sequences)
            keys, values = (
                context.memory.append(self, name, new.view(rows, -1, heads, size))
                for name, new in (("keys", k), ("values", v))
            )
            if context.memory.tokens:
                assert isinstance(bias, AttentionBias)  # recurrent ones are not causal
                return self._output(remembered_attention(q, keys, values, bias), x), bias
        rate = self.settings.attention_probs_dropout_prob if self.training else 0.0
        y, bias = attention(q, k, v, bias, context.layout, dropout=rate, backend=context.backend)
        return self._output(y, x), bias

    def _output(self, y: Tensor, x: Tensor) -> Handed:
        y, _, bias = hand_on(self.output, y.reshape(x.shape), bias_later=True)
        return y, x, bias


class EncoderLayer(nn.Module):
    """Attention and MLP, each with a residual; the norm is after the sum (post) or before the sublayer (pre)."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        norm = NORMS[settings.norm]
        make_first = norm.alone if settings.norm_placement == "pre" else norm.behind_sum
        self.attention = SelfAttention(settings)
        self.attention_norm = make_first(settings.hidden_size, settings.layer_norm_eps)
        self.mlp = Mlp(settings)
        self.mlp_norm = norm.behind_sum(settings.hidden_size, settings.layer_norm_eps)

    def forward(self, x: Tensor, bias: Bias, context: ForwardContext) -> tuple[Tensor, Bias]:
        """Apply the layer: x (N, D) and its bias -> (N, D) and the bias of the next layer."""
        rate = self.settings.hidden_dropout_prob
        mlp_rate = 0.0 if self.settings.mlp_dropout == "inner" else rate
        if self.settings.norm_placement == "post":
            (y, x, y_bias), bias = self.attention(x, bias, context)
            x, _ = self.attention_norm(x, y, y_bias, rate)
            y, x, y_bias = self.mlp(x, bias_later=True)
            x, _ = self.mlp_norm(x, y, y_bias, mlp_rate)
            return x, bias
        (y, normed, y_bias), bias = self.attention(self.attention_norm(x), bias, context)
        normed, x = self.mlp_norm(normed if self.settings.residual_from == "norm" else x, y, y_bias, rate)
        return x + dropout(self.mlp(normed)[0], mlp_rate, self.training), bias
