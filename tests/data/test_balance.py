"""``corpus.balance: cluster``: one member of each cluster per epoch, a function of seed and epoch alone."""

import numpy as np
import pytest

from data_prep.__main__ import main as data_prep
from data_prep.corpus import open_corpus
from pretrain.data.balance import Clusters
from pretrain.data.stream import SampleStream
from pretrain.errors import PolymeraseError
from pretrain.training.components import build_components
from tests.training.corpora import build_plain, config, random_sequences

CODES = np.array([4, -1, 4, 0, 4, -1, 0, 2])  # clusters {0, 2, 4}, {3, 6}, {7} and two samples in none
GROUPS = [{0, 2, 4}, {3, 6}, {7}, {1}, {5}]


def epochs_of(stream: SampleStream, count: int) -> list[list[int]]:
    size = stream.sizes[0]
    return stream.at(np.arange(size * count)).index.reshape(count, size).tolist()


def test_an_epoch_has_one_member_of_each_cluster_and_every_sample_without_one():
    stream = SampleStream([len(CODES)], [1.0], 5, [Clusters(CODES, 9)])
    assert stream.sizes == (5,)
    for epoch in epochs_of(stream, 12):
        assert sorted(len(group & set(epoch)) for group in GROUPS) == [1] * 5


def test_each_member_is_read_once_before_any_is_read_again():
    epochs = epochs_of(SampleStream([len(CODES)], [1.0], 5, [Clusters(CODES, 9)]), 6)
    for first in (0, 3):
        assert {0, 2, 4} <= {sample for epoch in epochs[first : first + 3] for sample in epoch}


def test_any_position_alone_gives_what_all_together_give():
    """So a run is resumed by its position, whatever was read before."""
    positions, many = np.arange(200), np.random.default_rng(3).integers(-1, 20, 60)

    def fresh() -> SampleStream:
        return SampleStream([60, 8], [1.0, 2.0], 1, [Clusters(many, 4), None])

    together = fresh().at(positions)
    for row in (0, 17, 130, 199):
        alone = fresh().at(positions[row : row + 1])
        assert (alone.corpus[0], alone.epoch[0], alone.index[0]) == (
            together.corpus[row], together.epoch[row], together.index[row],
        )  # fmt: skip


def test_seeds_begin_with_other_members():
    many = np.repeat(np.arange(50), 10)
    firsts = [Clusters(many, seed).members(np.arange(50), 0) for seed in (1, 2)]
    assert (firsts[0] != firsts[1]).mean() > 0.7
    assert abs((firsts[0] % 10).mean() - 4.5) < 1.5


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Twelve families of four near-copies each, clustered by similarity."""
    folder, draw = tmp_path_factory.mktemp("clustered"), np.random.default_rng(8)
    rows = []
    for number, parent in enumerate(random_sequences(12, 120, 120, 4)):
        for copy in range(4):
            letters = list(parent.replace("N", "A"))
            letters[int(draw.integers(len(letters)))] = "ACGU"[copy]
            rows.append(f">f{number}-{copy}\n{''.join(letters)}\n")
    (folder / "rows.fa").write_text("".join(rows))
    assert data_prep(["fasta", str(folder / "rows.fa"), "--out", str(folder / "plain"), "--validation", "0"]) == 0
    split = ["split", str(folder / "plain"), "--by", "similarity", "--validation", "0.2", "--out", str(folder / "out")]
    assert data_prep(split) == 0
    return folder / "out"


def test_a_corpus_split_by_similarity_is_read_by_its_clusters(clustered, tmp_path):
    table = open_corpus(clustered).split("train")
    names = table.gather_text("cluster", np.arange(len(table))).rows()
    parts = build_components(config(tmp_path, clustered, corpus__balance="cluster", model__max_position_embeddings=128))
    builder = parts.batches("train")
    size = builder.stream.sizes[0]
    assert size == len(set(names)) < len(names)
    epoch = builder.stream.at(np.arange(size)).index
    assert sorted(names[row] for row in epoch) == sorted(set(names))
    assert f"{size:,} of {len(names):,} samples per epoch" in parts.samples(builder)[0]
    held_out = parts.batches("validation")
    assert held_out.stream.sizes[0] == len(open_corpus(clustered).split("validation")), "all of them are asked"


def test_without_clusters_the_key_has_no_effect_and_says_how_to_get_some(tmp_path):
    with pytest.raises(
        PolymeraseError, match=r"corpus\.balance has no effect: no corpus has the column cluster; python"
    ):
        build_components(config(tmp_path, build_plain(tmp_path), corpus__balance="cluster"))


def test_a_recipe_that_balances_where_it_can_says_where_it_cannot(clustered, tmp_path):
    balanced = config(tmp_path, clustered, corpus__balance="cluster_if_known", model__max_position_embeddings=128)
    parts = build_components(balanced)
    builder = parts.batches("train")
    assert builder.stream.clusters[0] is not None
    assert "not balanced" not in parts.samples(builder)[0]
    plain = build_components(config(tmp_path, build_plain(tmp_path), corpus__balance="cluster_if_known"))
    assert plain.samples(plain.batches("train"))[0].endswith(
        "not balanced: the corpus has no clusters (corpus.balance)"
    )
