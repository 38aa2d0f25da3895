"""Configuration of a polymerase convolution network. Part of an exported model folder: depends on transformers only."""

from transformers import PretrainedConfig

BLOCKS = ("post_norm", "pre_norm", "bytenet")
EMBEDDINGS = ("one_hot", "learned")


class PolymeraseConvNetConfig(PretrainedConfig):
    """Sizes and switches of a stack of dilated convolutions with its output head; the defaults are GPN's.

    Layer i has dilation min(dilation_max, dilation_base ** (i mod dilation_cycle)). intermediate_size: inner width of
    the MLP (pre_norm), between the linear layers of the branch (bytenet); post_norm has none. bias: of every linear
    layer, convolution and norm. pooler_type: None, "mean" (over real tokens) or "first_token_transform".
    """

    model_type = "polymerase_convnet"
    norm = "layer"
    causal = False

    def __init__(
        self,
        vocab_size=7,
        hidden_size=512,
        num_hidden_layers=25,
        intermediate_size=None,
        max_position_embeddings=512,
        block="pre_norm",
        embedding="one_hot",
        first_kernel_size=9,
        kernel_size=5,
        dilation_base=2,
        dilation_cycle=8,
        dilation_max=9999,
        bias=False,
        final_norm=True,
        hidden_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        initializer_range=0.02,
        head_transform="dense_norm",
        head_act="gelu",
        head_bias=False,
        pooler_type="mean",
        classifier_dropout=None,
        pad_token_id=0,
        mask_token_id=1,
        tie_word_embeddings=False,
        **kwargs,
    ):
        for name, value, known in (("block", block, BLOCKS), ("embedding", embedding, EMBEDDINGS)):
            if value not in known:
                raise ValueError(f"{name} {value!r} should be one of {', '.join(known)}")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.block = block
        self.embedding = embedding
        self.first_kernel_size = first_kernel_size
        self.kernel_size = kernel_size
        self.dilation_base = dilation_base
        self.dilation_cycle = dilation_cycle
        self.dilation_max = dilation_max
        self.bias = bias
        self.final_norm = final_norm
        self.hidden_dropout_prob = hidden_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.head_transform = head_transform
        self.head_act = head_act
        self.head_bias = head_bias
        self.pooler_type = pooler_type
        self.classifier_dropout = classifier_dropout
        self.mask_token_id = mask_token_id
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.tie_word_embeddings = tie_word_embeddings

    @property
    def head_transform_bias(self):
        return self.bias
