"""Configuration of a polymerase transformer. Part of an exported model folder: depends on transformers only."""

from transformers import PretrainedConfig

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "none")
MLPS = ("gelu", "gelu_tanh", "relu", "swiglu", "geglu")


class PolymeraseConfig(PretrainedConfig):
    """Sizes and switches of a transformer encoder, or a causal one, with its output head; the defaults are BERT's.

    position_offset: row of the position table that the first token of a sequence reads. rope_scaling: None, or {"type":
    "linear" | "dynamic", "factor": number >= 1} to read sequences longer than ``max_position_embeddings``.
    residual_from "norm": attention is added to what it read. mlp_up_bias: None is as mlp_bias. mlp_dropout "inner":
    before the last product instead of after it. pairing_scores: base pairs as [token id, token id, score]; every other
    pair scores 0. pooler_type: None (no pooler), "mean" (over real tokens) or "first_token_transform".
    """

    model_type = "polymerase"
    rope_scaling = None  # a plain attribute: the library's property of this name would rewrite what it is given

    def __init__(
        self,
        vocab_size=30,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        layer_norm_eps=1e-12,
        position_embedding_type="learned",
        position_offset=0,
        rope_theta=10000.0,
        rope_scaling=None,
        segment_rows=0,
        token_dropout=False,
        embedding_norm=True,
        norm="layer",
        norm_placement="post",
        residual_from="input",
        final_norm=False,
        causal=False,
        attention_bias=True,
        pairing_bias=False,
        pairing_scores=(),
        mlp="gelu",
        swiglu_beta="one",
        mlp_bias=True,
        mlp_up_bias=None,
        mlp_dropout="output",
        head_transform="dense_norm",
        head_act="gelu",
        head_bias=True,
        initializer_range=0.02,
        pooler_type=None,
        classifier_dropout=None,
        pad_token_id=0,
        mask_token_id=None,
        tie_word_embeddings=True,
        **kwargs,
    ):
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        for name, value, known in (("position_embedding_type", position_embedding_type, POSITIONS), ("mlp", mlp, MLPS)):
            if value not in known:
                raise ValueError(f"{name} {value!r} should be one of {', '.join(known)}")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.position_embedding_type = position_embedding_type
        self.position_offset = position_offset
        self.rope_theta = rope_theta
        self.rope_scaling = rope_scaling
        self.segment_rows = segment_rows
        self.token_dropout = token_dropout
        self.embedding_norm = embedding_norm
        self.norm = norm
        self.norm_placement = norm_placement
        self.residual_from = residual_from
        self.final_norm = final_norm
        self.causal = causal
        self.attention_bias = attention_bias
        self.pairing_bias = pairing_bias
        self.pairing_scores = [list(pair) for pair in pairing_scores]
        self.mlp = mlp
        self.swiglu_beta = swiglu_beta
        self.mlp_bias = mlp_bias
        self.mlp_up_bias = mlp_up_bias
        self.mlp_dropout = mlp_dropout
        self.head_transform = head_transform
        self.head_act = head_act
        self.head_bias = head_bias
        self.initializer_range = initializer_range
        self.pooler_type = pooler_type
        self.classifier_dropout = classifier_dropout
        self.mask_token_id = mask_token_id
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.tie_word_embeddings = tie_word_embeddings
