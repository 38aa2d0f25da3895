"""Six optimizer steps of transformers on what their original code and optimizers reported (tests/golden)."""

import json
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from pretrain.config.sections import Hierarchical, Optimizer
from pretrain.models import LanguageModel
from pretrain.objectives import ObjectiveContext, Outputs
from pretrain.objectives.hierarchical import HierarchicalObjective
from pretrain.tokenizers import build_tokenizer
from tests.models import test_dnabert2_golden as dnabert2
from tests.models import test_helm_golden as helm
from tests.models import test_nt_golden as nt
from tests.models import test_rinalmo_golden as rinalmo
from tests.models.golden_steps import Steps, decays, rate_of, run_steps
from tests.models.golden_transformer import Golden, Tensors, build, mean_loss, ours, packed, under

SIX = range(6)


def ramp(step: int) -> float:
    """1e-3 i / 6 for i = 1 ... 6."""
    return rate_of(1e-3, name="constant", warmup_steps=6, first_step=1)(step + 1)


def check_steps(steps: Steps, rate: Callable[[int], float], expected: list[dict], tolerance: float) -> None:
    def column(*names: str) -> list[float]:
        return [next(step[name] for name in names if name in step) for step in expected]

    assert [rate(number) for number in SIX] == pytest.approx(column("lr_used", "lr"), rel=1e-12)
    assert steps.losses == pytest.approx(column("loss"), abs=tolerance)
    assert steps.gradient_norms == pytest.approx(column("grad_norm", "grad_norm_before_clip"), rel=1e-4)


