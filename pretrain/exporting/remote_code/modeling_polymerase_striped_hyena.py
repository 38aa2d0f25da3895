"""Evo's blocks: gated convolutions with layers of rotary attention between them; causal.

Part of an exported model folder: depends on torch and transformers only. Layout of the weights (``i`` counts layers
from 0; S states of a filter):

    encoder.embeddings.word.weight [V, D], encoder.final_norm.scale
    encoder.layers.i.{mixer_norm,mlp_norm}.scale, encoder.layers.i.mlp.{gate [F, D], up [F, D], down [D, F]}.weight
    convolution: encoder.layers.i.mixer.{input [3D, D], short [3D, 1, K], output [D, D]}.{weight,bias}
                 encoder.layers.i.mixer.skip, encoder.layers.i.mixer.filter.{poles,residues} [D, S, 1, 2]
    attention:   encoder.layers.i.mixer.{qkv [3D, D], output [D, D]}.{weight,bias}
    mlm_head.decoder.weight [V, D], the token embedding where tied
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PreTrainedModel

from .configuration_polymerase_striped_hyena import PolymeraseStripedHyenaConfig
from .heads_polymerase import SequenceClassifier, TokenClassifier
from .layers_polymerase import rotary_angles, rotate
from .stack_polymerase import (
    ShortConvolution,
    StackLanguageModel,
    StackModel,
    TokenEmbeddings,
    init,
    long_convolution,
    mask_rows,
)


class RootNorm(nn.Module):
    """scale x / (rms(x) + eps): eps stands outside the root."""

    def __init__(self, config):
        super().__init__()
        self.eps = config.rms_norm_eps
        self.scale = nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, x):
        root = torch.linalg.vector_norm(x.float(), dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return self.scale * (x / (root + self.eps)).to(self.scale.dtype)


class ModalFilter(nn.Module):
    """A sum of decaying waves, Re(sum R lambda^t), float32 [D, T], from two short tables of powers."""

    def __init__(self, config):
        super().__init__()
        shape = (config.hidden_size, config.state_size, 1, 2)
        self.poles = nn.Parameter(torch.zeros(shape))
        self.residues = nn.Parameter(torch.zeros(shape))

    def forward(self, length):
        device = self.poles.device
        with torch.autocast(device.type, enabled=False):
            poles, residues = (torch.view_as_complex(p.float().squeeze(2)) for p in (self.poles, self.residues))
            columns = max(1, math.isqrt(length))
            rows = -(-length // columns)
            logs = poles.log()[..., None]
            far = residues[..., None] * torch.exp(logs * (columns * torch.arange(rows, device=device)))
            near = torch.exp(logs * torch.arange(columns, device=device))
            left = torch.cat([far.real, -far.imag], dim=1).transpose(1, 2)
            return (left @ torch.cat([near.real, near.imag], dim=1)).flatten(1)[:, :length]


class GatedConvolution(nn.Module):
    """y = (h * (x1 v) + skip x1 v) x2, the three projections interleaved head by head."""

    def __init__(self, config):
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.input = nn.Linear(width, 3 * width)
        self.short = ShortConvolution(3 * width, config.short_kernel_size)
        self.filter = ModalFilter(config)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x, real, angles):
        z = self.short(mask_rows(self.input(x), real)).unflatten(1, (self.heads, 3, -1))
        x2, x1, v = (z[:, :, part].flatten(1, 2) for part in range(3))  # [B, D, T] each
        inner = (x1 * v).masked_fill(~real[:, None], 0.0)
        y = long_convolution(inner, self.filter(x.shape[1]), self.skip)
        return self.output((y * x2).to(x2.dtype).transpose(1, 2))


class CausalAttention(nn.Module):
    """Rotary attention to the token itself and those before it."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, real, angles):
        batch, length, width = x.shape
        heads = self.config.num_attention_heads
        q, k, v = self.qkv(x).view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, *angles), rotate(k, *angles)
        place = torch.arange(length, device=x.device)
        itself = place == place[:, None]  # rows of padding on the left would see nothing
        seen = (real[:, None, None] & (place <= place[:, None])) | itself
        rate = self.config.attention_probs_dropout_prob if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate)
        return self.output(y.transpose(1, 2).reshape(batch, length, width))


class GatedMlp(nn.Module):
    """down(gelu(gate(x)) up(x))."""

    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down(F.gelu(self.gate(x)) * self.up(x))


class StripedHyenaLayer(nn.Module):
    """x += mixer(norm x); x += mlp(norm x)."""

    def __init__(self, config, number):
        super().__init__()
        self.mixer_norm = RootNorm(config)
        self.mixer = (CausalAttention if number in config.attention_layers else GatedConvolution)(config)
        self.mlp_norm = RootNorm(config)
        self.mlp = GatedMlp(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x, real, angles):
        x = x + self.dropout(self.mixer(self.mixer_norm(x), real, angles))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class PolymeraseStripedHyenaPreTrainedModel(PreTrainedModel):
    config_class = PolymeraseStripedHyenaConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _no_split_modules = ["StripedHyenaLayer"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["poles", "residues"]  # noqa: RUF012

    def _init_weights(self, module):
        """For models from scratch; Evo's own first weights are not public."""
        super()._init_weights(module)
        if isinstance(module, RootNorm):
            init.ones_(module.scale)
        elif isinstance(module, GatedConvolution):
            init.normal_(module.skip)
        elif isinstance(module, ModalFilter):  # inside the unit circle, away from 0
            init.uniform_(module.poles, 0.4, 0.7)
            init.normal_(module.residues, std=self.config.state_size**-0.5)


class PolymeraseStripedHyenaModel(StackModel, PolymeraseStripedHyenaPreTrainedModel):
    """The trunk: embedding, layers, final norm."""

    def build_parts(self, config):
        self.embeddings = TokenEmbeddings(config)
        self.layers = nn.ModuleList(StripedHyenaLayer(config, number) for number in range(config.num_hidden_layers))
        self.final_norm = RootNorm(config)

    def shared_inputs(self, real, position_ids):
        positions = (real.long().cumsum(dim=1) - 1).clamp(min=0) if position_ids is None else position_ids
        return real, rotary_angles(positions, self.config)


class PolymeraseStripedHyenaForCausalLM(StackLanguageModel, PolymeraseStripedHyenaPreTrainedModel, GenerationMixin):
    """Trunk and output head. ``generate`` reads the whole sequence again for each new token: there is no cache."""

    encoder_class = PolymeraseStripedHyenaModel
    labels_shift = 1


class PolymeraseStripedHyenaForSequenceClassification(SequenceClassifier, PolymeraseStripedHyenaPreTrainedModel):
    """A linear classifier on the last token."""

    encoder_class = PolymeraseStripedHyenaModel


class PolymeraseStripedHyenaForTokenClassification(TokenClassifier, PolymeraseStripedHyenaPreTrainedModel):
    """A linear classifier on every token."""

    encoder_class = PolymeraseStripedHyenaModel
