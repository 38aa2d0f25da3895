"""Configuration of ERNIE-RNA. Part of an exported model folder: depends on transformers only."""

from transformers import PretrainedConfig


class ErnieRnaConfig(PretrainedConfig):
    """Sizes and constants of an ERNIE-RNA encoder; the defaults are the published model.

    ``pairing_scores`` lists base pairs as [token id, token id, score], here A-U 2, G-C 3, G-U 0.8; every other pair,
    special and ambiguous tokens included, scores 0. ``position_offset`` is the row of the sinusoid table that the
    first token of a sequence reads.
    """

    model_type = "ernie_rna"

    def __init__(
        self,
        vocab_size=25,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=1024,
        position_offset=2,
        layer_norm_eps=1e-5,
        initializer_range=0.02,
        pairing_scores=((5, 6, 2.0), (4, 7, 3.0), (4, 6, 0.8)),
        classifier_dropout=None,
        pad_token_id=1,
        mask_token_id=24,
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
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.position_offset = position_offset
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.pairing_scores = [list(pair) for pair in pairing_scores]
        self.classifier_dropout = classifier_dropout
        self.mask_token_id = mask_token_id
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
