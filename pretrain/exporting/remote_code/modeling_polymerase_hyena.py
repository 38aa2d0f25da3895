"""HyenaDNA: causal layers whose tokens meet in a convolution as long as the sequence.

Part of an exported model folder: depends on torch and transformers only. Layout of the weights (``i`` counts layers
from 0; W the width of the filter's network):

    encoder.embeddings.word.weight [V, D], encoder.final_norm.{weight,bias}
    encoder.layers.i.{mixer_norm,mlp_norm}.{weight,bias}
    encoder.layers.i.mixer.{input [3D, D], short [3D, 1, K], output [D, D]}.{weight,bias}, encoder.layers.i.mixer.skip
    encoder.layers.i.mixer.filter.{input [W, F], hidden.0, hidden.1 [W, W]}.{weight,bias}
    encoder.layers.i.mixer.filter.{frequency [1, W], output.weight [D, W]}
    encoder.layers.i.mlp.{up [F, D], down [D, F]}.{weight,bias}
    mlm_head.decoder.weight [V, D], the token embedding where tied
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PreTrainedModel

from .configuration_polymerase_hyena import PolymeraseHyenaConfig
from .heads_polymerase import Float32Linear, SequenceClassifier, TokenClassifier
from .stack_polymerase import (
    ShortConvolution,
    StackLanguageModel,
    StackModel,
    TokenEmbeddings,
    init,
    long_convolution,
    mask_rows,
)

FASTEST, SLOWEST, TARGET = 0.3, 1.5, 0.01  # the window falls to TARGET at these shares of the length


class HyenaFilter(nn.Module):
    """A network of the position under an exponential window: the first values of the filter, float32 [D, T]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.input = Float32Linear(config.filter_features, config.filter_width)
        self.hidden = nn.ModuleList(Float32Linear(config.filter_width, config.filter_width) for _ in range(2))
        self.output = Float32Linear(config.filter_width, config.hidden_size, bias=False)
        self.frequency = nn.Parameter(torch.full((1, config.filter_width), float(config.filter_frequency)))

    def forward(self, length):
        config, device = self.config, self.frequency.device
        longest, bands = config.max_position_embeddings, (config.filter_features - 1) // 2
        with torch.autocast(device.type, enabled=False):
            position = torch.arange(length, dtype=torch.float64, device=device)[:, None]
            frequencies = torch.linspace(1e-4, bands - 1, bands, dtype=torch.float64, device=device)
            angle = 2 * math.pi / longest * position * frequencies
            share = position / (longest - 1)
            x = torch.cat([share, angle.cos(), -angle.sin()], dim=1).float()
            for layer in (self.input, *self.hidden):
                x = torch.sin(self.frequency.float() * layer(x))
            slowest, fastest = (-math.log(TARGET) / part for part in (SLOWEST, FASTEST))
            rate = torch.linspace(slowest, fastest, config.hidden_size, device=device)
            window = torch.exp(-rate[:, None] * share[:, 0].float()) + config.filter_shift
            return self.output(x).float().T * window


class HyenaOperator(nn.Module):
    """out = W (x0 * (h * (x1 v) + skip x1 v)), x0, x1, v projections smoothed over a few tokens."""

    def __init__(self, config):
        super().__init__()
        width = config.hidden_size
        self.input = nn.Linear(width, 3 * width)
        self.short = ShortConvolution(3 * width, config.short_kernel_size)
        self.filter = HyenaFilter(config)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x, real):
        x0, x1, v = self.short(mask_rows(self.input(x), real)).chunk(3, dim=1)  # [B, D, T] each
        inner = (v * x1).masked_fill(~real[:, None], 0.0)
        y = long_convolution(inner, self.filter(x.shape[1]), self.skip)
        return self.output((y * x0).to(x0.dtype).transpose(1, 2))


class HyenaLayer(nn.Module):
    """x += mixer(LN x); x += down(gelu_tanh(up(LN x))), x in float32 whatever the weights are."""

    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.mixer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.mixer = HyenaOperator(config)
        self.mlp_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.mlp = nn.ModuleDict({"up": nn.Linear(width, inner), "down": nn.Linear(inner, width)})
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x, real):
        dtype = self.mixer_norm.weight.dtype
        x = x + self.dropout(self.mixer(self.mixer_norm(x.to(dtype)), real))
        inner = F.gelu(self.mlp["up"](self.mlp_norm(x.to(dtype))), approximate="tanh")
        return x + self.dropout(self.mlp["down"](inner))


class PolymeraseHyenaPreTrainedModel(PreTrainedModel):
    config_class = PolymeraseHyenaConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _no_split_modules = ["HyenaLayer"]  # noqa: RUF012

    def _init_weights(self, module):
        """As in training from scratch: ends of branches smaller by sqrt(2 L), skip normal(0, 1)."""
        super()._init_weights(module)
        std = self.config.initializer_range * (2 * self.config.num_hidden_layers) ** -0.5
        if isinstance(module, HyenaOperator):
            init.normal_(module.skip)
            init.normal_(module.output.weight, std=std)
        elif isinstance(module, HyenaFilter):
            init.constant_(module.frequency, self.config.filter_frequency)
        elif isinstance(module, ShortConvolution):
            for parameter in module.parameters():
                init.uniform_(parameter, -(module.kernel_size[0] ** -0.5), module.kernel_size[0] ** -0.5)
        elif isinstance(module, HyenaLayer):
            init.normal_(module.mlp["down"].weight, std=std)


class PolymeraseHyenaModel(StackModel, PolymeraseHyenaPreTrainedModel):
    """The trunk: embedding, layers, final norm."""

    def build_parts(self, config):
        self.embeddings = TokenEmbeddings(config)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.layers = nn.ModuleList(HyenaLayer(config) for _ in range(config.num_hidden_layers))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def first_state(self, x):
        longest = self.config.max_position_embeddings
        if x.shape[1] > longest:
            raise ValueError(f"an input of {x.shape[1]} tokens is longer than this model's filter of {longest}")
        return self.embedding_dropout(x.float())

    def last_state(self, x):
        return self.final_norm(self.dropout(x).to(self.final_norm.weight.dtype))


class PolymeraseHyenaForCausalLM(StackLanguageModel, PolymeraseHyenaPreTrainedModel, GenerationMixin):
    """Trunk and output head. ``generate`` reads the whole sequence again for each new token: there is no cache."""

    encoder_class = PolymeraseHyenaModel
    labels_shift = 1


class PolymeraseHyenaForSequenceClassification(SequenceClassifier, PolymeraseHyenaPreTrainedModel):
    """A linear classifier on the last token."""

    encoder_class = PolymeraseHyenaModel


class PolymeraseHyenaForTokenClassification(TokenClassifier, PolymeraseHyenaPreTrainedModel):
    """A linear classifier on every token."""

    encoder_class = PolymeraseHyenaModel
