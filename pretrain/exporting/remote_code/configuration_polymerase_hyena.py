"""Configuration of a polymerase Hyena model. Part of an exported model folder: depends on transformers only."""

from transformers import PretrainedConfig


class PolymeraseHyenaConfig(PretrainedConfig):
    """Sizes and switches of a stack of causal Hyena operators with its output head; the defaults are HyenaDNA's.

    max_position_embeddings: length of the long filter, which is a function of the position divided by it: a property
    of the weights, and the longest input. filter_shift: constant added to the filter's decay (0.05 in the folders
    published with the weights, 0.0 in the training code).
    """

    model_type = "polymerase_hyena"
    norm = "layer"
    causal = True
    head_transform_bias = True

    def __init__(
        self,
        vocab_size=16,
        hidden_size=256,
        num_hidden_layers=4,
        intermediate_size=1024,
        max_position_embeddings=32770,
        short_kernel_size=3,
        filter_features=5,
        filter_width=64,
        filter_frequency=10.0,
        filter_shift=0.05,
        embedding_dropout_prob=0.1,
        hidden_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        initializer_range=0.02,
        head_transform="none",
        head_act="gelu",
        head_bias=False,
        pooler_type=None,
        classifier_dropout=None,
        pad_token_id=4,
        mask_token_id=3,
        eos_token_id=1,
        tie_word_embeddings=True,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.short_kernel_size = short_kernel_size
        self.filter_features = filter_features
        self.filter_width = filter_width
        self.filter_frequency = filter_frequency
        self.filter_shift = filter_shift
        self.embedding_dropout_prob = embedding_dropout_prob
        self.hidden_dropout_prob = hidden_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.head_transform = head_transform
        self.head_act = head_act
        self.head_bias = head_bias
        self.pooler_type = pooler_type
        self.classifier_dropout = classifier_dropout
        self.mask_token_id = mask_token_id
        super().__init__(
            pad_token_id=pad_token_id, eos_token_id=eos_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs
        )
        self.tie_word_embeddings = tie_word_embeddings
