"""First weights of HyenaDNA, as its training repository draws them."""

from torch import nn

from pretrain.models.hyena.operator import HyenaOperator
from pretrain.models.hyena.settings import HyenaSettings


def initialize_hyena(backbone: nn.Module, settings: HyenaSettings) -> None:
    """Draw first weights in place: Linear (the filter's too) and Embedding normal(0, initializer_range), biases 0.

    The last layer of each branch is smaller by sqrt(2 L); skip is normal(0, 1). The short convolution keeps torch's
    default, uniform within 1/sqrt(K).

    The class published on the hub means to scale the ends of branches as well, but compares full names and never does:
    harmless for weights that are loaded, wrong for training from scratch.
    """
    for name, part in backbone.named_modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            ends_a_branch = name.endswith(("mixer.output", "mlp.down"))
            scale = (2 * settings.num_hidden_layers) ** -0.5 if ends_a_branch else 1.0
            nn.init.normal_(part.weight, std=settings.initializer_range * scale)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, HyenaOperator):
            nn.init.normal_(part.skip)
