"""A random sample of legal combinations of switches: reached from YAML, trained for two steps, exported with the
generic code, loaded with transformers in a fresh process; the logits are those of the formula all the way."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.benchmarking.contestants import BenchmarkPlan, Ours
from pretrain.errors import PolymeraseError
from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.verify import Probe, Verification, our_output
from pretrain.models.transformer.recurrent.pairing import pair_class_table, pair_classes
from pretrain.models.transformer.settings import TransformerSettings
from pretrain.training.components import RunComponents, build_components
from tests.exporting.citizen_process import CitizenProcess
from tests.models.test_switches import CHOICES, SIZES, Formula
from tests.training.corpora import build_plain, config

COUNT, PER_PROCESS = 40, 20
TEXT = "AUGCAUGGCNAUG<mask>GCAUG"
FAMILIES_OF_TEXT = {"ernie_rna": TEXT, "rnaernie2": TEXT.replace("<mask>", "[MASK]")}
KEYS = {"hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 20, "max_position_embeddings": 64}


def sample() -> list[tuple[str, dict[str, Any]]]:
    """(family, keys of ``model``) of legal combinations, none of them without effect beside the others."""
    draw, found = random.Random(5), []
    while len(found) < COUNT:
        chosen = {name: draw.choice(values) for name, values in CHOICES.items()}
        try:
            settings = TransformerSettings(**SIZES, **chosen)
        except PolymeraseError:
            continue
        keys = {name: value for name, value in chosen.items() if name not in settings.idle and value is not None}
        found.append((draw.choice(list(FAMILIES_OF_TEXT)), keys))
    return found


def trained(folder: Path, corpus: Path, family: str, keys: dict[str, Any]) -> tuple[RunComponents, dict[str, Any]]:
    """The parts of a run with these keys, and its tensors after two steps."""
    model = {f"model__{key}": value for key, value in (KEYS | keys).items()}
    causal = {"objectives__mlm": None, "objectives__causal_lm": {}, "masking__strategy": "none"}
    components = build_components(
        config(folder, corpus, model__family=family, **model, **(causal if keys["causal"] else {}))
    )
    ours = Ours(components, BenchmarkPlan(steps=2, sequences=6))
    optimizer, losses = torch.optim.AdamW(ours.model.parameters(), lr=3e-3), []
    for load, _ in zip(ours.loads(), range(2), strict=False):
        loss = ours.loss(ours.model, load, torch.device("cpu"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)
    return components, {name: tensor.detach() for name, tensor in ours.model.state_dict().items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plain(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("first", range(0, COUNT, PER_PROCESS))
@torch.no_grad()
def test_forty_combinations_keep_their_logits(
    first: int, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the fresh process checks twenty folders at once instead
    monkeypatch.setattr(
        sys.modules["pretrain.exporting.export_model"], "verify", lambda *_: Verification(0.0, 1.0, 1.0)
    )
    jobs = {}
    for number, (family_name, keys) in enumerate(sample()[first : first + PER_PROCESS], start=first):
        with torch.enable_grad():
            components, state = trained(tmp_path / "run", corpus, family_name, keys)
        family, settings, text = components.family, components.settings, FAMILIES_OF_TEXT[family_name]
        assert all(getattr(settings, key) == value for key, value in keys.items())
        ids = components.tokenizer.encode_text(text)
        logits = our_output(settings, state, components.tokenizer, Probe([text], [ids], []), "mlm")[0]
        formula = Formula(settings, {name: tensor.double() for name, tensor in state.items()})
        classes = pair_classes(ids, pair_class_table(components.tokenizer.vocab))
        expected = formula(torch.from_numpy(ids).long(), torch.from_numpy(classes).long())
        torch.testing.assert_close(logits.double(), expected, atol=2e-5, rtol=1e-4)
        folder = tmp_path / f"combination{number}"
        export_model(state, family, settings, folder, CardFacts("Trained for two steps."))
        assert (folder / "modeling_polymerase.py").is_file()
        jobs[f"{number}: {family_name} {keys}"] = {
            "folder": str(folder),
            "text": text,
            "causal": settings.causal,
            "expected": {"ids": ids.tolist(), "logits": logits.tolist()},
            "checks": ["same_logits"],
        }
    process = CitizenProcess(tmp_path)
    try:
        results = process.run(jobs)["results"]
    finally:
        process.close()
    assert len(results) == PER_PROCESS
    wrong = {name: cells["same_logits"] for name, cells in results.items() if cells["same_logits"]}
    assert not wrong
