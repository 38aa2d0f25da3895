"""Settings of a stack of gated convolutions and attention."""

from dataclasses import dataclass
from typing import Literal

from pretrain.errors import PolymeraseError
from pretrain.models.transformer.settings import RopeScaling


@dataclass(frozen=True)
class StripedHyenaSettings:
    """Sizes, switches and special ids; the fields are keys of ``model``. The defaults are Evo's."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int  # of attention, and groups of channels whose projections lie together in a convolution
    intermediate_size: int  # inner width of the gated MLP
    attention_layers: tuple[int, ...]  # numbers of the layers that attend, from 0; all others convolve
    max_position_embeddings: int  # longest input of training; longer ones are computed, with positions never seen
    pad_token_id: int
    mask_token_id: int
    base_token_ids: tuple[int, int, int, int] | None = None  # ids of A, C, G, U/T: the columns of soft rows
    state_size: int = 8  # decaying waves that add up to one filter
    short_kernel_size: int = 3  # of the causal convolution in front of the gates
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None  # linear 16 in the 131k release
    hidden_dropout_prob: float = 0.0  # of each branch before it is added
    attention_probs_dropout_prob: float = 0.0
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    head_transform: Literal["dense_norm", "none"] = "none"
    head_tied: bool = True
    head_bias: bool = False
    head_act: Literal["gelu", "gelu_tanh", "relu"] = "gelu"

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise PolymeraseError(
                f"model.hidden_size={self.hidden_size} is not a multiple of "
                f"model.num_attention_heads={self.num_attention_heads}; change one of them"
            )
        if self.head_size % 2:
            raise PolymeraseError(f"rotary positions need an even head size, got {self.head_size}; change the heads")
        wrong = [layer for layer in self.attention_layers if not 0 <= layer < self.num_hidden_layers]
        if wrong:
            raise PolymeraseError(
                f"model.attention_layers: expected numbers from 0 to {self.num_hidden_layers - 1}, got {wrong}; "
                "change them or model.num_hidden_layers"
            )

    @property
    def head_size(self) -> int:
        """Width h of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect under these settings, each with the reason."""
        idle: dict[str, str] = {}
        if self.head_transform == "none":
            idle["head_act"] = "head_transform is none"
        if not self.attention_layers:
            without = ("rope_theta", "rope_scaling", "attention_probs_dropout_prob")
            idle |= dict.fromkeys(without, "attention_layers is empty")
        if len(set(self.attention_layers)) == self.num_hidden_layers:
            idle |= dict.fromkeys(("state_size", "short_kernel_size"), "every layer attends")
        return idle


@dataclass(frozen=True)
class StripedHyenaOptions:
    """Memory choices.

    ``checkpoint_activations`` recomputes each layer in the backward pass instead of storing its inside.
    """

    checkpoint_activations: bool = False


def gated_inner_size(hidden_size: int, multiple_of: int = 16) -> int:
    """Apply Evo's rule for the inner width: two thirds of 4 D, rounded down, then up to a multiple.

    For D = 4,096 that is 10,928.
    """
    inner = int(2 * hidden_size * 4 / 3)
    return multiple_of * -(-inner // multiple_of)
