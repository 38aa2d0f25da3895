"""First weights of GPN: normal for tables and linear layers, torch's own for convolutions."""

from torch import nn

from pretrain.models.convnet.settings import ConvNetSettings


def initialize_convnet(module: nn.Module, settings: ConvNetSettings) -> None:
    """Draw first weights in place: Linear and Embedding normal(0, initializer_range), biases 0, LayerNorm 1 and 0.

    The pad row is 0. Conv1d keeps torch's default, uniform within 1/sqrt(fan in), because the published rule covers
    only linear layers and embeddings.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=settings.initializer_range)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.Embedding):
            nn.init.zeros_(part.weight[settings.pad_token_id])
