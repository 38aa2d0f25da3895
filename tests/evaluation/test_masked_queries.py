"""Which tokens are hidden to ask for a nucleotide, in every layout of tokens."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.evaluation.masked_queries import nucleotide_query
from pretrain.tokenizers import build_tokenizer

FILE = Path(__file__).resolve().parents[1] / "golden" / "tokenizers" / "bpe_tiny.json"
NAMES = [
    "ernie_rna",
    "rnaernie",
    "gpn",
    "hyenadna",
    "utrbert_4mer",
    "methylbert",
    "codon",
    "kmer6_nonoverlapping",
    "bpe",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_token_that_shows_a_nucleotide_is_hidden_and_no_other(name):
    tokenizer = build_tokenizer(name, **({"file": str(FILE)} if name == "bpe" else {}))
    row = "ACGTACGGATTACAGGCTA"
    tokens = tokenizer.encode(Ragged.from_rows([row.encode()]))
    spans = [
        range(begin, begin + (len(tokenizer.vocab[token]) if token in tokenizer.nucleotide_ids else 1))
        if begin >= 0 else range(0)
        for begin, token in zip(tokens.nucleotide.tolist(), tokens.ids.tolist(), strict=True)
    ]  # fmt: skip
    shown = max(span.stop for span in spans)
    for nucleotide in range(shown):
        query = nucleotide_query(tokenizer, tokens.ids, nucleotide)
        assert query.hidden.tolist() == [at for at, span in enumerate(spans) if nucleotide in span]
        assert query.read in query.hidden
    for behind in range(shown, len(row)):  # letters of a partial codon count to the last whole one
        query = nucleotide_query(tokenizer, tokens.ids, behind)
        assert query.hidden.tolist() == [np.flatnonzero(tokens.maskable)[-1]]
