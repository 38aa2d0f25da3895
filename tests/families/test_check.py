"""``python -m pretrain.families --check`` measures, and notices what is wrong."""

import re
import shutil

import pytest
from safetensors.torch import load_file, save_file

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES
from pretrain.families.__main__ import main
from pretrain.families.check import measure, table


def test_check_prints_every_family_within_bounds(golden, capsys):
    assert main(["--check", "--golden", str(golden)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["family", *FAMILIES]


def test_the_table_of_the_readme_says_what_the_check_prints(root):
    text = (root / "README.md").read_text()
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")
    ]
    found = {row[0]: row for row in rows if row[0] in FAMILIES}
    assert list(found) == list(FAMILIES)
    for name, family in FAMILIES.items():
        _, tokens, parameters, difference, exported = found[name]
        assert (tokens, parameters) == (str(family.settings.vocab_size), f"{family.parameters:,}")
        assert exported.split()[0] == family.hugging_face.masked_lm_class
        # Evo's goldens are float32 of larger logits: an exact sum in float64 differs from them by 5.9e-5, too
        assert float(difference) < (1e-4 if name.startswith("evo1") else 5e-5)


def test_the_readme_links_the_paper_of_every_family(root):
    linked = set(re.findall(r"\(https://doi\.org/([^)]+)\)", (root / "README.md").read_text()))
    assert linked == {family.paper.doi for family in FAMILIES.values() if family.paper is not None}


def test_check_fails_on_another_output(golden, tmp_path):
    shutil.copytree(golden, tmp_path / "golden")
    weights = tmp_path / "golden" / "ernie_rna" / "weights.safetensors"
    tensors = load_file(weights)
    tensors["encoder.layer_norm.bias"] += 0.01
    save_file(tensors, weights)
    measured = measure(FAMILIES["ernie_rna"], tmp_path / "golden")
    assert measured.difference > measured.tolerance


def test_missing_goldens_are_one_clear_line(tmp_path):
    with pytest.raises(PolymeraseError, match="no golden files here"):
        table(tmp_path / "nowhere")
