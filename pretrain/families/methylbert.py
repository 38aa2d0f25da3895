"""MethylBERT's first stage (CompEpigen/methylbert; recipes/methylbert.md): BERT over overlapping 3-mers of a genome.

Where sources disagree, and what we follow:

* As many tokens as DNABERT-3 and 3UTRBERT-3, under other ids: alphabetical 3-mers behind ``<pad> <unk> <eos> <sos>
  <mask>``. Tables are not interchangeable.
* The release's reader of lines walks over the letters of each 3-mer and makes every token ``<unk>``; its other reader
  is right and is what we follow.
* "15 %" are centers: with both neighbors 38.6 % of inner tokens are selected.
* ``<eos>`` takes the place of the last 3-mer; padding is attended in the release and masked here.
* The release's first update has the rate 0, and its default decay begins before its warm-up ends.
* Fine-tuning gives methylation states as segments and wants three segment rows; pretraining uses row 0 of two.
"""

from pretrain.families.bert_keys import BERT_FORM, BERT_KEYS, bert_pooler
from pretrain.families.family import Family
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

PARAMETERS = {12: 86_095_941, 6: 43_568_709}


def _methylbert(name: str, layers: int) -> Family:
    return Family(
        name=name,
        settings=TransformerSettings(
            vocab_size=69,
            hidden_size=768,
            num_hidden_layers=layers,
            num_attention_heads=12,
            intermediate_size=3072,
            max_position_embeddings=512,
            pad_token_id=0,
            mask_token_id=4,
            segment_rows=2,
            zero_pad_row=False,
        ),
        tokenizer="methylbert",
        max_tokens=511,
        parameters=PARAMETERS[layers],
        unused_parameters=590_592,
        unused_shapes=bert_pooler,
        upstream=BERT_KEYS,
        hugging_face=BERT_FORM,
        license="unknown",
        paper=Paper(
            "jeong2025methylbert",
            "Jeong and others",
            "MethylBERT enables read-level DNA methylation pattern identification and tumour deconvolution",
            "Nature Communications",
            2025,
            "10.1038/s41467-025-55920-z",
        ),
        molecule="dna",
        token_type_ids=True,
        quirks={"masking.random_ids": "vocabulary_from:0", "objectives.reduction": "micro_batch_mean"},
    )


METHYLBERT = (_methylbert("methylbert", 12), _methylbert("methylbert_6l", 6))
