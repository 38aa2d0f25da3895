"""Configuration of a polymerase StripedHyena model. Part of an exported folder: depends on transformers only."""

from transformers import PretrainedConfig


class PolymeraseStripedHyenaConfig(PretrainedConfig):
    """Sizes and switches of gated convolutions with a few layers of attention; the defaults are a small Evo.

    attention_layers: numbers of the layers that attend, from 0; all others convolve. rope_scaling: None, or {"type":
    "linear", "factor": 16} to divide rotary positions.
    """

    model_type = "polymerase_striped_hyena"
    rope_scaling = None  # a plain attribute: the library's property of this name would rewrite what it is given
    norm = "layer"
    causal = True
    layer_norm_eps = 1e-12  # of a head with a transform
    head_transform_bias = True

    def __init__(
        self,
        vocab_size=512,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=688,
        attention_layers=(2,),
        max_position_embeddings=8192,
        state_size=8,
        short_kernel_size=3,
        rope_theta=10000.0,
        rope_scaling=None,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        rms_norm_eps=1e-6,
        initializer_range=0.02,
        head_transform="none",
        head_act="gelu",
        head_bias=False,
        pooler_type=None,
        classifier_dropout=None,
        pad_token_id=1,
        mask_token_id=None,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=True,
        **kwargs,
    ):
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.attention_layers = list(attention_layers)
        self.max_position_embeddings = max_position_embeddings
        self.state_size = state_size
        self.short_kernel_size = short_kernel_size
        self.rope_theta = rope_theta
        self.rope_scaling = rope_scaling
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.rms_norm_eps = rms_norm_eps
        self.initializer_range = initializer_range
        self.head_transform = head_transform
        self.head_act = head_act
        self.head_bias = head_bias
        self.pooler_type = pooler_type
        self.classifier_dropout = classifier_dropout
        self.mask_token_id = mask_token_id
        super().__init__(
            pad_token_id=pad_token_id,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )
        self.tie_word_embeddings = tie_word_embeddings
