"""Thirty steps of the trainer equal thirty steps of a plain PyTorch loop on the model class that the family exports to.

The loop is written from the formulas of the specifications: padded batches, transformers' own classes (our remote code
where there is none), torch's optimizers (fairseq's by hand), no DeepSpeed. It shares the first weights and the batches.
"""

import importlib
import math
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from pretrain.batches.collate import MicroBatch
from pretrain.batches.plan import Bounds, Plan
from pretrain.config import load_config
from pretrain.exporting.tensors import export_tensors
from pretrain.families.own_code import own_config
from pretrain.training.components import RunComponents, build_components
from tests.training.ranks import losses
from tests.training.recipes import RECIPES, STEPS


class Padded:
    """A micro-batch as a Hugging Face model reads it."""

    def __init__(self, batch: MicroBatch, components: RunComponents):
        pad, edges = components.tokenizer.pad_id, batch.packed.cu_seqlens.tolist()
        lengths = batch.packed.lengths
        self.ids = pad_sequence(list(batch.packed.input_ids.split(lengths)), True, pad)
        self.real = torch.arange(self.ids.shape[1]) < torch.tensor(lengths)[:, None]
        self.targets, self.sequences = batch.targets, len(lengths)
        self.place = self.real.flatten().nonzero().flatten()  # flat token -> its place in the padded batch
        self.first = torch.tensor(edges[:-1])
        self.inputs: dict[str, torch.Tensor] = {"input_ids": self.ids, "attention_mask": self.real.long()}
        if components.family.name == "ernie_rna":
            selected = torch.zeros(self.ids.numel(), dtype=torch.bool)
            selected[self.place[self.targets["mlm"]["index"]]] = True
            self.inputs["selected_positions"] = selected.view(self.ids.shape)
        if batch.packed.soft_rows is not None:
            rows = F.one_hot(self.ids, len(components.tokenizer.vocab)).float().flatten(0, 1)
            where = self.place[batch.packed.soft_rows.positions]
            rows[where] = 0.0
            rows[where[:, None], torch.tensor([components.tokenizer.nucleotide_ids.tolist()])] = (
                batch.packed.soft_rows.freq
            )
            self.inputs["input_ids"] = rows.view(*self.ids.shape, -1)


def hugging_face_model(components: RunComponents) -> tuple[nn.Module, nn.ModuleDict]:
    """The exported class with the run's first weights, and the heads that the class has no place for."""
    from transformers import AutoConfig

    form, state = components.family.hugging_face, components.model().state_dict()
    if form.kind == "native":
        module, values = importlib.import_module("transformers"), form.config(components.settings)
        config = AutoConfig.for_model(values.pop("model_type"), **values)
    else:
        folder = f"pretrain.exporting.remote_code.{{}}_{form.model_type}"
        module = importlib.import_module(folder.format("modeling"))
        names = vars(importlib.import_module(folder.format("configuration")))
        config = names[f"{form.masked_lm_class.removesuffix('ForMaskedLM')}Config"](
            **own_config(components.settings, lambda: components.tokenizer.vocab), **form.constants
        )
    model = getattr(module, form.masked_lm_class)(config).train()
    tensors = export_tensors(components.family, components.settings, state, "mlm")
    missing, unexpected = model.load_state_dict(tensors.model, strict=False)
    assert not unexpected
    assert all("decoder" in name for name in missing)  # tied
    heads = nn.ModuleDict()
    for name, tensor in tensors.heads.items():
        _, objective, _, kind = name.split(".")
        if objective not in heads:
            outputs = tensors.heads[f"heads.{objective}.linear.bias"].shape[0]
            heads[objective] = nn.Linear(components.settings.hidden_size, outputs)
        getattr(heads[objective], kind).data.copy_(tensor)
    return model, heads


