"""DNABERT-2 (MAGICS-LAB/DNABERT_2; recipes/dnabert2.md): byte-pair tokens, ALiBi, gated MLP, post-norm.

Where sources disagree, and what we follow:

* The tokenizer is byte pairs over letters, not SentencePiece. Its file travels with the weights: give it as
  ``model.tokenizer_file``; ``convert`` takes the one beside the weights.
* The published config says absolute positions and pads with id 0; the program has ALiBi, and its tokenizer pads with 3.
* The slope of a head's distances is symmetric, and grows with any length: there is no longest input.
* The dropout of the MLP stands before its last product; probabilities of attention are never dropped.
* A selected ``[UNK]`` has label 0, which the release ignores in its loss.
* Its optimizer decays all weights by a fixed amount that does not scale with the rate (decoupled); named in the config.
"""

from dataclasses import replace

from pretrain.families.bert_keys import bert_pooler
from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

_LAYER, _OURS = "bert.encoder.layer.{i}.", "encoder.layers.{i}."
UPSTREAM_KEYS = KeyLayout(
    rules=(
        KeyRule("bert.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
        KeyRule("bert.embeddings.token_type_embeddings.weight", "encoder.embeddings.segment.weight"),
        KeyRule("bert.embeddings.LayerNorm.{wb}", "encoder.embeddings.norm.{wb}"),
        *(
            KeyRule(_LAYER + f"attention.self.Wqkv.{{wb}}[{number}/3]", _OURS + f"attention.{part}.{{wb}}")
            for number, part in enumerate(("query", "key", "value"))
        ),
        KeyRule(_LAYER + "attention.output.dense.{wb}", _OURS + "attention.output.{wb}"),
        KeyRule(_LAYER + "attention.output.LayerNorm.{wb}", _OURS + "attention_norm.{wb}"),
        KeyRule(_LAYER + "mlp.gated_layers.weight[0/2]", _OURS + "mlp.gate.weight"),  # the half that GELU reads
        KeyRule(_LAYER + "mlp.gated_layers.weight[1/2]", _OURS + "mlp.up.weight"),
        KeyRule(_LAYER + "mlp.wo.{wb}", _OURS + "mlp.down.{wb}"),
        KeyRule(_LAYER + "mlp.layernorm.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule("cls.predictions.transform.dense.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.predictions.transform.LayerNorm.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.predictions.decoder.bias", "mlm_head.bias"),
        KeyRule("bert.pooler.dense.{wb}", "unused.pooler.{wb}", optional=True),
    ),
    duplicates={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.bias": "cls.predictions.decoder.bias",
    },
)

DNABERT2 = Family(
    name="dnabert2",
    settings=TransformerSettings(
        vocab_size=4096,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,  # of the published config; ALiBi has no end
        pad_token_id=3,
        mask_token_id=4,
        base_token_ids=(5, 6, 7, 8),
        attention_probs_dropout_prob=0.0,
        position_embedding_type="alibi",
        segment_rows=2,
        mlp="geglu",
        mlp_up_bias=False,
        mlp_dropout="inner",
    ),
    tokenizer="bpe",
    max_tokens=512,
    recipe_ranks=8,
    parameters=117_074_176,
    upstream=UPSTREAM_KEYS,
    hugging_face=replace(OWN_FORMS["transformer"], names={"type_vocab_size": ("segment_rows",)}),
    unused_parameters=590_592,
    unused_shapes=bert_pooler,
    license="apache-2.0",
    paper=Paper(
        "zhou2024dnabert2",
        "Zhou and others",
        "DNABERT-2: efficient foundation model and benchmark for multi-species genomes",
        "International Conference on Learning Representations",
        2024,
        "10.48550/arXiv.2306.15006",
    ),
    molecule="dna",
    fine_tuning_head="mean",
    token_type_ids=True,
    quirks={"masking.random_ids": "vocabulary_from:0", "objectives.reduction": "micro_batch_mean"},
)
