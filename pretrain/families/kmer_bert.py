"""The program behind 3UTRBERT and DNABERT: BERT-base over overlapping k-mers (recipes/utrbert.md).

Defects of the program that are not reproduced: rows of 510 k-mers or more get a second [CLS] and [SEP] inside; a hyphen
splits a k-mer in several [UNK]; embeddings of long sequences begin with [UNK] and end with [CLS]; a row without k-mers
is an IndexError and a batch without masked ones a NaN; one update more than asked for, with rate 0; the default masking
probability of 0.15 per center hides 62 % of 6-mers (here ``rate`` is always the share, rate / k the probability).
"""

from typing import Any

from pretrain.families.bert_keys import (
    BERT_DUPLICATES,
    BERT_ENCODER_RULES,
    BERT_FORM,
    BERT_IGNORABLE,
    BERT_POOLER,
    BERT_POSITIONS,
    bert_head_rules,
    bert_pooler,
)
from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout
from pretrain.models.transformer.settings import TransformerSettings

PARAMETERS = {3: 86_095_941, 4: 86_243_589, 5: 86_834_181, 6: 89_196_549}
POOLER_PARAMETERS = 590_592

# upstream computes decoder(h) + bias where decoder already holds the same bias: its logits are W h + 2 b
UPSTREAM_KEYS = KeyLayout(
    rules=(*BERT_ENCODER_RULES, BERT_POSITIONS, BERT_POOLER, *bert_head_rules(bias_transform="double")),
    duplicates=BERT_DUPLICATES,
    ignorable=BERT_IGNORABLE,
)


def kmer_bert(name: str, k: int, **facts: Any) -> Family:
    """Build the family ``name`` over k-mers: 4^k + 5 tokens, everything else BERT-base.

    ``facts``: license, paper, molecule.
    """
    return Family(
        name=name,
        settings=TransformerSettings(
            vocab_size=4**k + 5,
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            max_position_embeddings=512,
            pad_token_id=0,
            mask_token_id=4,
            segment_rows=2,
            zero_pad_row=False,
        ),
        tokenizer=name,
        max_tokens=512,
        parameters=PARAMETERS[k],
        unused_parameters=POOLER_PARAMETERS,
        upstream=UPSTREAM_KEYS,
        hugging_face=BERT_FORM,
        unused_shapes=bert_pooler,
        quirks={"masking.random_ids": "vocabulary_from:0", "objectives.reduction": "micro_batch_mean"},
        **facts,
    )
