"""GPN (songlab-cal/gpn): masked models of unaligned genomes; the traps of the release are in ``models.convnet``."""

from pretrain.families.keys import KeyLayout, KeyRule

_THEIRS, _OURS = "model.encoder.{i}.", "encoder.layers.{i}."

# the class behind gpn-brassicales (model_type ConvNet)
GPN_LEGACY_KEYS = KeyLayout(
    rules=(
        KeyRule(_THEIRS + "conv.1.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_THEIRS + "conv.4.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_THEIRS + "ffn.0.{wb}", _OURS + "mlp.{wb}"),
        KeyRule(_THEIRS + "ffn.2.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule("cls.decoder.0.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.decoder.2.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.decoder.3.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.3.bias", "mlm_head.bias"),
    )
)

# the current default class, and what its encoder "bytenet" has instead
_LAYER = "model.encoder.layer.{i}."
GPN_KEYS = KeyLayout(
    rules=(
        KeyRule(_LAYER + "conv.0.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_LAYER + "conv.2.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_LAYER + "conv.5.{wb}", _OURS + "conv_output.{wb}"),
        KeyRule(_LAYER + "ffn.0.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule(_LAYER + "ffn.1.{wb}", _OURS + "mlp.up.{wb}"),
        KeyRule(_LAYER + "ffn.3.{wb}", _OURS + "mlp.down.{wb}"),
        KeyRule("model.ln_f.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("cls.transform.0.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.transform.2.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.decoder.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.bias", "mlm_head.bias"),
    )
)
GPN_BYTENET_KEYS = KeyLayout(
    rules=(
        KeyRule("model.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
        KeyRule(_LAYER + "layer.0.{wb}", _OURS + "norm.{wb}"),
        KeyRule(_LAYER + "layer.2.{wb}", _OURS + "down.{wb}"),
        KeyRule(_LAYER + "layer.3.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_LAYER + "layer.6.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_LAYER + "layer.8.{wb}", _OURS + "output_norm.{wb}"),
        KeyRule(_LAYER + "layer.10.{wb}", _OURS + "up.{wb}"),
        KeyRule("model.ln_f.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("cls.decoder.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.bias", "mlm_head.bias"),
    )
)
