"""Embeddings, positions, attention and layers of a polymerase transformer.

Part of an exported model folder: depends on torch only. Every value that training did not learn (sinusoids, rotary
angles, ALiBi slopes, pairing table) is computed in the forward pass, so nothing is left uninitialized by
``from_pretrained`` and a long input leaves no trace in later ones. Nothing here decides by the values of a tensor.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .heads_polymerase import ACTIVATIONS, NORMS, Float32Linear

PAIRING_WIDTH = 6  # a constant of the published model, whatever the number of heads
UNMASKED_SHARE = 0.88  # ESM's 1 - 0.15 * 0.8, by which token dropout scales


def norm_of(config):
    return NORMS[config.norm](config.hidden_size, eps=config.layer_norm_eps)


def sinusoids(positions, width):
    """Return fairseq's sinusoid table at the given rows: [B, T] -> float32 [B, T, width], sines then cosines."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float, device=positions.device) * -(math.log(10000) / (half - 1)))
    angles = positions.to(torch.float)[..., None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, width % 2))


def scaling_of(config):
    """(type or None, factor) of config.rope_scaling."""
    scaling = config.rope_scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return None, 1.0
    factor = scaling.get("factor")
    if kind not in ("linear", "dynamic") or not isinstance(factor, (int, float)) or factor < 1:
        raise ValueError(f'rope_scaling {scaling} should be like {{"type": "linear" or "dynamic", "factor": 2.0}}')
    return kind, float(factor)


def rotary_angles(positions, config):
    """Positions [B, T] -> cosines and sines, float32 [B, 1, T, head size]; the angles stand twice side by side."""
    size = config.hidden_size // config.num_attention_heads
    kind, factor = scaling_of(config)
    theta, positions = config.rope_theta, positions.float()
    if kind == "linear":
        positions = positions / factor
    elif kind == "dynamic":  # by the longest sequence of this batch; the base stays what it is where all of them fit
        stretch = factor * (positions.amax() + 1) / config.max_position_embeddings - (factor - 1)
        theta = theta * stretch.clamp(min=1.0) ** (size / (size - 2))
    exponents = torch.arange(0, size, 2, dtype=torch.float, device=positions.device) / size
    angles = positions[..., None] * (1.0 / theta**exponents)
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def alibi_slopes(heads):
    """One slope per head: a geometric series; between its members where heads are no power of two."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (n + 1) / power) for n in range(power)]
    return slopes + [2.0 ** (-4 * (n + 1) / power) for n in range(0, 2 * (heads - power), 2)]


class Embeddings(nn.Module):
    """Token embedding (of an id, or mixed by a row of probabilities), positions, token type, norm, dropout."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)  # the pad row is trained: keep it
        if config.position_embedding_type == "learned":
            self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        if config.segment_rows:
            self.segment = nn.Embedding(config.segment_rows, config.hidden_size)
        if config.embedding_norm:
            self.norm = norm_of(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids, inputs_embeds, token_type_ids, positions, real):
        config, x = self.config, inputs_embeds
        if x is None and input_ids.dim() == 3:  # rows of probabilities [B, T, V]
            x = input_ids.to(self.word.weight.dtype) @ self.word.weight
        elif x is None:
            x = self.word(input_ids)
        if config.token_dropout:
            x = self._drop_tokens(x, input_ids, real)
        if config.position_embedding_type == "learned":
            x = x + self.position(positions + config.position_offset)
        elif config.position_embedding_type == "sinusoidal":
            table = sinusoids(positions + config.position_offset, x.shape[-1])
            x = x + table.masked_fill(~real[..., None], 0.0).to(x.dtype)
        if config.segment_rows:
            x = x + self.segment(torch.zeros_like(positions) if token_type_ids is None else token_type_ids)
        if config.embedding_norm:
            x = self.norm(x)
        return self.dropout(x).masked_fill(~real[..., None], 0.0)

    def _drop_tokens(self, x, input_ids, real):
        """ESM's token dropout: rows of <mask> are zero, the rest is scaled by the share of what is seen."""
        if input_ids is None or input_ids.dim() == 3:
            return x * UNMASKED_SHARE
        masked = (input_ids == self.config.mask_token_id) & real
        share = masked.sum(dim=1).float() / real.sum(dim=1)
        x = x.masked_fill(masked[..., None], 0.0)
        return (x * (UNMASKED_SHARE / (1 - share))[:, None, None]).to(x.dtype)


