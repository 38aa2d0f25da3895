"""A hand-written BERT in plain PyTorch: the cost of the least code, without our encoder and without DeepSpeed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and MLP, each with a residual and a LayerNorm behind it."""

    def __init__(self, s: Any):
        super().__init__()
        self.s = s
        self.qkv = nn.Linear(s.hidden_size, 3 * s.hidden_size)
        self.out = nn.Linear(s.hidden_size, s.hidden_size)
        self.up = nn.Linear(s.hidden_size, s.intermediate_size)
        self.down = nn.Linear(s.intermediate_size, s.hidden_size)
        self.norm1 = nn.LayerNorm(s.hidden_size, eps=s.layer_norm_eps)
        self.norm2 = nn.LayerNorm(s.hidden_size, eps=s.layer_norm_eps)
        self.drop = nn.Dropout(s.hidden_dropout_prob)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        heads = self.s.num_attention_heads
        q, k, v = (y.unflatten(-1, (heads, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, dim=-1))
        rate = self.s.attention_probs_dropout_prob if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        x = self.norm1(x + self.drop(self.out(y.transpose(1, 2).flatten(2))))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))


class MinimalBert(nn.Module):
    """Learned positions, post-LN, tied output head on the labeled positions. forward returns the mean loss."""

    def __init__(self, s: Any):
        super().__init__()
        self.word = nn.Embedding(s.vocab_size, s.hidden_size)
        self.position = nn.Embedding(s.max_position_embeddings, s.hidden_size)
        self.norm = nn.LayerNorm(s.hidden_size, eps=s.layer_norm_eps)
        self.drop = nn.Dropout(s.hidden_dropout_prob)
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.num_hidden_layers))
        self.dense = nn.Linear(s.hidden_size, s.hidden_size)
        self.head_norm = nn.LayerNorm(s.hidden_size, eps=s.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(s.vocab_size))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=s.initializer_range)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """(B, T) ids, 1 for real tokens, labels with -100 where nothing is predicted."""
        x = self.word(input_ids) + self.position.weight[: input_ids.shape[1]]
        x = self.drop(self.norm(x))
        real = attention_mask.bool()
        mask = None if real.all() else real[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        asked = labels != -100
        y = self.head_norm(F.gelu(self.dense(x[asked])))
        return F.cross_entropy(F.linear(y, self.word.weight, self.bias).float(), labels[asked])
