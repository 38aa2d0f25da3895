"""Check of every family against its reference: upstream's outputs if goldens exist, otherwise transformers' class."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES, Family
from pretrain.families.evo1 import EVO1
from pretrain.families.golden_references import PADDED_GOLDENS
from pretrain.families.hyenadna import HYENADNA
from pretrain.families.published import our_tensors, parameter_count, published_model
from pretrain.models import LanguageModel, ModelSettings, side_inputs_of
from pretrain.models.padded import Unpadded, unpad, unpad_rows
from pretrain.models.striped_hyena.settings import gated_inner_size
from pretrain.tokenizers import TOKENIZERS

TINY = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}


@dataclass(frozen=True)
class Measured:
    """Largest difference of logits on real tokens, its limit, and the reference."""

    difference: float
    tolerance: float
    reference: str


def measure(family: Family, golden: Path) -> Measured:
    """Run the family's small reference case; PolymeraseError if its golden files are not there."""
    if not golden.is_dir():
        raise PolymeraseError(
            f"{golden}: no golden files here; run the check in a clone of the repository, or give --golden"
        )
    with torch.no_grad():
        if family.name in PADDED_GOLDENS:
            case = PADDED_GOLDENS[family.name]
            return Measured(case.difference(family, golden), case.tolerance, "upstream outputs")
        return REFERENCES.get(family.name, _transformers)(family, golden)


def table(golden: Path) -> tuple[str, bool]:
    """Return the table of all families as text, and whether every figure is within bounds."""
    rows = [("family", "tokens", "parameters", "difference", "allowed", "reference", "export class")]
    good = True
    for family in FAMILIES.values():
        measured, parameters = measure(family, golden), parameter_count(family.settings, family.heads)
        good &= measured.difference <= measured.tolerance and parameters == family.parameters
        form = family.hugging_face
        rows.append(
            (
                family.name,
                f"{family.settings.vocab_size}",
                f"{parameters:,}" if parameters == family.parameters else f"{parameters:,} != {family.parameters:,}",
                f"{measured.difference:.1e}",
                f"{measured.tolerance:.0e}",
                measured.reference,
                form.masked_lm_class + (" (own code)" if form.kind == "remote" else ""),
            )
        )
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines), good


def _model(family: Family, settings: ModelSettings, published: Mapping[str, Tensor]) -> LanguageModel:
    model = published_model(settings)
    tensors = our_tensors(family.upstream, published)
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith("heads.")})
    return model.eval()


def _difference(model: LanguageModel, packed: Unpadded, expected: Tensor) -> float:
    return (model(packed.batch) - packed.pick(expected)).abs().max().item()


def _ernie_rna(family: Family, golden: Path) -> Measured:
    folder = golden / "ernie_rna"
    inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
    model = _model(family, family.resized(TINY), load_file(folder / "weights.safetensors"))
    side_inputs = side_inputs_of(model.settings, TOKENIZERS[family.tokenizer]().vocab)
    differences = []
    for case in ("single", "padded", "masked", "gapped"):
        ids = inputs[f"{case}.input_ids"]
        packed = unpad(ids, ids != family.settings.pad_token_id, side_inputs)
        differences.append(_difference(model, packed, outputs[f"{case}.logits"]))
    return Measured(max(differences), 5e-5, "upstream outputs")


def _rnaernie(family: Family, golden: Path) -> Measured:
    folder = golden / "rnaernie" / "tiny_rnaernie"
    arrays = {
        name: {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}.npz").items()}
        for name in ("paddle_layout", "inputs", "expected")
    }
    settings = family.resized(json.loads((folder / "config.json").read_text()))
    packed = unpad(arrays["inputs"]["input_ids"], arrays["inputs"]["attention_mask"].bool())
    model = _model(family, settings, arrays["paddle_layout"])
    return Measured(_difference(model, packed, arrays["expected"]["logits"]), 2e-5, "independent port's outputs")


def _utr_lm(family: Family, golden: Path) -> Measured:
    folder = golden / "utr_lm"
    weights, forward = load_file(folder / "weights.safetensors"), load_file(folder / "forward.safetensors")
    named = {key.removeprefix("module."): value for key, value in weights.items() if key.startswith("module.")}
    model = _model(family, family.resized({**TINY, "intermediate_size": 128}), named)
    ids = forward["masked_tokens"]
    packed = unpad(ids, ids != family.settings.pad_token_id)
    return Measured(_difference(model, packed, forward["masked.logits_mlm"]), 2e-5, "upstream outputs")


