"""What an encoder is made of: sizes under the names of transformers configs, and one switch per choice."""

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


@dataclass(frozen=True)
class EncoderSettings:
    """Sizes, switches and special ids of one encoder.

    The defaults of the switches describe plain BERT: learned positions, LayerNorm on the embeddings and after each
    residual sum, no final norm.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int  # rows of a learned table; for rotary "dynamic", the longest length of training
    pad_token_id: int
    mask_token_id: int
    base_token_ids: tuple[int, int, int, int] | None = None  # ids of A, C, G, U/T: the columns of soft rows
    hidden_act: Literal["gelu", "relu"] = "gelu"  # gelu is the exact erf form; also used in the MLM head
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12

    position_embedding_type: Literal["learned", "sinusoidal", "rotary", "none"] = "learned"
    position_offset: int = 0  # table row of position 0 (fairseq and ESM tables start after the pad row)
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    norm_placement: Literal["post", "pre"] = "post"
    embedding_norm: bool = True
    final_norm: bool = False
    segment_rows: int = 0  # rows of a token-type table, of which row 0 is added to every token
    token_dropout: bool = False  # ESM: zero the rows of <mask> and rescale the sequence
    pairing_bias: bool = False  # ERNIE-RNA: base-pairing bias and scores handed from layer to layer
    pairing_scores_dtype: Literal["float32", "activation"] = "float32"  # what the handed-on scores are kept in

    initialization: Literal["bert", "esm"] = "bert"
    initializer_range: float = 0.02
    zero_pad_row: bool = True  # at initialisation; trained pad rows are not zero (the tied head trains them)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise PolymeraseError(
                f"model.hidden_size={self.hidden_size} is not a multiple of "
                f"model.num_attention_heads={self.num_attention_heads}; change one of them"
            )
        if self.position_embedding_type == "rotary" and self.head_size % 2:
            raise PolymeraseError(f"rotary positions need an even head size, got {self.head_size}")
        if self.pairing_bias and self.position_embedding_type == "rotary":
            raise PolymeraseError("model.pairing_bias with rotary positions is not defined; use sinusoidal or learned")

    @property
    def head_size(self) -> int:
        """Width h of one attention head."""
        return self.hidden_size // self.num_attention_heads
