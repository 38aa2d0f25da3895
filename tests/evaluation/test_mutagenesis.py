"""In-silico mutagenesis: each score is that of the variant alone, and table, heat map and logo hold the same."""

import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import likelihood_ratios
from pretrain.evaluation.mutagenesis import mutate_sequence, table
from pretrain.evaluation.variant_effects import Substitution, variant_scores
from pretrain.reporting.mutagenesis import picture_of_mutagenesis
from pretrain.reporting.picture import file_stems
from tests.evaluation.support import in_process, tiny

SEQUENCE = "GAUUACAGGCUUACGGCAUCG"


@pytest.mark.parametrize(("name", "window"), [("ernie_rna", None), ("ernie_rna", 12), ("dnabert_3mer", 14)])
def test_every_score_is_that_of_the_variant_alone(name, window):
    model = tiny(name)
    found = mutate_sequence(model, "one", SEQUENCE, window)
    assert found.letters == "ACGU"
    text = SEQUENCE.replace("U", "T")
    for pos0 in (0, 4, 11, len(text) - 1):
        for column, alt in enumerate("ACGT"):
            if alt == text[pos0]:
                assert found.scores[pos0, column] == 0
                continue
            change = [Substitution(pos0, text[pos0], alt)]
            (expected,) = variant_scores(model, text.encode(), change, window or 62)
            assert found.scores[pos0, column] == pytest.approx(expected, abs=1e-4)
    assert np.abs(found.scores).max() > 0.1


def test_a_causal_model_scores_whole_windows():
    model, text = tiny("hyenadna_tiny_1k"), "GATTACAGGCTTACGG"
    found = mutate_sequence(model, "one", text, 10)
    assert found.letters == "ACGT"
    (expected,) = likelihood_ratios(model, text.encode(), [Substitution(6, "A", "C")], 10)
    assert found.scores[6, 1] == pytest.approx(expected, abs=1e-4)


def test_other_letters_have_no_scores():
    found = mutate_sequence(tiny("ernie_rna"), "one", "ACGNNACGU")
    assert np.isnan(found.scores[3:5]).all()
    assert np.isfinite(found.scores[[0, 1, 2, 5, 6, 7, 8]]).all()
    with pytest.raises(PolymeraseError, match="short: 3 nt, the model reads 6 or more"):
        mutate_sequence(tiny("dnabert_6mer"), "short", "ACG")


def test_the_picture_holds_the_table_a_letter_per_nucleotide_and_the_same_bytes_each_time():
    found = mutate_sequence(tiny("ernie_rna"), "one", SEQUENCE)
    picture, again = picture_of_mutagenesis(found), picture_of_mutagenesis(found)
    assert picture == again
    assert picture.numbers == table([found])
    root = ET.fromstring(picture.svg)
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("·") == len(SEQUENCE)
    drawn = [node for node in root.iter("{http://www.w3.org/2000/svg}g") if node.get("id", "").startswith("patch")]
    assert len(drawn) >= int((found.saliency > 0).sum())


def test_the_command_writes_a_table_and_pictures_per_record(tiny_run, tmp_path):
    fasta = tmp_path / "my.fa"
    fasta.write_text(f">../a b\n{SEQUENCE}\n>c\nACGUACGUAC\n>c\nGGGGCCCC\n")
    status, out, err = in_process("evaluate.py", tiny_run, "--mutate", fasta, "--out", tmp_path / "found")
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "found/scores.tsv").open(), delimiter="\t"))
    assert len(rows) == 3 * (len(SEQUENCE) + 10 + 8)
    assert (rows[0]["record"], rows[0]["pos"], rows[0]["ref"], rows[0]["alt"]) == ("../a", "1", "G", "A")
    names = {path.name for path in (tmp_path / "found").iterdir()}
    assert names == {
        "index.html",
        "scores.tsv",
        *(f"{stem}.{end}" for stem in ("_a", "c", "c-2") for end in ("png", "svg", "tsv")),
    }
    assert "wrote" in out


def test_names_of_records_become_names_of_files():
    assert file_stems(["../../etc/passwd", "a|b", "a_b", "", "é"]) == ["_.._etc_passwd", "a_b", "a_b-2", "record", "_"]
