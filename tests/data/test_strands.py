"""Samples read on the other strand, with everything that belongs to their nucleotides."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.corpus import Ragged
from pretrain.data.raw_batch import RawBatch, Variants
from pretrain.data.strands import reverse_complemented

PARTNERS = {"dna": dict(zip("ACGTN", "TGCAN", strict=True)), "rna": dict(zip("ACGUN", "UGCAN", strict=True))}
BACKWARDS = str.maketrans("()[]{}<>Aa", ")(][}{><aA")


def batch(sequences, structures=None, variants=()):
    count = len(sequences)
    row, column, freq = zip(*variants, strict=True) if variants else ((), (), ())
    return RawBatch(
        Ragged.from_rows(sequence.encode() for sequence in sequences),
        Ragged.from_rows(text.encode() for text in structures or [""] * count),
        np.full(count, -1.5, np.float32),
        [None] * count,
        Variants(np.array(row, np.int64), np.array(column, np.int64), np.array(freq, np.float32).reshape(-1, 4)),
        np.zeros(count, bool),
        np.arange(sum(map(len, sequences)), dtype=np.float32),
    )


def texts(ragged):
    return [row.decode() for row in ragged.rows()]


@given(data=st.data(), alphabet=st.sampled_from(["dna", "rna"]))
@settings(max_examples=60, deadline=None)
def test_letters_structures_weights_and_variants_are_turned_along(data, alphabet):
    letters = "".join(PARTNERS[alphabet])
    sequences = data.draw(st.lists(st.text(letters, max_size=9), min_size=1, max_size=5))
    turned = np.array(data.draw(st.lists(st.booleans(), min_size=len(sequences), max_size=len(sequences))))
    structures = [
        data.draw(st.sampled_from(["", "".join("(.)[]<>Aa{}"[: len(text)]).ljust(len(text), ".")]))
        for text in sequences
    ]
    places = [(row, column) for row, text in enumerate(sequences) for column in range(len(text))]
    chosen = sorted(data.draw(st.sets(st.sampled_from(places), max_size=4))) if places else []
    variants = [(row, column, [0.1 * column, 0.2, 0.3, 0.4]) for row, column in chosen]
    raw = batch(sequences, structures, variants)
    there = reverse_complemented(raw, turned, alphabet)
    weights = np.split(raw.weights, raw.sequences.offsets[1:-1])
    for row, text in enumerate(sequences):
        kept, folds, own = text, structures[row], weights[row]
        if turned[row]:
            kept = "".join(PARTNERS[alphabet][letter] for letter in reversed(text))
            folds, own = folds[::-1].translate(BACKWARDS), own[::-1]
        assert texts(there.sequences)[row] == kept
        assert texts(there.structure)[row] == folds
        assert np.split(there.weights, there.sequences.offsets[1:-1])[row].tolist() == own.tolist()
        assert np.isnan(there.mfe_kcal_per_mol[row]) == turned[row]  # another molecule
    expected = sorted(
        (row, len(sequences[row]) - 1 - column, freq[::-1]) if turned[row] else (row, column, freq)
        for row, column, freq in variants
    )
    found = zip(there.variants.row.tolist(), there.variants.column.tolist(), there.variants.freq, strict=True)
    for (row, column, freq), (want_row, want_column, want) in zip(found, expected, strict=True):
        assert (row, column) == (want_row, want_column)
        np.testing.assert_allclose(freq, want, rtol=1e-6)


def test_brackets_close_again_on_the_other_strand():
    there = reverse_complemented(batch(["GGCAAGCC"], ["((A..a))"]), np.array([True]), "rna")
    assert (texts(there.sequences), texts(there.structure)) == (["GGCUUGCC"], ["((A..a))"])


@pytest.mark.parametrize("name", ["gpn", "hyenadna_windows"])
def test_case_and_ambiguity_codes_follow_the_original_code(golden, name):
    cases = json.loads((golden / "tokenizers" / f"{name}.json").read_text())["reverse_complement"]
    if name == "hyenadna_windows":  # which leaves ambiguity codes as they are
        cases = [case for case in cases if not set(case["in"].upper()) - set("ACGTN")]
    assert cases
    for case in cases:
        there = reverse_complemented(batch([case["in"]]), np.array([True]), "dna")
        assert texts(there.sequences) == [case["out"]]
