"""BERT for masked language modeling in float64, written from recipes/utrbert.md#model.

Tensors have the release's names.

Upstream's fork adds its output bias twice (``biases`` = 2): logits are W h + 2 b.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def logits(tensors: Mapping[str, Tensor], ids: Tensor, *, layers: int, heads: int, eps: float, biases: int) -> Tensor:
    """Logits (T, V) of one unpadded row of ids (T,)."""
    t = {name: tensor.double() for name, tensor in tensors.items()}

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centered = x - x.mean(-1, keepdim=True)
        scale = (centered.square().mean(-1, keepdim=True) + eps).sqrt()
        return centered / scale * t[f"{name}.weight"] + t[f"{name}.bias"]

    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))

    words, places, types = (
        t[f"bert.embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
    )
    x = norm(words[ids] + places[: len(ids)] + types[0], "bert.embeddings.LayerNorm")
    for number in range(layers):
        layer = f"bert.encoder.layer.{number}"
        q, k, v = (
            dense(x, f"{layer}.attention.self.{name}").view(len(ids), heads, -1).transpose(0, 1)
            for name in ("query", "key", "value")
        )
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        seen = (weights @ v).transpose(0, 1).reshape(len(ids), -1)
        x = norm(x + dense(seen, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = gelu(dense(x, f"{layer}.intermediate.dense"))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    head = norm(gelu(dense(x, "cls.predictions.transform.dense")), "cls.predictions.transform.LayerNorm")
    return head @ words.T + biases * t["cls.predictions.bias"]
