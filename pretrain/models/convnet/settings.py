"""Settings of a stack of dilated convolutions."""

from dataclasses import dataclass
from typing import Literal

from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class ConvNetSettings:
    """Sizes, switches and special ids; the fields are keys of ``model``. The defaults are the current GPN class.

    Layer i has dilation ``min(dilation_max, dilation_base ** (i mod dilation_cycle))``.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    pad_token_id: int
    mask_token_id: int
    max_position_embeddings: int = 512  # longest input of training; convolutions themselves have no limit
    base_token_ids: tuple[int, int, int, int] | None = None  # ids of A, C, G, U/T: the columns of soft rows
    block: Literal["post_norm", "pre_norm", "bytenet"] = "pre_norm"
    # inner width: of the MLP (pre_norm), between the two linear layers of the branch (bytenet); post_norm has none
    intermediate_size: int | None = None
    embedding: Literal["one_hot", "learned"] = "one_hot"
    first_kernel_size: int = 9  # of layer 0
    kernel_size: int = 5  # of all other layers
    dilation_base: int = 2
    dilation_cycle: int = 8
    dilation_max: int = 9999
    bias: bool = False  # of every linear layer, convolution and LayerNorm, the head included
    final_norm: bool = True
    hidden_dropout_prob: float = 0.0  # of each branch before it is added (published models: none)
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    head_transform: Literal["dense_norm", "none"] = "dense_norm"
    head_tied: bool = False
    head_bias: bool = False
    head_act: Literal["gelu", "gelu_tanh", "relu"] = "gelu"

    def __post_init__(self) -> None:
        if (self.block == "post_norm") != (self.intermediate_size is None):
            wanted = "no model.intermediate_size" if self.block == "post_norm" else "a model.intermediate_size"
            raise PolymeraseError(f"model.block={self.block} takes {wanted}, got {self.intermediate_size}; change one")
        for key in ("first_kernel_size", "kernel_size"):
            if getattr(self, key) % 2 == 0:
                raise PolymeraseError(f"model.{key}: expected an odd number, got {getattr(self, key)}; add or take one")
        if self.embedding == "one_hot" and self.hidden_size < self.vocab_size:
            raise PolymeraseError(
                f"model.embedding=one_hot needs model.hidden_size >= model.vocab_size={self.vocab_size}, "
                f"got {self.hidden_size}; raise it or use embedding=learned"
            )
        if self.embedding == "one_hot" and self.head_tied:
            raise PolymeraseError(
                "model.head_tied=true needs a table to share; use embedding=learned or head_tied=false"
            )

    def kernel_of(self, layer: int) -> int:
        """Return the kernel size of a layer's convolution, in tokens."""
        return self.first_kernel_size if layer == 0 else self.kernel_size

    def dilation_of(self, layer: int) -> int:
        """Return the distance of neighboring taps of a layer's convolution, in tokens."""
        return min(self.dilation_max, self.dilation_base ** (layer % self.dilation_cycle))

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect under these settings, each with the reason."""
        idle: dict[str, str] = {}
        if self.head_transform == "none":
            idle["head_act"] = "head_transform is none"
        if self.num_hidden_layers == 1:
            idle["kernel_size"] = "layer 0, the only one, has first_kernel_size"
        return idle

    @property
    def reach(self) -> int:
        """Receptive field: how many tokens on each side can change a token's hidden state."""
        layers = range(self.num_hidden_layers)
        return sum((self.kernel_of(layer) - 1) // 2 * self.dilation_of(layer) for layer in layers)


@dataclass(frozen=True)
class ConvNetOptions:
    """Memory choices.

    ``checkpoint_activations`` recomputes each block in the backward pass instead of storing its inside.
    """

    checkpoint_activations: bool = False
