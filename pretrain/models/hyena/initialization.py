"""First weights of HyenaDNA, as its training repository draws them."""

from torch import nn

from pretrain.models.first_weights import draw_normal
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
        draw_normal(name, part, settings.initializer_range, settings.num_hidden_layers)
        if isinstance(part, HyenaOperator):
            nn.init.normal_(part.skip)
