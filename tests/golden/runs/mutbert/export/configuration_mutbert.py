"""Configuration of MutBERT. Part of an exported model folder: depends on transformers only."""

from transformers import PretrainedConfig


class MutBertConfig(PretrainedConfig):
    """Sizes of a MutBERT encoder; the defaults are the published model.

    ``rope_scaling``: None, or {"type": "linear" | "dynamic", "factor": number >= 1} to read sequences longer than
    ``max_position_embeddings``. ``pooler_type``: "mean" (over real tokens, <cls> and <sep> included) or
    "first_token_transform".
    """

    model_type = "mutbert"
    rope_scaling = None  # a plain attribute: the library's property of this name would rewrite what it is given

    def __init__(
        self,
        vocab_size=9,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        initializer_range=0.02,
        rope_theta=10000.0,
        rope_scaling=None,
        pooler_type="mean",
        classifier_dropout=None,
        pad_token_id=3,
        tie_word_embeddings=True,
        **kwargs,
    ):
        if hidden_size % (2 * num_attention_heads):
            raise ValueError(f"hidden_size {hidden_size} gives no even head size with {num_attention_heads} heads")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.rope_theta = rope_theta
        self.rope_scaling = rope_scaling
        self.pooler_type = pooler_type
        self.classifier_dropout = classifier_dropout
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