def sums_of(model: nn.Module, heads: nn.ModuleDict, batch: Padded, components: RunComponents) -> dict[str, tuple]:
    """Per objective the summed loss and the number of its targets."""
    output = model(**batch.inputs, output_hidden_states=True)
    logits, hidden = (
        output.logits.flatten(0, 1)[batch.place],
        output.hidden_states[-1].flatten(0, 1)[batch.place],
    )
    result = {}
    for name, arrays in batch.targets.items():
        at, target = arrays["index"], arrays["target"]
        if name == "mfe":
            keep = arrays["valid"] > 0
            error = heads["mfe"](hidden[at]).squeeze(-1) - target
            result[name] = (error[keep].square().sum(), int(keep.sum()))
        elif name == "soft_label":
            dense = F.one_hot(target, logits.shape[1]).float()
            dense[arrays["soft_row"]] = 0.0
            bases = torch.tensor(components.tokenizer.nucleotide_ids.tolist())
            dense[arrays["soft_row"][:, None], bases[None]] = arrays["soft_freq"]
            result[name] = (-(dense * logits[at].log_softmax(-1)).sum(), len(at))
        else:
            scores = logits[at] if name == "mlm" else heads[name](hidden[at])
            result[name] = (F.cross_entropy(scores, target, reduction="sum"), int((target != -100).sum()))
    return result


def reduced(sums: list[tuple], sequences: list[int], reduction: str) -> torch.Tensor:
    """One objective over the micro-batches of a step, (sum, count) each."""
    asked = [(s, c, n) for (s, c), n in zip(sums, sequences, strict=True) if c]
    if not asked:
        return torch.tensor(0.0)
    if reduction == "global_mean":
        return sum(s for s, _, _ in asked) / sum(c for _, c, _ in asked)
    if reduction == "micro_batch_mean":
        return sum(s / c for s, c, _ in asked) / len(asked)
    return sum(n * s / c for s, c, n in asked) / sum(sequences)


class Fairseq(torch.optim.Optimizer):
    """fairseq's Adam, decay first, eps outside of the bias correction."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                first, second = group["betas"]
                state["m"] = first * state["m"] + (1 - first) * p.grad
                state["v"] = second * state["v"] + (1 - second) * p.grad**2
                rate = group["lr"] * math.sqrt(1 - second ** state["t"]) / (1 - first ** state["t"])
                p -= group["lr"] * group["weight_decay"] * p
                p -= rate * state["m"] / (state["v"].sqrt() + group["eps"])


def optimizer(modules: list[nn.Module], settings) -> torch.optim.Optimizer:
    parameters = [p for module in modules for p in module.parameters()]
    spared = [p for p in parameters if p.ndim < 2 and settings.decay != "all"]
    groups = [
        {"params": [p for p in parameters if not any(p is s for s in spared)], "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    adam = {"lr": settings.lr, "betas": settings.betas, "eps": settings.eps}
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    if settings.name == "adamw_fairseq":
        return Fairseq(groups, adam)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name](groups, **adam)


def plain_loop(components: RunComponents) -> list[float]:
    """Loss of each step, before its update."""
    config, builder = components.config, components.batches("train")
    model, heads = hugging_face_model(components)
    engine = optimizer([model, heads], config.optimizer)
    plan = Plan(builder.lengths_at, Bounds(tokens=config.batch.tokens), config.batch.accumulation)
    weights = {name: section.weight for name, section in config.objectives.active().items()}
    found = []
    for number, spans in enumerate(islice(plan.steps(0), STEPS)):
        batches = [Padded(builder.make(*span), components) for span in spans]
        sums = [sums_of(model, heads, batch, components) for batch in batches]
        sequences = [batch.sequences for batch in batches]
        losses = {n: reduced([s[n] for s in sums], sequences, config.objectives.reduction) for n in weights}
        engine.zero_grad()
        sum(weights[name] * loss for name, loss in losses.items()).backward()
        trained = [p for group in engine.param_groups for p in group["params"] if p.grad is not None]
        if config.optimizer.max_grad_norm:
            nn.utils.clip_grad_norm_(trained, config.optimizer.max_grad_norm)
        warmup = config.schedule.warmup_steps
        share = number / warmup if number < warmup else (STEPS - number) / (STEPS - warmup)
        for group in engine.param_groups:
            group["lr"] = config.optimizer.lr * share
        engine.step()
        # told as the mean over the step's targets, whatever the loss is divided by
        means = {n: sum(s[n][0].item() for s in sums) / max(1, sum(s[n][1] for s in sums)) for n in weights}
        found.append(sum(weights[name] * mean for name, mean in means.items()))
    return found


@pytest.mark.parametrize("family", RECIPES)
def test_thirty_steps_equal_a_plain_loop(alone, family):
    run = alone[family]
    components = build_components(load_config(str(run / "config.yaml")))
    ours, theirs = losses(run), plain_loop(components)
    assert len(ours) == STEPS
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert min(ours[-5:]) < ours[0]
