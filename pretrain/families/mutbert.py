"""MutBERT (ai4nucleome/mutBERT; recipes/mutbert.md): rotary BERT-base that reads allele frequencies.

Where sources disagree, and what we follow:

* Inputs: upstream's model takes probability rows only, its own cards pass ids. Here a token is an id or, where alleles
  are mixed, a soft row; both give the same as ``rows @ E``.
* Special tokens follow tokenizer.json; upstream's vocab.txt has another order and is used by nothing. The pad id is 3
  (config.json), not the class default 0.
* ``rope_scaling`` dynamic: upstream keeps the long-input frequencies after one long call. Here nothing is remembered.
* ``attn_implementation`` is ignored upstream (always sdpa, never flash: a mask is always passed).
* Corruption: 80/0/20 in the released code, 80/10/10 (random ids, specials included) in its history and in the sister
  project; which trained the published weights is not recorded.
* Temperature: a softmax of the probabilities, skipped at exactly 1.0; ``corpus.temperature_mode`` offers it and others.
* Dropout: upstream leaves evaluation mode on after its first evaluation, so about 97 % of the training ran without
  dropout; 0.0 is the upstream value in ``quirks``.
* Upstream's preparation drops multi-allelic sites (``--multiallelic drop``), does not compare REF with the genome, and
  loses the last base and window of each part; its AF > 0.02 is strict, as ours.
* Windows are drawn unseeded upstream, other ones on every rank and after every resume. Here sample numbers decide.
* Reported perplexity counts the 20 % of positions that stay visible.
* Exports use their own model_type: with the published "bert", loading without remote code silently gives a plain BERT
  with random position embeddings.
"""

from dataclasses import replace

from pretrain.families.bert_keys import (
    BERT_DUPLICATES,
    BERT_ENCODER_RULES,
    BERT_IGNORABLE,
    BERT_POOLER,
    bert_head_rules,
    bert_pooler,
)
from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout
from pretrain.families.own_code import OWN_FORMS
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

KEYS = KeyLayout(
    rules=(*BERT_ENCODER_RULES, BERT_POOLER, *bert_head_rules()),
    duplicates=BERT_DUPLICATES,
    ignorable=BERT_IGNORABLE,
)

MUTBERT = Family(
    name="mutbert",
    settings=TransformerSettings(
        vocab_size=9,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        pad_token_id=3,
        mask_token_id=4,
        base_token_ids=(5, 6, 7, 8),
        position_embedding_type="rotary",
        segment_rows=2,
    ),
    tokenizer="mutbert",
    max_tokens=512,
    recipe_ranks=4,
    parameters=85_656_585,
    upstream=KEYS,
    hugging_face=replace(OWN_FORMS["transformer"], constants={"pooler_type": "mean"}),
    unused_shapes=bert_pooler,
    license="mit",
    paper=Paper(
        "long2025mutbert",
        "Long and Su and Xiong and Zhang",
        "MutBERT: probabilistic genome representation improves genomics foundation models",
        "Bioinformatics",
        2025,
        "10.1093/bioinformatics/btaf229",
    ),
    notes=(
        'The model type of the release is "bert", with which transformers silently loads a plain BERT with random '
        "position embeddings wherever `trust_remote_code` is not given; an export has a model type of its own.",
        "Inputs are token ids or float rows `[batch, tokens, 9]`; the pooled output is the mean over real tokens.",
    ),
    molecule="dna",
    fine_tuning_head="mean",
    token_type_ids=True,
    reads_base_probabilities=True,
    vocabulary_files=("tokenizer.json",),  # the release's vocab.txt has another order and is used by nothing
    quirks={"model.hidden_dropout_prob": 0.0, "model.attention_probs_dropout_prob": 0.0},
)
