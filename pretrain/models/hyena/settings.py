"""Settings of a stack of Hyena operators."""

from dataclasses import dataclass
from typing import Literal

from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class HyenaSettings:
    """Sizes, switches and special ids; the fields are keys of ``model``. The defaults are HyenaDNA's.

    The long filter is a function of the position divided by ``max_position_embeddings - 1`` (published as l_max, the
    longest training input plus 2), so that number belongs to the weights: another one is another model.
    """

    vocab_size: int  # rows of the embedding, those included that only fill up a multiple of 8
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    max_position_embeddings: int
    pad_token_id: int
    mask_token_id: int
    base_token_ids: tuple[int, int, int, int] | None = None  # ids of A, C, G, U/T: the columns of soft rows
    short_kernel_size: int = 3  # of the causal convolution in front of the gates
    filter_features: int = 5  # of a position: its share of the length, and a cosine and a sine per frequency
    filter_width: int = 64  # of the network that makes the filter
    filter_frequency: float = 10.0  # first value of the trained factors inside the sines of that network
    # Constant added to the decay of the filter: 0.05 in the files published with the weights, 0.0 in the training code
    filter_shift: float = 0.05
    embedding_dropout_prob: float = 0.1
    hidden_dropout_prob: float = 0.0  # of each branch before it is added, and of the sum in front of the last norm
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    head_transform: Literal["dense_norm", "none"] = "none"
    head_tied: bool = True
    head_bias: bool = False
    head_act: Literal["gelu", "gelu_tanh", "relu"] = "gelu"

    def __post_init__(self) -> None:
        if self.filter_features < 3 or self.filter_features % 2 == 0:
            raise PolymeraseError(
                f"model.filter_features: expected an odd number from 3 up (one share, and a cosine and a sine per "
                f"frequency), got {self.filter_features}; HyenaDNA has 5"
            )
        if self.max_position_embeddings < 2:
            raise PolymeraseError(
                f"model.max_position_embeddings: expected at least 2, got {self.max_position_embeddings}; raise it"
            )

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect under these settings, each with the reason."""
        return {"head_act": "head_transform is none"} if self.head_transform == "none" else {}


@dataclass(frozen=True)
class HyenaOptions:
    """Memory choices.

    ``checkpoint_activations`` recomputes each layer in the backward pass instead of storing its inside.
    """

    checkpoint_activations: bool = False
