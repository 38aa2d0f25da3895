"""First weights are drawn as the original code draws them: deviations and largest values that it was seen to have."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from pretrain.models import LanguageModel
from pretrain.models.transformer.settings import TransformerSettings
from tests.models import test_dnabert2_golden as dnabert2
from tests.models import test_helm_golden as helm
from tests.models import test_nt_golden as nt
from tests.models import test_rinalmo_golden as rinalmo
from tests.models.golden_transformer import small

MANY = 30  # models that are drawn
ATTENTION = ("query", "key", "value", "output")


def draws(settings: TransformerSettings) -> dict[str, Tensor]:
    """Every tensor of many models, side by side."""
    torch.manual_seed(0)
    models = [dict(LanguageModel.build(settings).named_parameters()) for _ in range(MANY)]
    return {name: torch.stack([model[name].detach() for model in models]) for name in models[0]}


def check(settings: TransformerSettings, records: Mapping[str, tuple[list[int], float, float | None]]) -> None:
    """records: our name -> shape, deviation and largest value in one model of the original code."""
    drawn = draws(settings)
    for name, values in drawn.items():
        if "norm" in name or name.endswith("beta"):
            assert torch.equal(values, torch.full_like(values, float(not name.endswith("bias")))), name
    for name, (shape, deviation, largest) in records.items():
        count = torch.Size(shape).numel()
        rms = float(drawn[name].square().mean().sqrt())
        assert rms == pytest.approx(deviation, rel=4 / (2 * count) ** 0.5), name  # four standard errors of one model
        if largest:  # distributions with an end
            assert largest * (1 - 1e-4) <= float(drawn[name].abs().max()) <= largest * (1 + 30 / count), name


def named(record: Mapping[str, Any], pairs: Mapping[str, str], has_largest: bool) -> dict[str, Any]:
    return {
        ours: (record[theirs][0], record[theirs][1], record[theirs][-1] if has_largest else None)
        for ours, theirs in pairs.items()
    }


@pytest.fixture(scope="module")
def meta(golden):
    return {
        name: json.loads((golden / name / "meta.json").read_text()) for name in ("rinalmo", "nt", "dnabert2", "helm")
    }


def test_rinalmo_begins_as_torch_does(meta):
    block, layer = "transformer.blocks.1.", "encoder.layers.1."
    pairs = {
        **{f"{layer}attention.{name}.weight": f"{block}mh_attn.mh_attn.to_{name[0]}.weight" for name in ATTENTION[:3]},
        f"{layer}attention.output.weight": f"{block}mh_attn.mh_attn.out_proj.weight",
        f"{layer}mlp.gate.weight": f"{block}transition.0.linear.weight",
        f"{layer}mlp.up.bias": f"{block}transition.0.linear_gate.bias",
        f"{layer}mlp.down.weight": f"{block}transition.2.weight",
        f"{layer}mlp.down.bias": f"{block}transition.2.bias",
        "mlm_head.dense.bias": "lm_mask_head.linear1.bias",
        "mlm_head.decoder.weight": "lm_mask_head.linear2.weight",
        "mlm_head.bias": "lm_mask_head.linear2.bias",
    }
    record = meta["rinalmo"]["init_shape_std_absmax"]
    check(rinalmo.SETTINGS, named(record, pairs, True))
    check(rinalmo.SETTINGS, named(record, {"encoder.embeddings.word.weight": "embedding.weight"}, False))


def test_the_nucleotide_transformer_begins_as_haiku_does(meta):
    block, layer = "nt/attention_layer_1/~/", "encoder.layers.1."
    haiku = {"query": "query", "key": "key", "value": "value", "output": "mha_output"}
    pairs = {
        "encoder.embeddings.word.weight": "nt/~/embed/embeddings",
        "encoder.embeddings.position.weight": "nt/~/esm_learned_positional_embeddings/~/embed/embeddings",
        **{f"{layer}attention.{ours}.weight": f"{block}self_attention/{name}/w" for ours, name in haiku.items()},
        **{f"{layer}attention.{ours}.bias": f"{block}self_attention/{name}/b" for ours, name in haiku.items()},
        f"{layer}mlp.up.weight": f"{block}fc1/w",
        f"{layer}mlp.up.bias": f"{block}fc1/b",
        f"{layer}mlp.down.weight": f"{block}fc2/w",
        "mlm_head.dense.weight": "nt/~/roberta_lm_head/~/lm_head_fc_1/w",
        "mlm_head.decoder.weight": "nt/~/roberta_lm_head/~/lm_final_fc/w",
        "mlm_head.bias": "nt/~/roberta_lm_head/~/lm_final_fc/b",
    }
    check(small(nt.FAMILY["v1"]), named(meta["nt"]["v1"]["init_haiku"], pairs, True))


def test_helm_begins_as_gpt2_does_but_for_its_head(meta):
    block, layer = "model.h.1.", "encoder.layers.1."
    pairs = {
        "encoder.embeddings.word.weight": "model.wte.weight",
        f"{layer}attention.query.weight": f"{block}attn.c_attn.weight",
        f"{layer}attention.query.bias": f"{block}attn.c_attn.bias",
        f"{layer}attention.output.weight": f"{block}attn.c_proj.weight",
        f"{layer}mlp.up.weight": f"{block}mlp.c_fc.weight",
        f"{layer}mlp.down.weight": f"{block}mlp.c_proj.weight",
        "mlm_head.decoder.weight": "lm_head.weight",
    }
    check(helm.MASKED, named(meta["helm"]["init_shape_std_mean"], pairs, False))


def test_dnabert2_begins_as_bert_does(meta):
    block, layer = "bert.encoder.layer.1.", "encoder.layers.1."
    pairs = {
        "encoder.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        f"{layer}attention.value.weight": f"{block}attention.self.Wqkv.weight",
        f"{layer}mlp.gate.weight": f"{block}mlp.gated_layers.weight",
        f"{layer}mlp.down.weight": f"{block}mlp.wo.weight",
        f"{layer}mlp.down.bias": f"{block}mlp.wo.bias",
        "mlm_head.dense.weight": "cls.predictions.transform.dense.weight",
        "mlm_head.bias": "cls.predictions.decoder.bias",
    }
    check(dnabert2.SETTINGS, named(meta["dnabert2"]["init_shape_std"], pairs, False))
