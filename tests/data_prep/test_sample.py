"""The embedded corpus: reproducible, quick, and with structure to learn that single letters do not tell."""

import filecmp
import math

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.sample import TYPES
from data_prep.sample.types import CORE

ALLOWED = {"GC", "CG", "AU", "UA", "GU", "UG"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "c"
    assert main(["sample", "--out", str(out), "--sequences", "1500"]) == 0
    return open_corpus(out)


def partners(structure):
    """Index of the partner of each paired position."""
    pairs, open_positions = {}, []
    for at, symbol in enumerate(structure):
        if symbol == "(":
            open_positions.append(at)
        elif symbol == ")":
            pairs[at] = open_positions.pop()
            pairs[pairs[at]] = at
    assert not open_positions
    return pairs


def rows(corpus):
    table = corpus.split("train")
    everything = np.arange(len(table))
    sequences = [row.decode() for row in table.gather(everything).rows()]
    structures = [row.decode() for row in table.gather_text("structure", everything).rows()]
    return list(zip(table.rna_type(everything), sequences, structures, strict=True))


def entropy(counts):
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values())


def test_same_seed_same_bytes_another_seed_another_corpus(tmp_path):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert main(["sample", "--out", str(tmp_path / out), "--sequences", "200", "--seed", str(seed)]) == 0
    files = [str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)[0] == files
    assert open_corpus(tmp_path / "a").fingerprint != open_corpus(tmp_path / "c").fingerprint


def test_planted_structures_pair_allowed_letters(sample):
    for _, sequence, structure in rows(sample):
        assert len(sequence) == len(structure)
        assert all(sequence[a] + sequence[b] in ALLOWED for a, b in partners(structure).items())


def test_partners_tell_what_single_letters_do_not(sample):
    single, joint, paired, total = {}, {}, 0, 0
    for _, sequence, structure in rows(sample):
        for letter in sequence:
            single[letter] = single.get(letter, 0) + 1
        for a, b in partners(structure).items():
            joint[sequence[a], sequence[b]] = joint.get((sequence[a], sequence[b]), 0) + 1
        paired += len(partners(structure))
        total += len(sequence)
    assert paired / total > 0.55
    assert entropy(single) > 1.37  # a unigram model is close to ln 4 = 1.386
    given = {}
    for (_, partner), count in joint.items():
        given[partner] = given.get(partner, 0) + count
    assert entropy(joint) - entropy(given) < 0.4  # nats left when the partner is known


def test_partners_lie_far_apart_at_mirrored_places(sample):
    distances, mirrored = [], []
    for kind, _, structure in rows(sample):
        found = [(a, b) for a, b in partners(structure).items() if a < b]
        distances += [b - a for a, b in found]
        mirrored += [a + b == CORE - 1 for a, b in found if kind != "riboswitch"]
    assert all(mirrored)
    assert min(distances) >= 8
    assert np.median(distances) > 40
    assert np.mean(np.array(distances) > 16) > 0.9  # farther than the highest order of the chains it is compared with


def test_no_molecule_is_a_relative_of_another_one(sample):
    word = 16  # letters; no motif is longer than six
    owners = {}
    for number, (_, sequence, _) in enumerate(rows(sample)):
        for at in range(len(sequence) - word + 1):
            owners.setdefault(sequence[at : at + word], set()).add(number)
    assert sum(len(found) > 1 for found in owners.values()) <= 5  # chance: 10^5 words of 4^16, some with a motif


def test_there_are_several_types_and_some_unknown_letters(sample):
    records = rows(sample)
    assert {kind for kind, _, _ in records} == set(TYPES)
    share = sum("N" in sequence for _, sequence, _ in records) / len(records)
    assert 0.01 < share < 0.06
    lengths = np.array([len(sequence) for _, sequence, _ in records])
    assert lengths.min() >= CORE
    assert lengths.max() <= 100
    assert len({sequence for _, sequence, _ in records}) == len(records)


def test_a_population_is_a_corpus_of_allele_frequencies_with_more_variants_at_cpg(tmp_path):
    words = ["sample", "--kind", "allele-frequencies", "--bases", "20000"]
    for out in ("a", "b"):
        assert main([*words, "--out", str(tmp_path / out)]) == 0
    corpus, again = open_corpus(tmp_path / "a"), open_corpus(tmp_path / "b")
    assert (corpus.kind, corpus.fingerprint) == ("allele_frequencies", again.fingerprint)
    starts = np.arange(0, corpus.split("train").window_count(100), 100)
    codes, row, column, frequencies = corpus.split("train").gather(starts, 100)
    assert frequencies.sum(axis=1) == pytest.approx(np.ones(len(row)))
    cpg = (codes[:, :-1] == 1) & (codes[:, 1:] == 2)
    at_cpg = np.zeros(codes.shape, bool)
    at_cpg[:, :-1] |= cpg
    at_cpg[:, 1:] |= cpg
    variants = np.zeros(codes.shape, bool)
    variants[row, column] = True
    assert variants[at_cpg].mean() > 3 * variants[~at_cpg].mean() > 0


def test_too_small_a_sample_is_refused(tmp_path, capsys):
    assert main(["sample", "--kind", "allele-frequencies", "--bases", "100", "--out", str(tmp_path / "c")]) == 2
    assert "error: --bases must be 20000 or more, got 100" in capsys.readouterr().err
    assert main(["sample", "--sequences", "0", "--out", str(tmp_path / "c")]) == 2
    assert list(tmp_path.iterdir()) == []
