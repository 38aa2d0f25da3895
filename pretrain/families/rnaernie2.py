"""RNAErnie2 (CatIIIIIIII/RNAErnie2; recipes/rnaernie.md#model): BERT-base over single nucleotides.

What is uncertain, and what we follow:

* The repository holds neither model config nor vocabulary. Sizes (11 tokens, 2048 positions, 2 segments) are confirmed
  by the published file size; gelu and LayerNorm eps 1e-5 rest on third-party cards alone.
* Parameters: 87,230,987; a card's 87,230,998 counts the output bias twice.
* The released trainer masks single tokens only; its motif and span functions exist and are never called, and the span
  function labels just the last token of each span. Random replacements come from all 11 ids, special tokens included
  (``quirks``). The published weights have no pooler.
* The pad row is zero at initialization (transformers' own class), and a looked-up pad id gets no gradient.
"""

from pretrain.families.bert_keys import BERT_FORM, BERT_KEYS, bert_pooler
from pretrain.families.family import Family
from pretrain.models.transformer.settings import TransformerSettings

RNAERNIE2 = Family(
    name="rnaernie2",
    settings=TransformerSettings(
        vocab_size=11,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=2048,
        pad_token_id=0,
        mask_token_id=5,
        base_token_ids=(6, 8, 9, 7),
        layer_norm_eps=1e-5,
        segment_rows=2,
    ),
    tokenizer="rnaernie2",
    max_tokens=2048,
    recipe_ranks=4,
    parameters=87_230_987,
    upstream=BERT_KEYS,
    hugging_face=BERT_FORM,
    unused_shapes=bert_pooler,
    token_type_ids=True,
    quirks={"masking.random_ids": "vocabulary_from:0", "objectives.reduction": "micro_batch_mean"},
)
