"""The three published blocks. Each adds branches to a residual stream; inside, exact GELU and LayerNorm.

Names of parameters, ``.bias`` only with ``bias`` on:

    post_norm    conv.weight (D, D, K)   conv_norm.weight   mlp.weight (D, D)   mlp_norm.weight
    pre_norm     conv_norm.weight   conv.weight (D, D, K)   conv_output.weight (D, D)
                 mlp_norm.weight    mlp.up.weight (F, D)    mlp.down.weight (D, F)
    bytenet      norm.weight   down.weight (F, D)   conv_norm.weight   conv.weight (F, F, K)
                 output_norm.weight   up.weight (D, F)
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.convnet.convolution import DilatedConv
from pretrain.models.convnet.settings import ConvNetSettings
from pretrain.models.dropout import dropout
from pretrain.models.layout import Layout


class Block(nn.Module):
    """What the three blocks have in common."""

    def __init__(self, settings: ConvNetSettings) -> None:
        super().__init__()
        self.settings = settings

    def _norm(self, width: int) -> nn.LayerNorm:
        return nn.LayerNorm(width, eps=self.settings.layer_norm_eps, bias=self.settings.bias)

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        return nn.Linear(inputs, outputs, bias=self.settings.bias)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.settings.hidden_dropout_prob, self.training)


class PostNormBlock(Block):
    """x += LN(GELU(conv(x))); x += LN(GELU(W x)): the class behind gpn-brassicales."""

    def __init__(self, settings: ConvNetSettings, layer: int) -> None:
        super().__init__(settings)
        width = settings.hidden_size
        self.conv = DilatedConv(width, settings, layer)
        self.conv_norm = self._norm(width)
        self.mlp = self._linear(width, width)
        self.mlp_norm = self._norm(width)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (N, D)."""
        x = x + self._drop(self.conv_norm(self.conv(x, layout, F.gelu)))
        return x + self._drop(self.mlp_norm(F.gelu(self.mlp(x))))


class PreNormBlock(Block):
    """x += W GELU(conv(LN x)); x += down GELU(up(LN x)): the current default of GPN."""

    def __init__(self, settings: ConvNetSettings, layer: int) -> None:
        super().__init__(settings)
        width, inner = settings.hidden_size, settings.intermediate_size
        assert inner is not None
        self.conv_norm = self._norm(width)
        self.conv = DilatedConv(width, settings, layer)
        self.conv_output = self._linear(width, width)
        self.mlp_norm = self._norm(width)
        self.mlp = nn.ModuleDict({"up": self._linear(width, inner), "down": self._linear(inner, width)})

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (N, D)."""
        x = x + self._drop(self.conv_output(self.conv(self.conv_norm(x), layout, F.gelu)))
        return x + self._drop(self.mlp["down"](F.gelu(self.mlp["up"](self.mlp_norm(x)))))


class ByteNetBlock(Block):
    """x += up GELU(LN(conv(GELU(LN(down GELU(LN x)))))): the class behind gpn-animal-promoter."""

    def __init__(self, settings: ConvNetSettings, layer: int) -> None:
        super().__init__(settings)
        width, inner = settings.hidden_size, settings.intermediate_size
        assert inner is not None
        self.norm = self._norm(width)
        self.down = self._linear(width, inner)
        self.conv_norm = self._norm(inner)
        self.conv = DilatedConv(inner, settings, layer)
        self.output_norm = self._norm(inner)
        self.up = self._linear(inner, width)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (N, D)."""
        y = self.down(F.gelu(self.norm(x)))
        y = self.conv(F.gelu(self.conv_norm(y)), layout)
        return x + self._drop(self.up(F.gelu(self.output_norm(y))))


BLOCKS: dict[str, Callable[[ConvNetSettings, int], Block]] = {
    "post_norm": PostNormBlock,
    "pre_norm": PreNormBlock,
    "bytenet": ByteNetBlock,
}