def _mutbert(family: Family, golden: Path) -> Measured:
    folder = golden / "mutbert"
    cases = load_file(folder / "model_cases.safetensors")
    settings = family.resized(json.loads((folder / "tiny_config.json").read_text()))
    model = _model(family, settings, load_file(folder / "mlm_weights.safetensors"))
    assert settings.base_token_ids is not None
    packed = unpad_rows(cases["B.input"], cases["B.attention_mask"].bool(), settings.base_token_ids)
    return Measured(_difference(model, packed, cases["B.logits"]), 1e-4, "upstream outputs")


def _gpn(family: Family, golden: Path, weights: str) -> Measured:
    arrays = {name: torch.from_numpy(value) for name, value in np.load(golden / "gpn" / "io.npz").items()}
    config = json.loads((golden / "gpn" / "meta.json").read_text())["variants"][weights]["config"]
    published = load_file(golden / "gpn" / f"{weights}.safetensors")
    config = {key: value for key, value in config.items() if key not in family.hugging_face.unread}
    settings = family.resized({**config, **family.more_sizes(our_tensors(family.upstream, published))})
    packed = unpad(arrays["input_ids"], torch.ones_like(arrays["input_ids"], dtype=torch.bool))
    model = _model(family, settings, published)
    return Measured(_difference(model, packed, arrays[f"{weights}/logits"]), 2e-5, "upstream outputs")


def _hyenadna(family: Family, golden: Path) -> Measured:
    folder = golden / "hyenadna"
    io = load_file(folder / "io.safetensors")
    settings = family.resized({"d_model": 32, "n_layer": 2, "d_inner": 128, "max_seq_len": 130})
    model = _model(family, settings, load_file(folder / "weights.safetensors"))
    differences = []
    for case in ("single_5", "single_64", "single_130"):
        packed = unpad(io[case], torch.ones_like(io[case], dtype=torch.bool))
        differences.append(_difference(model, packed, io[f"shift0.05.{case}.logits"]))
    return Measured(max(differences), 1e-4, "upstream outputs")


def _evo1(family: Family, golden: Path) -> Measured:
    folder = golden / "evo1"
    io, scaled = load_file(folder / "io.safetensors"), family.settings.rope_scaling is not None
    config = json.loads((folder / "meta.json").read_text())["config"]
    settings = family.resized({**config, "inner_mlp_size": gated_inner_size(config["hidden_size"])})
    model = _model(family, settings, load_file(folder / "weights.safetensors"))
    packed = unpad(io["input_ids"], io["padding_mask"].bool())
    logits = model(packed.batch)
    of_all = packed.pick(io["interpolated16.logsumexp_512" if scaled else "logsumexp_512"])
    differences = [(logits.logsumexp(1) - of_all).abs().max().item()]
    if not scaled:
        differences.append((logits[:, :128] - packed.pick(io["logits_ascii_columns_0_127"])).abs().max().item())
    return Measured(max(differences), 1e-4, "upstream outputs")


def _transformers(family: Family, golden: Path) -> Measured:
    """Families that are a class of transformers and have no weights golden: random weights, padded rows."""
    import transformers

    config = family.hugging_face.config(family.resized(TINY))
    kind = getattr(transformers, family.hugging_face.masked_lm_class)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = kind(kind.config_class(**config)).eval()
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        ids = torch.randint(5, family.settings.vocab_size, (3, 20))
    real = torch.arange(20)[None, :] < torch.tensor([20, 13, 5])[:, None]
    model = published_model(family.resized(TINY)).eval()
    model.load_state_dict(our_tensors(family.hugging_face.keys, theirs.state_dict()))
    expected = theirs(input_ids=ids, attention_mask=real.long()).logits
    return Measured(_difference(model, unpad(ids, real), expected), 1e-4, "transformers, random weights")


REFERENCES: dict[str, Callable[[Family, Path], Measured]] = {
    "ernie_rna": _ernie_rna,
    "rnaernie": _rnaernie,
    "utr_lm": _utr_lm,
    "mutbert": _mutbert,
    "gpn_brassicales": partial(_gpn, weights="convnet_legacy"),
    "gpn_convnet": partial(_gpn, weights="gpn_convnet"),
    "gpn_promoter": partial(_gpn, weights="gpn_bytenet_slim"),
    **{family.name: _hyenadna for family in HYENADNA},
    **{family.name: _evo1 for family in EVO1},
}
