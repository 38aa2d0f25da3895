"""The proof script runs from a seed file to its table, here on made-up families (docs/proof.md has the real ones)."""

import os
import random
import subprocess
import sys

import pytest

from pretrain.config import load_config
from tests.hang import HANG_S

TINY = ("model.hidden_size=16", "model.intermediate_size=16", "model.num_hidden_layers=2", "batch.tokens=512")


def seed_alignments(names: list[str], count: int = 12) -> str:
    """Stockholm text: made-up RNAs for each family."""
    generator, parts = random.Random(0), []
    for name in names:
        accession, word = name.split("|")
        rows = [f"{accession}_{n}/1-60 {''.join(generator.choices('ACGU', k=60))}" for n in range(count)]
        parts.append("\n".join(["# STOCKHOLM 1.0", f"#=GF AC   {accession}", f"#=GF ID   {word}", *rows, "//"]))
    return "\n".join(parts) + "\n"


def run_tier(root, folder, tier, *settings, **environment) -> str:
    """What the script prints, from ``folder/seeds.sto`` to runs in ``folder``."""
    environment = os.environ | {"OUT": str(folder), "DATA": str(folder / "none"), "OMP_NUM_THREADS": "1"} | environment
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "launch/proof.sh", tier, folder / "seeds.sto", *settings],
        cwd=root, env=environment, capture_output=True, text=True, timeout=HANG_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_laptop_tier_goes_from_a_seed_file_to_a_table(root, tmp_path):
    named = (root / "configs/proof/large_families.txt").read_text().splitlines()
    names = [line.split()[0] for line in named if not line.startswith("#")]
    (tmp_path / "seeds.sto").write_text(seed_alignments(names))
    settings = (*TINY, "train.steps=4", "train.save_every=4", "train.eval_every=4", "engine.precision=fp32")
    shown = run_tier(root, tmp_path, "laptop", *settings)
    table = shown[shown.index("| held-out |") :]
    assert "sequences held out at random" in table
    assert "sequences of families it has not seen" in table
    assert "worse" in table or "no different" in table  # four steps teach nothing, and the table says so
    assert (tmp_path / "runs/proof-laptop/report.html").is_file()


@pytest.mark.slow
def test_the_muon_tier_goes_from_a_seed_file_to_its_tables(root, tmp_path):
    (tmp_path / "seeds.sto").write_text(seed_alignments(["RF00005|tRNA"], 40))
    settings = ("train.steps=2", "train.save_every=2", "train.eval_every=2")
    shown = run_tier(root, tmp_path, "muon", *settings, SIZES="1x16", RATES="0.003", SEEDS="1 2")
    tried, compared = shown[shown.index("| size |") :].strip().split("\n\n")
    assert [row.split(" | ")[:2] for row in tried.splitlines()[2:]] == [["| 1x16", "adamw"], ["| 1x16", "muon"]]
    assert compared.splitlines()[0] == "| size | adamw | muon | difference | seeds |"
    assert " at 0.003 | " in compared.splitlines()[2]
    assert compared.endswith(" | 2 |")
    configs = [load_config(path) for path in sorted((tmp_path / "runs/muon").glob("*/config.yaml"))]
    assert [(one.optimizer.name, one.run.seed) for one in configs] == [
        (name, seed) for name in ("adamw", "muon") for seed in (0, 1, 2)
    ]


def test_a_tier_that_does_not_exist_is_answered_with_how_to_call(root):
    done = subprocess.run(
        ["bash", "launch/proof.sh", "phone"], cwd=root, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 2
    assert "bash launch/proof.sh laptop" in done.stderr
