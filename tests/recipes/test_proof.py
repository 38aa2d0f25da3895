"""The proof script runs from a seed file to its table, here on made-up families (docs/proof.md has the real ones)."""

import os
import random
import subprocess
import sys

from tests.hang import HANG_S

TINY = ("model.hidden_size=16", "model.intermediate_size=16", "model.num_hidden_layers=2", "batch.tokens=512")


def seed_alignments(root) -> str:
    """Stockholm text: twelve made-up RNAs for each family that the laptop tier names."""
    names = [line.split()[0] for line in (root / "configs/proof/large_families.txt").read_text().splitlines()]
    generator, parts = random.Random(0), []
    for name in names:
        if name.startswith("#"):
            continue
        accession, word = name.split("|")
        rows = [f"{accession}_{n}/1-60 {''.join(generator.choices('ACGU', k=60))}" for n in range(12)]
        parts.append("\n".join(["# STOCKHOLM 1.0", f"#=GF AC   {accession}", f"#=GF ID   {word}", *rows, "//"]))
    return "\n".join(parts) + "\n"


def test_the_laptop_tier_goes_from_a_seed_file_to_a_table(root, tmp_path):
    (tmp_path / "seeds.sto").write_text(seed_alignments(root))
    environment = os.environ | {"OUT": str(tmp_path), "DATA": str(tmp_path / "none"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"
    settings = (*TINY, "train.steps=4", "train.save_every=4", "train.eval_every=4", "engine.precision=fp32")
    done = subprocess.run(
        ["bash", "launch/proof.sh", "laptop", tmp_path / "seeds.sto", *settings],
        cwd=root, env=environment, capture_output=True, text=True, timeout=HANG_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    table = done.stdout[done.stdout.index("| held-out |") :]
    assert "sequences held out at random" in table
    assert "sequences of families it has not seen" in table
    assert "worse" in table or "no different" in table  # four steps teach nothing, and the table says so
    assert (tmp_path / "runs/proof-laptop/report.html").is_file()


def test_a_tier_that_does_not_exist_is_answered_with_how_to_call(root):
    done = subprocess.run(
        ["bash", "launch/proof.sh", "phone"], cwd=root, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 2
    assert "bash launch/proof.sh laptop" in done.stderr
