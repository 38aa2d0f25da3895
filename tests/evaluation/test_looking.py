"""Attention, base pairs and embeddings as pictures: each holds the numbers that the model has."""

import csv
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pretrain.errors import PolymeraseError
from pretrain.evaluation import projection
from pretrain.evaluation.attention_maps import attention_map, table
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.evaluation.projection import project
from pretrain.families.published import published_model
from pretrain.reporting.maps import picture_of_attention, picture_of_pairs
from pretrain.reporting.scatter import picture_of_projection
from tests.evaluation.support import error_line, in_process, tiny

SEQUENCE = "GAUUACAGGCUUACGGCAUCG"
VALUES = np.random.default_rng(1).normal(size=(40, 6)) * [9, 4, 1, 1, 1, 1]


def with_alibi(model: TrainedModel) -> TrainedModel:
    settings = replace(model.settings, position_embedding_type="alibi")
    return replace(model, settings=settings, network=published_model(settings).eval())


@pytest.mark.parametrize("layer", [0, -1])
@pytest.mark.parametrize("name", ["ernie_rna", "rnaernie", "rinalmo_nano", "alibi", "dnabert_3mer"])
def test_the_weights_are_those_that_the_model_mixes_values_with(name, layer):
    """Weights x values through the output projection is what the layer itself gave."""
    model = with_alibi(tiny("rnaernie")) if name == "alibi" else tiny(name)
    found = attention_map(model, "one", SEQUENCE, layer)
    block = model.network.encoder.layers[layer].attention
    seen = []
    handle = block.register_forward_hook(lambda _, given, result: seen.append((given[0], result[0][0])))
    ids = model.tokenizer.encode_text(SEQUENCE)
    with torch.no_grad():
        model.network.encoder(pack(model, ids, [len(ids)]))
        handle.remove()
        x, output = seen[0]
        values = block.value(x).view(len(x), block.settings.num_attention_heads, -1)
        mixed = torch.einsum("hqk,khd->qhd", torch.from_numpy(found.weights), values).reshape(x.shape)
        torch.testing.assert_close(block.output(mixed), output, atol=1e-5, rtol=1e-4)
    assert len(found.tokens) == len(ids)


def test_a_model_without_attention_a_missing_layer_and_a_long_sequence_are_one_line_each():
    with pytest.raises(PolymeraseError, match="have no attention"):
        attention_map(tiny("hyenadna_tiny_1k"), "one", "ACGTACGT")
    with pytest.raises(PolymeraseError, match="expected a layer from 0 to 1, got 2"):
        attention_map(tiny("ernie_rna"), "one", SEQUENCE, 2)
    with pytest.raises(PolymeraseError, match="long: 90 nt, the model holds 62"):
        attention_map(tiny("ernie_rna"), "long", "A" * 90)


def test_the_table_of_an_attention_map_holds_every_weight():
    found = attention_map(tiny("ernie_rna"), "one", "GAUUACA")
    rows = list(csv.DictReader(table(found).splitlines(), delimiter="\t"))
    assert len(rows) == len(found.tokens) ** 2
    back = np.array([[float(row[f"head_{head}"]) for row in rows] for head in range(4)]).reshape(found.weights.shape)
    np.testing.assert_allclose(back, found.weights, rtol=1e-4)
    assert picture_of_attention(found).numbers == table(found)


def test_known_and_predicted_pairs_stand_on_either_side_of_the_diagonal():
    picture = picture_of_pairs("one", "GGGAAACCC", {(0, 8), (1, 7)}, {(1, 7), (2, 6)})
    rows = list(csv.DictReader(picture.numbers.splitlines(), delimiter="\t"))
    assert [(row["pos_1"], row["pos_2"], row["known"], row["predicted"]) for row in rows] == [
        ("1", "9", "1", "0"), ("2", "8", "1", "1"), ("3", "7", "0", "1"),
    ]  # fmt: skip
    ET.fromstring(picture.svg)
    assert picture_of_pairs("none", "GGG", set(), set()).numbers.count("\n") == 1


def test_principal_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    found, expected = project(VALUES), PCA(2, svd_solver="full").fit(VALUES)
    points = expected.transform(VALUES)
    np.testing.assert_allclose(np.abs(found.points), np.abs(points), atol=1e-8)
    assert found.axes[0] == f"component 1 ({expected.explained_variance_ratio_[0]:.1%})"


def test_umap_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setattr(projection, "find_spec", lambda _: None)
    with pytest.raises(PolymeraseError, match="--map umap needs the package umap-learn; pip install umap-learn"):
        project(VALUES, "umap")


def test_umap_keeps_groups_apart_and_gives_the_same_points_again():
    pytest.importorskip("umap", reason="umap-learn is not installed (pip install umap-learn)")
    values = np.random.default_rng(1).normal(size=(60, 8))
    values[30:] += 20
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of options that umap changes by itself
        found, again = project(values, "umap"), project(values, "umap")
    np.testing.assert_array_equal(found.points, again.points)
    one, other = found.points[:30], found.points[30:]
    reach = max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in (one, other))
    assert np.linalg.norm(one.mean(0) - other.mean(0)) > 3 * reach
    assert found.axes == ("UMAP 1", "UMAP 2")


