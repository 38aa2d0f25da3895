"""Evo 1 (evo-design/evo): causal models of bytes; traps of the release in ``models.striped_hyena``."""

from pretrain.families.keys import KeyLayout, KeyRule

_THEIRS, _OURS = "blocks.{i}.", "encoder.layers.{i}."

EVO1_KEYS = KeyLayout(
    rules=(
        KeyRule("embedding_layer.weight", "encoder.embeddings.word.weight"),
        KeyRule(_THEIRS + "pre_norm.scale", _OURS + "mixer_norm.scale"),
        KeyRule(_THEIRS + "projections.{wb}", _OURS + "mixer.input.{wb}"),
        KeyRule(_THEIRS + "filter.short_filter_weight", _OURS + "mixer.short.weight"),
        KeyRule(_THEIRS + "filter.short_filter_bias", _OURS + "mixer.short.bias"),
        KeyRule(_THEIRS + "filter.poles", _OURS + "mixer.filter.poles"),
        KeyRule(_THEIRS + "filter.residues", _OURS + "mixer.filter.residues"),
        KeyRule(_THEIRS + "filter.D", _OURS + "mixer.skip"),
        KeyRule(_THEIRS + "out_filter_dense.{wb}", _OURS + "mixer.output.{wb}"),
        KeyRule(_THEIRS + "inner_mha_cls.Wqkv.{wb}", _OURS + "mixer.qkv.{wb}"),
        KeyRule(_THEIRS + "inner_mha_cls.out_proj.{wb}", _OURS + "mixer.output.{wb}"),
        KeyRule(_THEIRS + "post_norm.scale", _OURS + "mlp_norm.scale"),
        KeyRule(_THEIRS + "mlp.l1.weight", _OURS + "mlp.gate.weight"),
        KeyRule(_THEIRS + "mlp.l2.weight", _OURS + "mlp.up.weight"),
        KeyRule(_THEIRS + "mlp.l3.weight", _OURS + "mlp.down.weight"),
        KeyRule("norm.scale", "encoder.final_norm.scale"),
    ),
    duplicates={"unembed.weight": "embedding_layer.weight"},
    ignorable=(_THEIRS + "inner_mha_cls.rotary_emb.inv_freq",),
    prefixes=("module.", "backbone."),
)
