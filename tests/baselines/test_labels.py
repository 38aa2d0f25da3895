"""Readers of places and of whole sequences: what is simple about a label is known without a model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pretrain.baselines.fit import fit_baselines
from pretrain.batches.collate import MicroBatch
from pretrain.config.sections import Mfe, RnaType, Structure
from pretrain.models import PackedBatch
from pretrain.objectives import OBJECTIVES
from pretrain.tokenizers import build_tokenizer
from tests.baselines.batches import context_of
from tests.objectives.views import view_of

TOKENIZER = build_tokenizer("utr_lm")
SECTIONS = {"mfe": Mfe(), "structure": Structure(), "rna_type": RnaType()}


def batches(name: str, rows: list[str], each: int = 50, **labels: list) -> tuple[dict, list[MicroBatch]]:
    """Micro-batches with the targets that the objective makes of the labels."""
    types = dict.fromkeys(labels.get("types", []), 1)
    context = context_of(TOKENIZER).__class__(8, mask_id=TOKENIZER.mask_id, train_splits=({"rna_type": types},))
    objectives = {name: OBJECTIVES[name](SECTIONS[name], context)}
    made = []
    for start in range(0, len(rows), each):
        part = {key: values[start : start + each] for key, values in labels.items()}
        view = view_of(TOKENIZER, rows[start : start + each], **part)
        targets = objectives[name].targets(view)
        made.append(
            MicroBatch(
                PackedBatch.pack(torch.from_numpy(view.tokens.ids), view.tokens.lengths.tolist()),
                {name: {key: torch.from_numpy(array) for key, array in targets.arrays.items()}},
                {name: targets.count}, {name: targets.denominator}, {name: targets.denominators}, 0, 0, start,
            )
        )  # fmt: skip
    return objectives, made


def means(name: str, objectives: dict, made: list[MicroBatch]) -> dict[str, float]:
    components = SimpleNamespace(tokenizer=TOKENIZER, context=None)
    half = len(made) // 2
    baselines = fit_baselines(name, objectives, iter(made[:half]), components, 100)
    found = [baselines.losses(batch) for batch in made[half:]]
    return {key: float(np.concatenate([losses[key] for losses in found]).mean()) for key in found[0]}


@pytest.fixture(scope="module")
def rows() -> list[str]:
    draw = np.random.default_rng(1)
    shares = draw.dirichlet([4, 4, 4, 4], 800)
    return ["".join(draw.choice(list("ACGU"), draw.integers(20, 120), p=share)) for share in shares]


def test_an_energy_that_length_and_composition_explain_is_explained_by_them(rows):
    """Wrong statement (c): beside the mean alone, a model that read the length only would seem to fold."""
    draw = np.random.default_rng(2)
    gc = np.array([row.count("G") + row.count("C") for row in rows])
    lengths = np.array([len(row) for row in rows])
    energy = -0.3 * lengths - 0.4 * gc + draw.normal(0, 1, len(rows))
    energy = (energy - energy.mean()) / energy.std()
    found = means("mfe", *batches("mfe", rows, energies=energy.tolist()))
    assert found["constant"] == pytest.approx(1.0, abs=0.2)
    assert found["length"] < 0.25 * found["constant"]
    assert found["length_and_composition"] < 0.3 * found["length"]


def test_structure_given_the_letter_and_its_neighbors(rows):
    """Symbols that follow from the letter, and in G from the next letter, are no secret."""
    folds = []
    for row in rows[:200]:
        symbols = {"A": ".", "C": ")", "U": "."}
        after = [*row[1:], "A"]
        folds.append(
            "".join("(" if c == "G" and n in "AG" else symbols.get(c, ".") for c, n in zip(row, after, strict=True))
        )
    found = means("structure", *batches("structure", rows[:200], each=20, structures=folds))
    assert found["constant"] > found["given_letter"] + 0.3
    assert found["given_1_neighbors"] < 0.1 < found["given_letter"]
    assert found["given_3_neighbors"] < 0.1


def test_types_that_differ_in_their_kmers_are_told_apart_by_counts():
    draw = np.random.default_rng(4)
    types = [("tRNA", "miRNA")[n % 2] for n in range(600)]
    rows = []
    for kind in types:
        row = "".join(draw.choice(list("ACGU"), 60))
        rows.append(row.replace("GA", "GGCC" if kind == "tRNA" else "CCGG"))
    found = means("rna_type", *batches("rna_type", rows, types=types))
    assert found["constant"] == pytest.approx(np.log(2), abs=0.01)
    assert found["kmer_counts"] < 0.3
