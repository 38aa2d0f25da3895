"""First weights of small models. Evo's own are not public; these are ours, for training from scratch."""

import math

import torch
from torch import nn

from pretrain.models.first_weights import draw_normal
from pretrain.models.striped_hyena.filters import ModalFilter
from pretrain.models.striped_hyena.layers import GatedConvolution
from pretrain.models.striped_hyena.settings import StripedHyenaSettings

RADIUS = (0.5, 0.999)  # of the poles: a wave falls to 1/e in about 1.4 to 1,000 tokens


def initialize_striped_hyena(backbone: nn.Module, settings: StripedHyenaSettings) -> None:
    """Draw first weights in place: Linear and Embedding normal(0, initializer_range), biases 0.

    The last layer of each branch is smaller by sqrt(2 L). Poles lie inside the unit circle with decay times spread
    evenly on a logarithmic scale over the states, at any phase; residues are normal with variance 1 / state_size; skip
    is normal(0, 1). The short convolution keeps torch's default.
    """
    for name, part in backbone.named_modules():
        draw_normal(name, part, settings.initializer_range, settings.num_hidden_layers)
        if isinstance(part, GatedConvolution):
            nn.init.normal_(part.skip)
        if isinstance(part, ModalFilter):
            _initialize_filter(part, settings.state_size)


@torch.no_grad()
def _initialize_filter(part: ModalFilter, states: int) -> None:
    fastest, slowest = (math.log(-1 / math.log(radius)) for radius in RADIUS)  # log of decay times in tokens
    times = torch.linspace(fastest, slowest, states, device=part.poles.device).exp()
    radius = torch.exp(-1 / times)[None, :, None]
    phase = torch.empty(part.poles.shape[:3], device=part.poles.device).uniform_(-math.pi, math.pi)
    part.poles.copy_(torch.stack([radius * phase.cos(), radius * phase.sin()], dim=-1))
    part.residues.normal_(std=states**-0.5)
