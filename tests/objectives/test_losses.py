"""Losses are sums over their targets, and equal their definitions and upstream's outputs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pretrain.batches.collate import dummy_batch
from pretrain.config.sections import Mfe, Mlm, SoftLabel, Structure
from pretrain.data.alleles import tempered
from pretrain.data.raw_batch import Variants
from pretrain.families import FAMILIES
from pretrain.families.published import our_tensors
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.padded import unpad_rows
from pretrain.objectives import OBJECTIVES, ObjectiveContext
from pretrain.objectives.base import IGNORE, class_loss
from pretrain.objectives.model import PretrainingModel
from pretrain.tokenizers import build_tokenizer
from pretrain.training.components import build_components
from tests.objectives.views import view_of
from tests.training.corpora import config

BASES = (5, 6, 7, 8)
ALL = {"mlm": {}, "soft_label": {}, "structure": {}, "mfe": {}, "rna_type": {}}


def tensors(targets) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(array) for key, array in targets.arrays.items()}


@pytest.fixture(scope="module")
def everything(corpora, tmp_path_factory):
    """Model and micro-batches with all objectives at once, on two kinds of corpora."""
    components = build_components(
        config(
            tmp_path_factory.mktemp("run"),
            corpora["labeled"],
            model__family="mutbert",
            objectives=ALL,
            masking={"strategy": "variant_first"},
            corpus__window=30,
            corpus__extra=[{"path": str(corpora["alleles"])}],
        )
    )
    return components.model().eval(), components.batches("train")


def loss_of(model, batch, coefficients):
    return model(batch.packed, batch.targets, coefficients)


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_losses_of_a_batch_are_the_sums_of_those_of_its_samples(everything):
    model, builder = everything
    with torch.no_grad():
        whole = loss_of(model, builder.make(0, 24), dict.fromkeys(ALL, 1.0))[1]
        single = [loss_of(model, builder.make(i, i + 1), dict.fromkeys(ALL, 1.0))[1] for i in range(24)]
    for name in ALL:
        assert whole[name].loss.item() == pytest.approx(sum(s[name].loss.item() for s in single), rel=1e-5)
        for metric, value in whole[name].metrics.items():
            expected = sum(s[name].metrics[metric] for s in single)
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_the_total_is_the_weighted_sum(everything):
    model, builder = everything
    weights = {"mlm": 0.5, "soft_label": 2.0, "structure": 0.0, "mfe": 0.25, "rna_type": 1.0}
    with torch.no_grad():
        total, sums = loss_of(model, builder.make(0, 10), weights)
    assert total.item() == pytest.approx(sum(sums[name].loss.item() * weight for name, weight in weights.items()))


def test_a_batch_with_nothing_to_learn_has_a_finite_loss_and_zero_gradients(everything):
    """And every parameter takes part, so that ranks with and without targets do the same collectives."""
    model, builder = everything
    unlabeled = next(b for b in (builder.make(i, i + 1) for i in range(200)) if not any(
        count for name, count in b.counts.items() if name not in ("mlm", "soft_label")
    ))  # fmt: skip
    empty = replace(unlabeled, targets=dummy_batch(unlabeled).targets)
    cases = [
        (unlabeled, {"mlm": 0.0, "soft_label": 0.0, "structure": 1.0, "mfe": 1.0, "rna_type": 1.0}),
        (empty, dict.fromkeys(ALL, 0.0)),
        (dummy_batch(builder.make(0, 5)), dict.fromkeys(ALL, 0.0)),
    ]
    for batch, coefficients in cases:
        model.zero_grad()
        loss, _ = loss_of(model, batch, coefficients)
        loss.backward()
        assert loss.item() == 0.0
        for name, gradient in gradients(model).items():
            assert gradient is not None, name
            assert not gradient.any(), name


@pytest.mark.parametrize("name", ["structure", "mfe", "rna_type"])
def test_every_parameter_takes_part_whatever_the_objectives(corpora, tmp_path, name):
    components = build_components(config(tmp_path, corpora["labeled"], objectives={"mlm": None, name: {}}))
    model, batch = components.model(), components.batches("train").make(0, 8)
    loss_of(model, batch, {name: 1.0})[0].backward()
    assert all(gradient is not None for gradient in gradients(model).values())


def test_soft_labels_equal_dense_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 9, generator=generator, requires_grad=True)
    frequencies = np.random.default_rng(0).dirichlet(np.ones(4), 3).astype(np.float32)
    variants = Variants(np.array([0, 0, 0]), np.array([0, 4, 9]), frequencies)
    sequence = "ACGTNACGTT"
    view = view_of(build_tokenizer("mutbert"), [sequence], variants=variants, alleles=[True], selected=[1, 3, 5, 8, 10])
    objective = OBJECTIVES["soft_label"](SoftLabel(), ObjectiveContext(8, base_ids=BASES))
    targets = tensors(objective.targets(view))

    class Given:
        hidden = None

        @staticmethod
        def token_logits(index):
            return logits[index]

    sums = objective.loss(Given, None, targets)
    dense = F.one_hot(torch.from_numpy(view.tokens.ids).long(), 9).float()
    for column, row in zip(variants.column, frequencies, strict=True):
        dense[column + 1] = 0
        dense[column + 1, list(BASES)] = torch.from_numpy(row)
    expected = F.cross_entropy(logits[[1, 3, 5, 8, 10]], dense[[1, 3, 5, 8, 10]], reduction="sum")
    torch.testing.assert_close(sums.loss, expected)
    ours, theirs = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (sums.loss, expected))
    torch.testing.assert_close(ours, theirs)
    right = (logits.argmax(1) == dense.argmax(1))[[1, 3, 5, 8, 10]].sum()
    assert sums.metrics["accuracy"].sum().item() == right.item()
    torch.testing.assert_close(sums.losses.sum(), sums.loss)


def test_the_loss_of_classes_is_that_of_torch_to_the_last_bit_and_gives_each_targets_own():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(501, 25, generator=generator, requires_grad=True)
    target = torch.randint(25, (501,), generator=generator)
    target[::50] = IGNORE
    targets = {"target": target, "group": torch.arange(501) % 3}
    found = class_loss(logits, targets, groups=3)
    expected = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    assert found.loss.item() == expected.item()
    ours, theirs = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (found.loss, expected))
    assert torch.equal(ours, theirs)
    each = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    torch.testing.assert_close(found.losses, each)
    torch.testing.assert_close(found.metrics["loss"], torch.stack([each[n::3].sum() for n in range(3)]))
    weight = torch.rand(501, generator=generator)
    weighted = class_loss(logits, targets | {"weight": weight}, groups=3)
    torch.testing.assert_close(weighted.loss, (each * weight).sum())
    hits = (logits.argmax(-1) == target).float()
    torch.testing.assert_close(weighted.metrics["accuracy"][1], (hits * weight)[1::3].sum())


@pytest.fixture(scope="module")
def mutbert(golden):
    cases = load_file(golden / "mutbert" / "model_cases.safetensors")
    family = FAMILIES["mutbert"]
    settings = family.resized(json.loads((golden / "mutbert" / "tiny_config.json").read_text()))
    context = ObjectiveContext(settings.hidden_size, base_ids=BASES)
    objectives = {"soft_label": OBJECTIVES["soft_label"](SoftLabel(), context)}
    model = PretrainingModel(LanguageModel.build(settings), objectives, context)
    model.load_state_dict(our_tensors(family.upstream, load_file(golden / "mutbert" / "mlm_weights.safetensors")))
    return cases, family, model.eval()


def test_soft_label_loss_and_gradients_equal_upstream(mutbert):
    cases, family, model = mutbert
    rows, chosen = cases["obj.samples.T0.7"], cases["obj.masked_indices"].bool()
    width = rows.shape[1] - 2
    variant = (rows[:, 1:-1] > 0).sum(-1) > 1
    where = variant.nonzero().numpy()
    freq = rows[:, 1:-1][variant][:, list(BASES)].numpy()
    text = ["".join("ACGT"[i - 5] if i >= 5 else "N" for i in row) for row in rows[:, 1:-1].argmax(-1).tolist()]
    view = view_of(
        build_tokenizer("mutbert"),
        text,
        variants=Variants(where[:, 0], where[:, 1], freq),
        alleles=[True] * len(text),
        selected=chosen.flatten().nonzero().flatten().tolist(),
    )
    assert view.tokens.offsets.tolist() == [row * (width + 2) for row in range(len(text) + 1)]
    targets = model.objectives["soft_label"].targets(view)
    assert len(targets.arrays["soft_row"]) > 3
    packed = unpad_rows(cases["obj.masked_input"], cases["obj.attention_mask"].bool(), BASES).batch
    loss, _ = model(packed, {"soft_label": tensors(targets)}, {"soft_label": 1.0 / targets.count})
    loss.backward()
    assert loss.item() == pytest.approx(cases["obj.loss"].item(), abs=1e-5)
    prefix = "obj.grad."
    for name, gradient in our_tensors(
        family.upstream, {k[len(prefix) :]: v for k, v in cases.items() if k.startswith(prefix)}
    ).items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-5, rtol=0)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_published_temperature_equals_upstream(mutbert, temperature):
    cases = mutbert[0]
    samples = cases[f"obj.samples.T{temperature}"][:, 1:-1, 5:].numpy()
    width = samples.shape[1]
    genome = cases["obj.genome_rows"].numpy()
    several = (genome > 0).sum(1) > 1
    for sample, start in zip(samples, cases["obj.starts"].tolist(), strict=True):
        rows = genome[start : start + width, 5:].copy()
        variant = several[start : start + width]
        rows[variant] = tempered(rows[variant], temperature, "softmax_of_probs")
        np.testing.assert_allclose(rows, sample, atol=1e-6)


def test_power_temperature_is_calibrated_and_none_changes_nothing():
    freq = np.array([[0.81, 0.09, 0.1, 0.0], [0.25, 0.25, 0.25, 0.25]], np.float32)
    sharper = tempered(freq, 0.5, "power")
    np.testing.assert_allclose(sharper, freq**2 / (freq**2).sum(1, keepdims=True), rtol=1e-6)
    assert tempered(freq, 3.0, "none") is freq


UTR_LM = FAMILIES["utr_lm"]
VARIANTS = {  # name in the golden -> objectives
    "ESM2": ("mlm",),
    "ESM2SI": ("mlm", "mfe"),
    "ESM2SS": ("mlm", "structure"),
    "ESM2SISS": ("mlm", "mfe", "structure"),
}


def utr_lm_case(golden, objectives):
    """Model, packed batch and targets of the UTR-LM golden batch, targets by our objectives with upstream's quirk."""
    folder = golden / "utr_lm"
    facts, weights = json.loads((folder / "losses.json").read_text()), load_file(folder / "weights.safetensors")
    settings = replace(
        UTR_LM.settings, num_hidden_layers=3, num_attention_heads=4, hidden_size=32, intermediate_size=128
    )
    context = ObjectiveContext(settings.hidden_size)
    sections = {"mlm": Mlm(), "mfe": Mfe(), "structure": Structure(label_shift=-1)}
    chosen = {name: OBJECTIVES[name](sections[name], context) for name in objectives}
    model = PretrainingModel(LanguageModel.build(settings), chosen, context)
    named = {k.removeprefix("module."): v for k, v in weights.items() if k.startswith("module.")}
    wanted = model.state_dict()
    model.load_state_dict({k: v for k, v in our_tensors(UTR_LM.upstream, named).items() if k in wanted})
    rows = facts["batch"]
    lengths = [len(row["seq"]) + 2 for row in rows]
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    view = view_of(
        build_tokenizer("utr_lm"),
        [row["seq"] for row in rows],
        structures=[row["structure"] for row in rows],
        # upstream trains this head on ribosome loads here; 1e-9 marks a missing one
        energies=[row["target"] if row["target"] != 1e-9 else np.nan for row in rows],
        selected=sorted(int(s) + 1 + i for row, s in zip(rows, starts, strict=True) for i in row["masked_indices"]),
    )
    targets = {name: objective.targets(view) for name, objective in chosen.items()}
    packed = PackedBatch.pack(torch.from_numpy(view.masked.input_ids), lengths)
    return facts["losses"], model, packed, targets


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_of_every_utr_lm_variant_equal_upstream(golden, variant):
    facts, model, packed, targets = utr_lm_case(golden, VARIANTS[variant])
    with torch.no_grad():
        _, sums = model(packed, {name: tensors(t) for name, t in targets.items()}, dict.fromkeys(targets, 1.0))
    for name, components in sums.items():
        assert components.loss.item() / targets[name].count == pytest.approx(facts[variant][name], rel=1e-5)


