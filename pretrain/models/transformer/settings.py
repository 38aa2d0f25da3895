"""Settings of a transformer: sizes under the names of transformers configs, and one switch per choice."""

from dataclasses import dataclass
from typing import Literal

from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class RopeScaling:
    """Rotary positions for sequences longer than those of training.

    ``linear`` divides every position by ``factor``. ``dynamic`` (NTK) leaves batches whose longest sequence fits
    ``max_position_embeddings`` alone and raises the base for longer ones; it keeps no state between calls.
    """

    type: Literal["linear", "dynamic"]
    factor: float

    @property
    def is_fixed(self) -> bool:
        """Whether the angle of a token stays when its sequence grows."""
        return self.type == "linear"


@dataclass(frozen=True)
class TransformerSettings:
    """Sizes, switches and special ids of one transformer with its output head.

    The defaults of the switches describe plain BERT: learned positions, LayerNorm on the embeddings and after each
    residual sum, no final norm, an output head tied to the embedding.

    Raises:
        PolymeraseError: switches that contradict each other. Those without effect beside others are in ``idle``.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int  # inner width of the MLP; gated MLPs have it twice
    max_position_embeddings: int  # rows of a learned table; for rotary "dynamic", the longest length of training
    pad_token_id: int
    mask_token_id: int
    base_token_ids: tuple[int, int, int, int] | None = None  # ids of A, C, G, U/T: the columns of soft rows
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12

    # embedding
    position_embedding_type: Literal[
        "learned",
        "sinusoidal",
        "rotary",
        "alibi",
        "none",
    ] = "learned"
    position_offset: int = 0  # table row of position 0 (fairseq and ESM tables start after the pad row)
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    segment_rows: int = 0  # rows of a token-type table, of which row 0 is added to every token
    token_dropout: bool = False  # ESM: zero the rows of <mask> and rescale the sequence
    embedding_norm: bool = True

    # layers
    norm: Literal["layer", "rms"] = "layer"  # every norm of the model, that of the output head included
    norm_placement: Literal["post", "pre"] = "post"
    residual_from: Literal["input", "norm"] = "input"  # norm: attention is added to what it read (RiNALMo)
    final_norm: bool = False
    causal: bool = False  # a token sees itself and those before it
    attention_bias: bool = True  # of queries, keys, values and output
    pairing_bias: bool = False  # ERNIE-RNA: base-pairing bias and scores handed from layer to layer
    mlp: Literal["gelu", "gelu_tanh", "relu", "swiglu", "geglu"] = "gelu"  # gelu is the exact erf form
    swiglu_beta: Literal["one", "learned"] = "one"  # learned: one per layer (RiNALMo)
    mlp_bias: bool = True
    mlp_up_bias: bool | None = None  # of up and gate alone; None is as mlp_bias (DNABERT-2 has one on down only)
    mlp_dropout: Literal["output", "inner"] = "output"  # inner: before the last product instead of after it (DNABERT-2)

    # output head
    head_transform: Literal["dense_norm", "none"] = "dense_norm"
    head_act: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    head_tied: bool = True
    head_bias: bool = True

    initialization: Literal["bert", "esm", "gpt2", "torch", "nucleotide_transformer"] = "bert"
    initializer_range: float = 0.02
    zero_pad_row: bool = True  # at initialization; trained pad rows are not zero (the tied head trains them)

    def __post_init__(self) -> None:
        for size in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            if getattr(self, size) < 1:
                raise PolymeraseError(f"model.{size}: expected a positive integer, got {getattr(self, size)}")
        if self.hidden_size % self.num_attention_heads:
            raise PolymeraseError(
                f"model.hidden_size={self.hidden_size} is not a multiple of "
                f"model.num_attention_heads={self.num_attention_heads}; change one of them"
            )
        if self.position_embedding_type == "rotary" and self.head_size % 2:
            raise PolymeraseError(f"rotary positions need an even head size, got {self.head_size}")
        if self.residual_from == "norm" and self.norm_placement == "post":
            raise PolymeraseError(
                "model.residual_from=norm takes the residual after the norm in front of attention, and "
                "norm_placement=post has none there; set norm_placement=pre or residual_from=input"
            )
        if self.pairing_bias and (self.position_embedding_type in ("rotary", "alibi") or self.causal):
            other = "model.causal" if self.causal else f"{self.position_embedding_type} positions"
            raise PolymeraseError(
                f"model.pairing_bias with {other} is not defined; set pairing_bias=false, or use sinusoidal or learned "
                "positions and causal=false"
            )
        if self.causal and self.token_dropout:
            raise PolymeraseError(
                "model.token_dropout scales by the share of <mask> in the whole sequence, which model.causal "
                "must not see; set token_dropout=false or causal=false"
            )

    @property
    def head_size(self) -> int:
        """Width h of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def up_bias(self) -> bool:
        """Whether the first product of the MLP has a bias."""
        return self.mlp_bias if self.mlp_up_bias is None else self.mlp_up_bias

    @property
    def idle(self) -> dict[str, str]:
        """Fields without effect under these settings, each with the reason; setting one of them is an error."""
        positions, idle = self.position_embedding_type, dict[str, str]()
        if positions != "rotary":
            idle |= dict.fromkeys(("rope_theta", "rope_scaling"), "position_embedding_type is not rotary")
        if positions not in ("learned", "sinusoidal"):
            idle["position_offset"] = "position_embedding_type is neither learned nor sinusoidal"
        if self.mlp != "swiglu":
            idle["swiglu_beta"] = "mlp is not swiglu"
        if self.head_transform == "none":
            idle["head_act"] = "head_transform is none"
        if self.initialization not in ("bert", "gpt2"):
            idle["initializer_range"] = f"initialization {self.initialization} has its own ranges"
        return idle


@dataclass(frozen=True)
class TransformerOptions:
    """Memory choices: what is stored, in how many bits, and what is recomputed. None changes a result beyond rounding.

    Raises:
        PolymeraseError: 16 bits where they do not suffice.
    """

    checkpoint_activations: bool = False  # recompute each layer in the backward pass: less memory, about 1/3 more work
    # pairing-bias models: store the scores of every layer; or rebuild them in the backward pass, in one buffer for all
    # layers; or none, for sequences so long that not even one layer's fit (costs the products of all layers below)
    pairing_memory: Literal["store", "rebuild", "none"] = "rebuild"
    # of stored scores. float16 takes half the memory and time; each layer then rounds its scores to 11 bits, and they
    # must stay below 65,504
    pairing_scores_dtype: Literal["float32", "float16"] = "float32"

    def __post_init__(self) -> None:
        if self.pairing_scores_dtype == "float16" and self.pairing_memory != "store":
            raise PolymeraseError(
                f"model.pairing_scores_dtype=float16 with model.pairing_memory={self.pairing_memory}: only stored "
                "scores can have 16 bits; set pairing_memory=store, or leave pairing_scores_dtype out"
            )