class Pairing(nn.Module):
    """Pairing values of all token pairs -> one bias per head, in float32."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.hidden = Float32Linear(1, PAIRING_WIDTH)
        self.output = Float32Linear(PAIRING_WIDTH, config.num_attention_heads)

    def values(self, input_ids, real, selected):
        """[B, T, T]: the score of each pair; -1 in rows and columns of selected positions; 0 at padding."""
        size = self.config.vocab_size
        table = torch.zeros(size, size)
        for first, second, score in self.config.pairing_scores:
            table[first, second] = table[second, first] = score
        values = table.to(input_ids.device)[input_ids[:, :, None], input_ids[:, None, :]]
        if selected is not None:
            selected = selected.to(torch.bool)
            values = values.masked_fill(selected[:, :, None] | selected[:, None, :], -1.0)
        return values.masked_fill(~(real[:, :, None] & real[:, None, :]), 0.0)

    def forward(self, values):
        """[B, T, T] -> float32 [B, H, T, T]."""
        return self.output(F.gelu(self.hidden(values[..., None]))).float().permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Attention; in pairing models its scores are q k^T / sqrt(h) plus the scores of the layer below."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, bias = config.hidden_size, config.attention_bias
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x, angles, bias, want_scores, want_attentions):
        """Attend: x [B, T, D]; bias: None, bool (what may be seen) or float (added) [B, 1 or H, 1 or T, T].

        Returns the output [B, T, D], scores or None, attention probabilities or None.
        """
        batch, length, width = x.shape
        heads = self.config.num_attention_heads
        q, k, v = (
            f(x).view(batch, length, heads, width // heads).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        q = q * (width // heads) ** -0.5
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        scores = attentions = None
        if self.config._attn_implementation == "sdpa" and not want_attentions:
            mask = bias if bias is None or bias.dtype == torch.bool else bias.to(q.dtype)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=1.0)
            if want_scores:
                scores = bias + (q @ k.transpose(-1, -2)).to(bias.dtype)
        else:
            scores = q @ k.transpose(-1, -2)
            if bias is not None and bias.dtype == torch.bool:
                scores = scores.masked_fill(~bias, torch.finfo(scores.dtype).min)
            elif bias is not None:
                scores = bias + scores.to(bias.dtype)
            attentions = scores.softmax(dim=-1, dtype=torch.float).to(v.dtype)
            y = F.dropout(attentions, dropout) @ v
        # a copy in any case: kernels differ in the strides they return, and an exported graph may run with another one
        y = y.transpose(1, 2).clone(memory_format=torch.contiguous_format).view(batch, length, width)
        return self.output(y), scores, attentions


class Mlp(nn.Module):
    """down(act(up(x))), or down(act(gate(x)) * up(x))."""

    def __init__(self, config):
        super().__init__()
        self.kind, width, inner = config.mlp, config.hidden_size, config.intermediate_size
        bias = config.mlp_bias if config.mlp_up_bias is None else config.mlp_up_bias
        self.up = nn.Linear(width, inner, bias=bias)
        if self.kind in ("swiglu", "geglu"):
            self.gate = nn.Linear(width, inner, bias=bias)
        if self.kind == "swiglu" and config.swiglu_beta == "learned":
            self.beta = nn.Parameter(torch.ones(1))
        self.down = nn.Linear(inner, width, bias=config.mlp_bias)
        rate = config.hidden_dropout_prob
        self.inner_dropout = nn.Dropout(rate if config.mlp_dropout == "inner" else 0.0)
        self.output_dropout = nn.Dropout(rate if config.mlp_dropout == "output" else 0.0)

    def forward(self, x):
        if self.kind == "swiglu":
            gate = self.gate(x)
            inner = gate * torch.sigmoid(gate * self.beta if hasattr(self, "beta") else gate) * self.up(x)
        elif self.kind == "geglu":
            inner = F.gelu(self.gate(x)) * self.up(x)
        else:
            inner = ACTIVATIONS[self.kind](self.up(x))
        return self.output_dropout(self.down(self.inner_dropout(inner)))


class TransformerLayer(nn.Module):
    """Attention and MLP, each with a residual; the norm after the sum (post) or before the sublayer (pre)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.attention = Attention(config)
        self.attention_norm = norm_of(config)
        self.mlp = Mlp(config)
        self.mlp_norm = norm_of(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x, angles, bias, want_scores, want_attentions):
        if self.config.norm_placement == "pre":
            read = self.attention_norm(x)
            y, scores, attentions = self.attention(read, angles, bias, want_scores, want_attentions)
            x = (read if self.config.residual_from == "norm" else x) + self.dropout(y)
            return x + self.mlp(self.mlp_norm(x)), scores, attentions
        y, scores, attentions = self.attention(x, angles, bias, want_scores, want_attentions)
        x = self.attention_norm(x + self.dropout(y))
        return self.mlp_norm(x + self.mlp(x)), scores, attentions
