"""What holds for every tokenizer and every batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import TOKENIZERS, build_tokenizer

LETTERS = b"ACGUTNacgutnRYKM-.*X?"
BUILT = {name: build_tokenizer(name) for name in TOKENIZERS}
BUILT["rnaernie with label slot"] = build_tokenizer("rnaernie", label_slot=True)
sequences = st.lists(st.lists(st.sampled_from(LETTERS), max_size=12).map(bytes), max_size=8)


@pytest.mark.parametrize("name", BUILT)
@settings(max_examples=40, deadline=None)
@given(rows=sequences)
def test_a_batch_is_its_sequences_one_by_one(name, rows):
    tokenizer = BUILT[name]
    batch = tokenizer.encode(Ragged.from_rows(rows))
    assert batch.offsets[0] == 0
    assert len(batch.ids) == len(batch.maskable) == len(batch.nucleotide) == batch.offsets[-1]
    assert batch.lengths.tolist() == tokenizer.token_count(np.array([len(row) for row in rows], np.int64)).tolist()
    for s, row in enumerate(rows):
        piece = slice(batch.offsets[s], batch.offsets[s + 1])
        alone = tokenizer.encode(Ragged.from_rows([row]))
        assert batch.ids[piece].tolist() == alone.ids.tolist()
        units = max(len(row) - tokenizer.nucleotides_per_token + 1, 0)
        assert batch.nucleotide[piece].tolist() == [-1, *range(units), *[-1] * (len(alone.ids) - 1 - units)]
        assert (batch.maskable[piece] == (batch.nucleotide[piece] >= 0)).all()
        if not tokenizer.has_label_slot and name != "mutbert":  # released MutBERT texts are case-sensitive
            assert alone.ids.tolist() == tokenizer.encode_text(row.decode()).tolist()


@pytest.mark.parametrize("name", BUILT)
def test_the_longest_sequence_fills_the_token_limit(name):
    tokenizer = BUILT[name]
    assert tokenizer.token_count(np.array([tokenizer.max_nucleotides(512)])) == [512]
    first_with_token = tokenizer.min_nucleotides
    specials = tokenizer.token_count(np.array([0]))[0]
    assert tokenizer.token_count(np.array([first_with_token - 1, first_with_token])).tolist() == [
        specials,
        specials + 1,
    ]


@pytest.mark.parametrize("name", BUILT)
def test_nucleotide_ids_are_plain_tokens_in_the_order_of_a_c_g_u(name):
    tokenizer = BUILT[name]
    tokens = [tokenizer.vocab[i] for i in tokenizer.nucleotide_ids]
    assert not set(tokenizer.nucleotide_ids.tolist()) & tokenizer.special_ids
    if tokenizer.nucleotides_per_token == 1:
        assert [token.replace("T", "U") for token in tokens] == ["A", "C", "G", "U"]
    else:
        assert len(set(tokens)) == 4**tokenizer.nucleotides_per_token
    assert len(set(tokenizer.vocab)) == len(tokenizer.vocab)


@pytest.mark.parametrize("name", BUILT)
def test_a_slice_of_a_larger_buffer_is_read_from_its_offsets(name):
    tokenizer = BUILT[name]
    whole = Ragged.from_rows([b"GGGGGGGG", b"ACGUACGU", b"UUUUUUUU"])
    middle = tokenizer.encode(Ragged(whole.values, whole.offsets[1:3]))
    assert middle.ids.tolist() == tokenizer.encode(Ragged.from_rows([b"ACGUACGU"])).ids.tolist()


def test_unknown_tokens_are_counted_per_sequence():
    tokenizer = build_tokenizer("utr_lm")
    batch = tokenizer.encode(Ragged.from_rows([b"ACGT", b"ANNT", b"", b"-"]))
    assert batch.per_sequence(batch.ids == tokenizer.unk_id).tolist() == [0, 2, 0, 1]


def test_a_misspelt_tokenizer_is_told_the_nearest():
    with pytest.raises(PolymeraseError, match="'utrbert_3mer'"):
        build_tokenizer("utrbert-3mer")
    with pytest.raises(PolymeraseError, match="label_slots"):
        build_tokenizer("rnaernie", label_slots=True)