def test_umap_draws_four_records_and_says_that_three_are_too_few(tiny_run, tmp_path: Path):
    pytest.importorskip("umap", reason="umap-learn is not installed (pip install umap-learn)")
    fasta = tmp_path / "my.fa"
    fasta.write_text("".join(f">r{n} kind{n % 2}\n{SEQUENCE[n:]}\n" for n in range(4)))
    words = ["--embed", fasta, "--out", tmp_path / "e.npz", "--map", "umap", "--label", "2"]
    status, _, err = in_process("evaluate.py", tiny_run, *words)
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "e-umap.tsv").read_text().splitlines(), delimiter="\t"))
    assert [(row["id"], row["label"]) for row in rows] == [(f"r{n}", f"kind{n % 2}") for n in range(4)]
    assert np.isfinite([[float(row["umap_1"]), float(row["umap_2"])] for row in rows]).all()
    status, _, err = in_process("evaluate.py", tiny_run, *words, "--sequences", "3")
    assert status == 2
    assert "--map umap needs 4 or more embeddings, got 3" in err


def test_rare_labels_are_drawn_as_others_and_keep_their_name_in_the_table():
    labels = [f"label{n % 18}" for n in range(40)]
    picture = picture_of_projection(project(VALUES), [f"r{n}" for n in range(40)], labels)
    rows = list(csv.DictReader(picture.numbers.splitlines(), delimiter="\t"))
    assert [row["label"] for row in rows] == labels
    texts = ["".join(node.itertext()) for node in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("others (") for text in texts)


def test_the_command_writes_pictures_their_numbers_and_a_page(tiny_run, tmp_path: Path):
    fasta, pairs = tmp_path / "my.fa", tmp_path / "known.dbn"
    fasta.write_text("".join(f">r{n} kind{n % 2}\n{SEQUENCE[n:]}\n" for n in range(4)))
    pairs.write_text(">a\nGGGAAACCC\n(((...)))\n")
    status, out, err = in_process(
        "evaluate.py", tiny_run, "--attention", fasta, "--sequences", "2", "--out", tmp_path / "a"
    )
    assert (status, "2 sequences" in out) == (0, True), err
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "index.html", *(f"r{n}.{kind}" for n in (0, 1) for kind in ("png", "svg", "tsv")),
    }  # fmt: skip
    status, _, err = in_process("evaluate.py", tiny_run, "--pairs", pairs, "--out", tmp_path / "p")
    assert status == 0, err
    assert (tmp_path / "p/a.tsv").read_text().startswith("pos_1\tpos_2\tletters\tknown\tpredicted\n")
    words = ["--embed", fasta, "--out", tmp_path / "e.npz", "--map", "pca", "--label", "2"]
    status, _, err = in_process("evaluate.py", tiny_run, *words)
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "e-pca.tsv").read_text().splitlines(), delimiter="\t"))
    assert [(row["id"], row["label"]) for row in rows] == [(f"r{n}", f"kind{n % 2}") for n in range(4)]
    status, _, err = in_process("evaluate.py", tiny_run, "--embed", fasta, "--out", tmp_path / "e.npz", "--label", "2")
    assert status == 2
    assert "--label has no effect without --map" in err


def test_letters_that_are_none_are_counted_and_proteins_refused(tiny_run, tmp_path: Path):
    (tmp_path / "gaps.fa").write_text(">a\nACGU-ACGU\n>b\nACGUNNACGU\n>c\nACGU\n")
    (tmp_path / "protein.fa").write_text(">p\nMKVLWAALLVTFLAGCQA\n")
    for option in ("--mutate", "--attention"):
        status, out, err = in_process("evaluate.py", tiny_run, option, tmp_path / "gaps.fa", "--out", tmp_path / option)
        assert status == 0, err
        assert out.splitlines()[-1].startswith("other letters: 3 in 2 sequences are not A, C, G, U or T")
        line = error_line("evaluate.py", tiny_run, option, tmp_path / "protein.fa", "--out", tmp_path / "p")
        assert "protein.fa: 11 of 18 letters are not nucleotides" in line


def test_records_of_one_id_and_different_labels_are_refused_before_the_work(tiny_run, tmp_path: Path):
    """A point of the one would have the color of the other."""
    (tmp_path / "twice.fa").write_text(">a x\nACGU\n>b y\nGGGG\n>a y\nCCCC\n>b y\nGGGA\n")
    words = ["--embed", tmp_path / "twice.fa", "--out", tmp_path / "e.npz", "--map", "pca", "--label", "2"]
    line = error_line("evaluate.py", tiny_run, *words)
    assert "records of the id a have the labels x and y; give each record an id of its own" in line
    assert not (tmp_path / "e.npz").exists()