def check_final(model: LanguageModel, final: Tensors, tolerance: float, *, but: str = "nothing") -> None:
    """Every tensor but the biases of keys, which have no gradient: Adam makes steps of their rounding noise."""
    compared = [name for name, _ in model.named_parameters() if name in final and but not in name]
    assert len(compared) > 1
    for name in compared:
        own = model.get_parameter(name).detach()
        torch.testing.assert_close(
            own, final[name], atol=tolerance, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def files_of(folder) -> tuple[Golden, Tensors, dict]:
    trajectory = json.loads((folder / "trajectory.json").read_text())
    return Golden.load(folder), load_file(folder / "trajectory.safetensors"), trajectory


def test_rinalmo_takes_the_same_steps(golden):
    files, steps, expected = files_of(golden / "rinalmo")
    model = build(rinalmo.SETTINGS, ours("rinalmo_giga", files.weights))

    def loss(step: int):
        ids = steps[f"step{step}.input_ids"]
        return lambda: mean_loss(model, packed(ids, ids != rinalmo.SETTINGS.pad_token_id), steps[f"step{step}.labels"])

    settings = Optimizer(name="adamw", weight_decay=0.01, decay="all", max_grad_norm=1.0)
    check_steps(run_steps(model, list(map(loss, SIX)), settings, ramp), ramp, expected["steps"], 1e-5)
    check_final(model, ours("rinalmo_giga", under("final.", steps)), 2e-5)


@nt.EVERY
def test_nucleotide_transformers_take_the_same_steps(golden, version):
    files, steps, expected = files_of(golden / "nt")
    model = nt.model_of(version, files)

    def loss(step: int):
        ids = steps[f"{version}.step{step}.input_ids"]
        batch = packed(ids, ids != model.encoder.settings.pad_token_id)
        return lambda: mean_loss(model, batch, steps[f"{version}.step{step}.labels"])

    settings = Optimizer(name="adam", weight_decay=0.0, max_grad_norm=0.0)
    check_steps(run_steps(model, list(map(loss, SIX)), settings, ramp), ramp, expected[version], 2e-5)
    but = "key.bias" if version == "v1" else "nothing"
    check_final(model, ours(nt.FAMILY[version], under(f"{version}.final.", steps)), 5e-5, but=but)


def test_dnabert2_takes_the_same_steps_as_the_decoupled_optimizer_of_its_release(golden):
    """Its decay is multiplied with rate / peak; as a decay of ours that is 1e-3 / 5e-4."""
    files, steps, expected = files_of(golden / "dnabert2")
    model = build(dnabert2.SETTINGS, ours("dnabert2", files.weights))

    def loss(step: int):
        labels = steps[f"step{step}.labels"].long()
        batch = packed(steps[f"step{step}.input_ids"], steps[f"step{step}.attention_mask"])
        return lambda: mean_loss(model, batch, labels.where(labels > 0, -100))

    def rate(step: int) -> float:
        return rate_of(5e-4, name="linear", warmup_steps=3, total_steps=20)(step + 1)

    settings = Optimizer(
        name="adamw", weight_decay=1e-3 / 5e-4, decay="all", betas=(0.9, 0.98), eps=1e-6, max_grad_norm=0.0
    )
    found = run_steps(model, list(map(loss, SIX)), settings, rate)
    check_steps(found, rate, expected["composer_decoupled"], 1e-5)
    check_final(model, ours("dnabert2", under("final.", steps)), 1e-5, but="key.bias")


HELM = Optimizer(name="adamw", lr=1e-3, weight_decay=0.1, max_grad_norm=0.0)


def test_helm_takes_the_same_steps(golden):
    files, steps, expected = files_of(golden / "helm")
    model = helm.model_of(helm.MASKED, files)

    def loss(step: int):
        ids, target = steps[f"xe.step{step}.input"], steps[f"xe.step{step}.target"]
        return lambda: mean_loss(model, helm.batch_of(ids, 1), target.where(ids == helm.MASKED.mask_token_id, -100))

    rate = rate_of(1e-3, name="constant", warmup_steps=0)
    check_steps(run_steps(model, list(map(loss, SIX)), HELM, rate), rate, expected["xe"], 1e-5)
    final = under("xe.final.", steps)
    torch.testing.assert_close(
        model.encoder.embeddings.word.weight.detach(), final["model.wte.weight"], atol=3e-5, rtol=0
    )
    torch.testing.assert_close(model.mlm_head.decoder.weight.detach(), final["lm_head.weight"], atol=3e-5, rtol=0)


def test_helm_takes_the_same_steps_on_the_tree(golden):
    files, steps, expected = files_of(golden / "helm")
    model, vocabulary = helm.model_of(helm.MASKED, files), build_tokenizer("codon_sorted").vocab
    mask = build_tokenizer("codon_sorted").mask_id
    tree = HierarchicalObjective(Hierarchical(alpha=0.4), ObjectiveContext(hidden_size=48, vocabulary=vocabulary))

    def loss(step: int):
        ids, target = (steps[f"hxe0.4_fixed.step{step}.{part}"].long() for part in ("input", "target"))
        batch = helm.batch_of(ids, helm.HXE_PAD)
        places = torch.nonzero(batch.pick(ids) == mask).flatten()
        assert len(places) == expected["hxe0.4_fixed"][step]["n_targets"]
        targets = {"index": places, "target": batch.pick(target)[places], "group": torch.zeros_like(places)}

        def mean():
            hidden = model.encoder(batch.batch).hidden
            outputs = Outputs(hidden, lambda index: model.logits(hidden[index]))
            return tree.loss(outputs, None, targets).loss / len(places)

        return mean

    rate = rate_of(1e-3, name="constant", warmup_steps=0)
    check_steps(run_steps(model, list(map(loss, SIX)), HELM, rate), rate, expected["hxe0.4_fixed"], 1e-5)
    final = helm.ours_of(under("hxe0.4_fixed.final.", steps), has_positions=False)
    check_final(model, final, 3e-5, but="key.bias")


def test_helm_decays_what_its_original_optimizer_decays(golden):
    files, _, expected = files_of(golden / "helm")
    model = helm.model_of(helm.MASKED, files)
    theirs = {name: torch.full_like(files.weights[name], group["weight_decay"])
              for group in expected["optimizer_groups"] for name in group["names"]}  # fmt: skip
    marked = helm.ours_of(theirs, has_positions=False)
    for name, decay in decays(model, HELM).items():
        assert decay == pytest.approx(float(marked[name].flatten()[0])), name
