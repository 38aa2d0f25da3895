"""Allele frequencies equal the goldens bit for bit: the definition, and the published preparation."""

import hashlib

import numpy as np
import pytest

from tests.data_prep.variants_support import build, dense_contig, dense_windows, filters

ACGT = slice(5, 9)  # columns of the goldens are token ids
SEP = 2
# The golden README: upstream did not compare REF with the genome, and did not fall back on AC/AN.
DIFFERENT_ON_PURPOSE = {("chr1", 1710), ("chr1", 1700)}


@pytest.fixture(scope="module")
def synthetic(golden):
    folder = golden / "mutbert" / "synthetic"
    return folder, np.load(folder / "expected.npz")


def build_synthetic(folder, out, *options):
    return build(folder / "ref.fa", folder / "variants.vcf", out, "--validation-contigs", "chr22", *options)


@pytest.mark.parametrize(("split", "ours"), [("train", "train"), ("test", "validation")])
def test_windows_equal_the_defined_rows_and_starts(synthetic, tmp_path, split, ours):
    folder, expected = synthetic
    table = build_synthetic(folder, tmp_path / "out").split(ours)
    starts = expected[f"defined.{split}.start_indices"]
    assert table.window_count(510) == len(starts)
    windows = dense_windows(table.gather(np.arange(len(starts)), 510))
    data = expected[f"defined.{split}.data"]
    assert not data[:, :5][data[:, ACGT].any(axis=1)].any()
    np.testing.assert_array_equal(windows, np.stack([data[start : start + 510, ACGT] for start in starts]))


def test_every_base_equals_the_defined_rows(synthetic, tmp_path):
    folder, expected = synthetic
    corpus = build_synthetic(folder, tmp_path / "out")
    assert filters(corpus)["allele"]["kept"] == 32
    for name, start, rows in parts(expected, "defined"):
        np.testing.assert_array_equal(dense_contig(corpus, name)[start : start + len(rows)], rows)


def test_multiallelic_drop_equals_the_published_preparation(synthetic, tmp_path):
    folder, expected = synthetic
    corpus = build_synthetic(folder, tmp_path / "out", "--multiallelic", "drop")
    differing = set()
    for name, start, rows in parts(expected, "upstream"):
        ours = dense_contig(corpus, name)[start : start + len(rows)]
        differing |= {(name, start + at) for at in np.flatnonzero((ours != rows).any(axis=1)).tolist()}
    assert differing == DIFFERENT_ON_PURPOSE


def parts(expected, mode):
    """(contig, start, rows (bases, 4)) of every stretch in the golden."""
    names = ["chr1", "chr2", "chr22"]
    data = {0: expected[f"{mode}.train.data"], 1: expected[f"{mode}.train.data"], 2: expected[f"{mode}.test.data"]}
    ranges = [*expected[f"{mode}.train.ranges"].tolist(), *expected[f"{mode}.test.ranges"].tolist()]
    for (contig, start, end), (first, last) in zip(expected[f"{mode}.parts"].tolist(), ranges, strict=True):
        assert end - start == last - first
        yield names[contig], start, data[contig][first:last, ACGT]


@pytest.fixture(scope="module")
def real(shared):
    return shared / "data" / "variants", np.load(shared / "golden" / "mutbert" / "real_expected.npz")


def sha256_of_dense(rows):
    """Checksum of the float32 (bases + 1, 9) matrix of the golden README: the last row is [SEP]."""
    matrix = np.zeros((len(rows) + 1, 9), np.float32)
    matrix[:-1, ACGT] = rows
    matrix[-1, SEP] = 1
    return hashlib.sha256(matrix.tobytes()).hexdigest()


def test_real_slice_equals_the_definition(real, tmp_path):
    data, expected = real
    corpus = build(data / "chr20a.fa", data / "chr20a.vcf.gz", tmp_path / "out", "--validation", 0)
    assert filters(corpus)["allele"] == {"kept": 1718, "rare": 11934, "indel": 472, "symbolic": 12}
    assert corpus.manifest["contigs"][0]["variants"] == 1715
    dense = dense_contig(corpus, "chr20a")
    # Two common SNVs are written with a longer REF (TG -> GG,T), which the golden tables leave out.
    reference = {19131: "T", 173750: "C"}
    np.testing.assert_allclose(dense[19131], [0, 0, 0.0291534, 1 - 0.0291534], atol=1e-7)
    np.testing.assert_allclose(dense[173750], [0.158946, 1 - 0.158946, 0, 0], atol=1e-7)
    table, starts = corpus.split("train"), expected["window_starts"]
    assert table.window_count(510) == expected["n_starts_defined"]
    without = np.all([(starts > pos0) | (starts + 510 <= pos0) for pos0 in reference], axis=0)
    assert without.sum() > len(starts) / 2
    windows = dense_windows(table.gather(starts[without], 510))
    np.testing.assert_array_equal(windows, expected["defined_windows"][without])
    for pos0, letter in reference.items():
        dense[pos0] = np.eye(4)["ACGT".index(letter)]
    np.testing.assert_array_equal(dense[expected["defined_pos0"]], expected["defined_rows"])
    assert sha256_of_dense(dense) == "f1a6c486e9fad2dc6eaeee425dfb4baf5470509f73c9b2462882b8656c16d34b"


def test_real_slice_with_multiallelic_drop_equals_upstream(real, tmp_path):
    data, expected = real
    options = ("--validation", 0, "--multiallelic", "drop")
    corpus = build(data / "chr20a.fa", data / "chr20a.vcf.gz", tmp_path / "out", *options)
    assert corpus.manifest["contigs"][0]["variants"] == 1702
    dense = dense_contig(corpus, "chr20a")
    np.testing.assert_array_equal(dense[expected["upstream_pos0"]], expected["upstream_rows"])
    # Upstream lost the last base of the contig.
    assert sha256_of_dense(dense[:-1]) == "fb3d632abc1dda2f49454e7b2431e6143da726dfa2707fb40d286e903f8b106e"
