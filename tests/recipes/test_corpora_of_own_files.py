"""Recipes of corpora that are not public: from a file of one's own to a corpus that the family's config trains on."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from data_prep.__main__ import main as data_prep
from pretrain.config import load_config
from pretrain.config.yaml_file import CONFIG_FOLDER
from pretrain.training.components import build_components

CORPORA = CONFIG_FOLDER / "corpora"
CONTIG = 300_000


def letters(count: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), count))


def fasta(path: Path, records: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f">r{i}\n{text}\n" for i, text in enumerate(records)).encode()))


def helm() -> None:
    codons = ["GCT", "AAA", "CGT", "GAT", "TTC", "CTG"]
    draw = np.random.default_rng(0)
    fasta(Path("raw/helm/coding.fa.gz"), ["ATG" + "".join(draw.choice(codons, 40)) + "TAA" for _ in range(400)])


def gpn_promoter() -> None:
    genome = letters(CONTIG, 1)
    fasta(Path("raw/gpn_promoter/genome.fna.gz"), [genome[:9000] + genome[9000:10000].lower() + genome[10000:]] * 2)
    rows = [
        f"r{contig}\tx\t{kind}\t{at}\t{at + 800}\t.\t+\t.\tID={kind}{at}-{contig}"
        for contig in range(2) for at in range(3000, CONTIG - 3000, 4000) for kind in ("mRNA", "exon")
    ]  # fmt: skip
    Path("raw/gpn_promoter/genome.gff.gz").write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))


def evo1() -> None:
    for name in ("a", "b"):
        fasta(Path(f"raw/evo1/{name}.fna.gz"), [letters(20_000, 2).lower(), letters(9_000, 3)])


CASES = {
    "helm_mlm": (helm, []),
    "helm_clm": (helm, []),
    "gpn_promoter": (gpn_promoter, []),
    "evo1_8k": (evo1, ["model.attention_layers=[1]"]),
    "evo1_131k": (evo1, ["model.attention_layers=[1]"]),
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize("name", CASES)
def test_what_the_recipe_makes_is_what_the_config_reads(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, changes = CASES[name]
    make()
    whole = load_config(f"{name}.yaml")
    recipe = CORPORA / f"{Path(whole.corpus.path).name}.yaml"
    assert data_prep(["build", str(recipe)]) == 0
    sizes = [f"model.{key}={size}" for key, size in SMALL.items() if name != "gpn_promoter" or "heads" not in key]
    config = load_config(f"{name}.yaml", [*sizes, *changes])
    parts = build_components(config)
    for split in ("train", "validation"):
        assert sum(source.size for _, source in parts.sources(split)) > 0
        assert not any(count for _, source in parts.sources(split) for count in source.skipped.values())


@pytest.mark.parametrize("name", ["helm", "gpn_promoter", "evo1"])
def test_without_the_file_one_line_says_what_it_holds_and_nothing_is_made(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert data_prep(["build", str(CORPORA / f"{name}.yaml")]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert f"{name}.yaml: raw/{name}/" in line
    assert "does not exist, and nothing fetches it: " in line
    assert line.endswith("put yours there")
    assert list(tmp_path.iterdir()) == []
    assert data_prep(["build", str(CORPORA / f"{name}.yaml"), "--dry-run"]) == 0
    assert "put yours there" in capsys.readouterr().out
