"""The page on plug-ins: a package that brings a part of every kind is found by its entry points, and trains."""

import json
import os
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.reader import ROOT, Reader, blocks
from tests.hang import HANG_S


class Installed(Reader):
    """Commands find the package as pip would have left it: modules and the list of its entry points."""

    def run(self, words: list[str]) -> str:
        return self.in_own_process([sys.executable, *words[1:]])

    def _path(self) -> str:
        return f"{ROOT}{os.pathsep}{self.folder}"


def install(folder: Path, points: dict[str, dict[str, str]]) -> None:
    """What pip writes beside the modules of a package."""
    facts = folder / "methyl_rna-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: methyl-rna\nVersion: 1.0\n")
    lines = [
        line for group, names in points.items()
        for line in (f"[{group}]", *(f"{name} = {where}" for name, where in names.items()))
    ]  # fmt: skip
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")


def points_of_page() -> dict[str, dict[str, str]]:
    (text,) = [block.text for block in blocks((ROOT / "docs/plugins.md").read_text()) if block.language == "toml"]
    return tomllib.loads(text)["project"]["entry-points"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Installed:
    folder = tmp_path_factory.mktemp("plugins")
    for name in ("launch", "configs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "methyl_rna").mkdir()
    (folder / "methyl_rna/__init__.py").write_text("")
    install(folder, points_of_page())
    draw = random.Random(0)
    rows = ["".join(draw.choices("ACGUM", k=draw.randint(20, 90))) for _ in range(60)]
    (folder / "rnas.txt").write_text("\n".join(rows) + "\n")
    found = Installed(folder, smaller=False)
    found.follow("plugins.md")
    return found


def test_every_group_that_is_read_is_in_the_page():
    import pretrain.plugins as module

    text = (ROOT / "docs/plugins.md").read_text()
    groups = {word for word in (module.__doc__ or "").split() if word.startswith(module.PREFIX) and word[-1] != "`"}
    assert len(groups) == 8
    assert groups == set(points_of_page())
    assert all(f"`{group}`" in text for group in groups)


def test_all_parts_of_the_package_train_together(reader):
    plan = next(text for line, text in reader.outputs.items() if "--dry-run" in line)
    assert "family              methyl_rna" in plan
    assert "gc_share" in plan
    lines = [json.loads(line) for line in (reader.folder / "runs/methyl_rna/metrics.jsonl").read_text().splitlines()]
    assert {"mlm/loss", "gc_share/loss"} <= set(lines[0])
    config = (reader.folder / "runs/methyl_rna/config.yaml").read_text()
    assert "strategy: run" in config


@pytest.mark.parametrize(
    ("group", "name", "where", "said"),
    [
        ("polymerase.objectives", "broken", "methyl_rna.gone:X", "plug-in 'broken' of methyl-rna (methyl_rna.gone:X)"),
        ("polymerase.tokenizers", "ernie_rna", "methyl_rna.family:methylated", "has 'ernie_rna' already"),
    ],
)
def test_a_package_that_is_broken_or_takes_a_name_is_one_line(tmp_path, group, name, where, said):
    (tmp_path / "methyl_rna").mkdir()
    (tmp_path / "methyl_rna/__init__.py").write_text("")
    (tmp_path / "methyl_rna/family.py").write_text("def methylated(): ...\n")
    install(tmp_path, {group: {name: where}})
    words = [sys.executable, str(ROOT / "launch/pretrain.py"), "--config", "demo/ernie.yaml", "--dry-run"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert said in line
