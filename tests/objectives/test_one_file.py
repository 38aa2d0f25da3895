"""What one objective is stands in its file, its settings, the registry and the documentation, and nowhere else."""

import ast
import re
from pathlib import Path

import pytest

from pretrain.objectives import OBJECTIVES

ROOT = Path(__file__).resolve().parents[2]
OWN = ("pretrain/objectives/", "pretrain/config/")  # files, registry, settings and the message that names one
# Words that mean something else there: columns of a corpus, heads that published weights come with, what kind of folder
# an export is.
OTHER_MEANINGS = {
    "structure": ("pretrain/data/", "pretrain/families/", "pretrain/importing/", "pretrain/evaluation/"),
    "rna_type": ("pretrain/data/", "pretrain/families/"),
    "mfe": ("pretrain/families/", "pretrain/importing/"),
    "mlm": (
        "pretrain/families/",
        "pretrain/importing/",
        "pretrain/exporting/",
        "pretrain/cli/",
        "pretrain/benchmarking/contestants.py",
    ),
    "causal_lm": ("pretrain/exporting/",),
}


def names_in(path: Path) -> set[tuple[str, int]]:
    """Objectives named in a file: as a string, as an attribute of ``objectives``, or as a class."""
    found = set()
    classes = {objective.__name__: name for name, objective in OBJECTIVES.items()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = {node.value, *re.findall(r"objectives\.(\w+)", node.value)}
            found |= {(name, node.lineno) for name in OBJECTIVES if name in named}
        elif isinstance(node, ast.Attribute) and node.attr in OBJECTIVES:
            inner = node.value
            if (isinstance(inner, ast.Attribute) and inner.attr == "objectives") or (
                isinstance(inner, ast.Name) and inner.id == "objectives"
            ):
                found.add((node.attr, node.lineno))
        elif isinstance(node, ast.Name | ast.alias):
            label = node.id if isinstance(node, ast.Name) else node.name.rpartition(".")[2]
            if label in classes:
                found.add((classes[label], node.lineno))
    return found


def test_no_objective_is_named_outside_its_own_files():
    wrong = []
    for folder in ("pretrain", "launch"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(OWN):
                continue
            wrong += [
                f"{place}:{line} {name}"
                for name, line in sorted(names_in(path))
                if not place.startswith(OTHER_MEANINGS.get(name, ()))
            ]
    assert not wrong


def test_the_search_finds_what_it_looks_for(tmp_path):
    (tmp_path / "x.py").write_text(
        "from pretrain.objectives.mfe import MfeObjective\n"
        "a = config.objectives.structure\n"
        "b = {'soft_label': 1}\n"
        "c = 'set objectives.mlm.weight'\n"
    )
    assert {name for name, _ in names_in(tmp_path / "x.py")} == {"mfe", "structure", "soft_label", "mlm"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_is(name):
    objective = OBJECTIVES[name]
    assert objective.name == name
    assert objective.scope in ("hidden_tokens", "next_tokens", "positions", "sequences")
    assert objective.baseline
    assert objective.unit
    if objective.needs.column or objective.needs.kind:
        assert objective.needs.advice