def test_upstreams_labels_are_ours_with_its_quirk(golden):
    _, _, _, targets = utr_lm_case(golden, VARIANTS["ESM2SISS"])
    forward = load_file(golden / "utr_lm" / "forward.safetensors")
    real = forward["tokens"] != 0
    for name in ("mlm", "structure"):
        labels = forward[f"upstream_{name}_labels"][real]
        expected = [(i, int(label)) for i, label in enumerate(labels.tolist()) if label >= 0]
        arrays = targets[name].arrays
        assert list(zip(arrays["index"].tolist(), arrays["target"].tolist(), strict=True)) == expected
    energies = forward["upstream_mfe_targets"].flatten().numpy()
    np.testing.assert_allclose(targets["mfe"].arrays["target"], energies, rtol=1e-6)


@pytest.mark.parametrize(("trajectory", "optimizer"), [("sgd_trajectory", "sgd"), ("adam_trajectory", "adam")])
def test_trajectories_of_utr_lm_equal_upstream(golden, trajectory, optimizer):
    """Six updates on one batch with the optimizer that a run of these settings would get."""
    from pretrain.config.sections import Optimizer
    from pretrain.training.optim import build_optimizer

    facts, model, packed, targets = utr_lm_case(golden, VARIANTS["ESM2SISS"])
    recipe = facts[trajectory]
    settings = Optimizer(
        name=optimizer,
        lr=recipe["lr"],
        weight_decay=float(recipe["weight_decay"]),
        decay="all",
        momentum=recipe.get("momentum", 0.0),
        betas=tuple(recipe.get("betas", (0.9, 0.999))),
        eps=recipe.get("eps", 1e-8),
    )
    engine = build_optimizer(model, settings)
    coefficients = {name: 1.0 / target.count for name, target in targets.items()}
    arrays = {name: tensors(target) for name, target in targets.items()}
    for expected in recipe["steps"]:
        engine.zero_grad()
        total, sums = model(packed, arrays, coefficients)
        found = [total.item(), *(sums[name].loss.item() / targets[name].count for name in recipe["columns"][1:])]
        assert found == pytest.approx(expected, rel=1e-4)
        total.backward()
        engine.step()
    if "embed_tokens_row_norms_after" in recipe:
        norms = model.encoder.embeddings.word.weight.norm(dim=1).tolist()
        assert norms == pytest.approx(recipe["embed_tokens_row_norms_after"], rel=1e-4)
