"""What holds for every tokenizer and every batch."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import TOKENIZERS, PerNucleotide, build_tokenizer

LETTERS = b"ACGUTNacgutnRYKM-.*X?"
BPE_FILE = Path(__file__).resolve().parents[1] / "golden" / "tokenizers" / "dnabert2_released.json"
BUILT = {name: build_tokenizer(name, **({"file": str(BPE_FILE)} if name == "bpe" else {})) for name in TOKENIZERS}
BUILT["rnaernie with label slot"] = build_tokenizer("rnaernie", label_slot=True)
BUILT["hyenadna with case"] = build_tokenizer("hyenadna", case_sensitive=True)
# The released forms of these read texts by other rules than ours reads corpora: case, U, gaps.
OTHER_TEXTS = {"gpn", "bytes", "bpe", "codon", "codon_sorted"}
sequences = st.lists(st.lists(st.sampled_from(LETTERS), max_size=12).map(bytes), max_size=8)


@pytest.mark.parametrize("name", BUILT)
@settings(max_examples=40, deadline=None)
@given(rows=sequences)
def test_a_batch_is_its_sequences_one_by_one(name, rows):
    tokenizer = BUILT[name]
    batch = tokenizer.encode(Ragged.from_rows(rows))
    assert batch.offsets[0] == 0
    assert len(batch.ids) == len(batch.maskable) == len(batch.nucleotide) == batch.offsets[-1]
    counts = tokenizer.token_count(np.array([len(row) for row in rows], np.int64))
    if isinstance(tokenizer.lengths, PerNucleotide):
        assert batch.lengths.tolist() == counts.tolist()
    else:
        assert batch.lengths.tolist() == tokenizer.count(Ragged.from_rows(rows)).tolist()
        assert (batch.lengths <= counts).all()
    for s, row in enumerate(rows):
        piece = slice(batch.offsets[s], batch.offsets[s + 1])
        alone = tokenizer.encode(Ragged.from_rows([row]))
        assert batch.ids[piece].tolist() == alone.ids.tolist()
        begins, tail = first_nucleotides(tokenizer, row, alone)
        assert batch.nucleotide[piece].tolist() == [-1] * tokenizer.leading + begins + [-1] * tail
        assert (batch.maskable[piece] == (batch.nucleotide[piece] >= 0)).all()
        assert batch.first_token_of(np.full(len(begins), s), np.array(begins, np.int64)).tolist() == [
            piece.start + tokenizer.leading + number for number in range(len(begins))
        ]
        if not tokenizer.has_label_slot and tokenizer.name not in OTHER_TEXTS:
            assert alone.ids.tolist() == tokenizer.encode_text(row.decode()).tolist()


def first_nucleotides(tokenizer, row, alone):
    """Where each token of a sequence begins, one token at a time; and how many special tokens end it."""
    rule = tokenizer.lengths
    tail = rule.specials - tokenizer.leading
    if isinstance(rule, PerNucleotide):
        return list(range(0, len(row) - rule.k + 1, rule.stride)), tail
    begins, place = [], 0
    for token in alone.ids[tokenizer.leading : len(alone.ids) - tail].tolist():
        begins.append(place)
        place += 1 if token == tokenizer.unk_id else len(tokenizer.vocab[token])
    assert place == len(row)
    return begins, tail


@pytest.mark.parametrize("name", BUILT)
@settings(max_examples=30, deadline=None)
@given(rows=sequences, limit=st.integers(3, 9), place=st.sampled_from([0.0, 0.4, 0.999, 1.0]))
def test_a_cropped_batch_is_a_run_of_the_same_tokens_between_the_same_specials(name, rows, limit, place):
    tokenizer = BUILT[name]
    if tokenizer.has_label_slot:
        return  # four special tokens, and nobody crops behind a formula
    whole = tokenizer.encode(Ragged.from_rows(rows))
    tail = tokenizer.lengths.specials - tokenizer.leading
    cut = whole.cropped(np.full(len(rows), limit), np.full(len(rows), place), tail)
    assert cut.lengths.tolist() == np.minimum(whole.lengths, limit).tolist()
    for s in range(len(rows)):
        ours, all_of_it = (range(*batch.offsets[s : s + 2]) for batch in (cut, whole))
        first = tokenizer.leading + int(
            min(np.floor(place * (len(all_of_it) - len(ours) + 1)), len(all_of_it) - len(ours))
        )
        inner = len(ours) - tokenizer.leading - tail
        kept = [*all_of_it[: tokenizer.leading], *all_of_it[first : first + inner], *all_of_it[len(all_of_it) - tail :]]
        assert cut.ids[ours].tolist() == whole.ids[kept].tolist()
        assert cut.nucleotide[ours].tolist() == whole.nucleotide[kept].tolist()


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
        assert [token.upper().replace("T", "U") for token in tokens] == ["A", "C", "G", "U"]
    elif name != "bpe":
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
