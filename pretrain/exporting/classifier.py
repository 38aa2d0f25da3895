"""A fine-tuned model as a verified folder for ``AutoModelForSequenceClassification`` or ``…TokenClassification``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from pretrain.errors import PolymeraseError
from pretrain.exporting.export_model import REMOTE_CODE, longest_input
from pretrain.exporting.form import config_json
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.new_folder import new_folder
from pretrain.exporting.tensors import export_tensors
from pretrain.exporting.verify import TOLERANCE, make_probe, our_output, run_fresh
from pretrain.families import Family
from pretrain.families.own_code import OWN_FILES, form_of
from pretrain.importing.match import base_prefix
from pretrain.importing.source import CONFIG
from pretrain.models import ModelSettings
from pretrain.tokenizers import Tokenizer

SEQUENCES, TOKENS = "ForSequenceClassification", "ForTokenClassification"


@dataclass(frozen=True)
class Classifier:
    """A fine-tuned classifier.

    Attributes:
        encoder: float32 tensors ``encoder.…``.
        dense: weight (D, D) and bias (D,) of tanh(dense(first token)); None where every token has a class.
        output: weight (C, D) and bias (C,).
        labels: of the C outputs; empty for one value.
    """

    encoder: Mapping[str, Tensor]
    dense: tuple[Tensor, Tensor] | None
    output: tuple[Tensor, Tensor]
    labels: tuple[str, ...]

    @property
    def task(self) -> str:
        """Ending of the class that computes it."""
        return TOKENS if self.dense is None else SEQUENCES


def export_classifier(
    model: Classifier, family: Family, settings: ModelSettings, folder: Path, about: str
) -> tuple[str, float]:
    """Write, verify and publish the folder; returns its class and the largest difference to our own outputs.

    Args:
        model: encoder and head.
        family: of the encoder.
        settings: of the encoder.
        folder: must not exist, or be empty.
        about: paragraphs for the README: task, figures, limits.

    Raises:
        PolymeraseError: the folder is taken, or transformers does not give what our model gives; nothing is left.
    """
    form = form_of(family, settings)
    class_name = f"{form.base_class.removesuffix('Model')}{model.task}"
    tokenizer = family.build_tokenizer()
    with new_folder(folder) as partial:
        tensors = export_tensors(family, settings, model.encoder, "mlm").model | _head(model, base_prefix(form.keys))
        save_file(
            {name: tensor.detach().cpu().float().contiguous().clone() for name, tensor in sorted(tensors.items())},
            partial / "model.safetensors", metadata={"format": "pt"},
        )  # fmt: skip
        names = model.labels or ("value",)
        problem = "single_label_classification" if model.labels else "regression"
        config = config_json(family, settings, class_name, tokenizer.vocab) | {
            "id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)},
        }
        if model.task == SEQUENCES:
            config["problem_type"] = problem
        if form.kind == "remote":
            if model.task == SEQUENCES:
                config["pooler_type"] = "first_token_transform"
            for name in OWN_FILES[form.model_type]:
                shutil.copyfile(REMOTE_CODE / name, partial / name)
        (partial / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        write_tokenizer(
            tokenizer, partial, max_length=longest_input(family, settings), token_type_ids=family.token_type_ids
        )
        difference = _verified(partial, model, settings, tokenizer)
        (partial / "README.md").write_text(
            _card(folder.name, class_name, f"AutoModel{model.task}", about, partial), encoding="utf-8"
        )
    return class_name, difference


def _head(model: Classifier, prefix: str) -> dict[str, Tensor]:
    """Head tensors under the names of the class: ESM's dense layer is in the classifier, that of others in a pooler."""
    if model.dense is None:
        return dict(zip(("classifier.weight", "classifier.bias"), model.output, strict=True))
    esm = prefix == "esm."
    dense, output = ("classifier.dense", "classifier.out_proj") if esm else (f"{prefix}pooler.dense", "classifier")
    return {
        f"{name}.{part}": tensor
        for name, pair in ((dense, model.dense), (output, model.output))
        for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }


def _verified(folder: Path, model: Classifier, settings: ModelSettings, tokenizer: Tokenizer) -> float:
    """The largest difference over a few sequences, relative to the largest output where that is above 1."""
    probe = replace(make_probe(tokenizer, settings.max_position_embeddings), masked=[])
    states = our_output(settings, model.encoder, tokenizer, probe, "encoder")
    output = [part.detach().cpu().float() for part in model.output]
    ran = run_fresh(folder, f"AutoModel{model.task}", probe)
    if model.dense is None:
        expected = F.linear(torch.cat(states), *output)
        found = ran["output"][ran["attention_mask"].bool()]
    else:
        dense = [part.detach().cpu().float() for part in model.dense]
        expected = F.linear(torch.tanh(F.linear(torch.stack([one[0] for one in states]), *dense)), *output)
        found = ran["output"]
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1))
    if not difference <= TOLERANCE:
        raise PolymeraseError(
            f"export failed: loaded by transformers, its output differs from the model's by {difference:.2e} "
            f"(limit {TOLERANCE:.0e}); nothing was written"
        )
    return difference


def _card(name: str, class_name: str, auto_class: str, about: str, folder: Path) -> str:
    remote = {
        what: ", trust_remote_code=True" if "auto_map" in (folder / file).read_text(encoding="utf-8") else ""
        for what, file in (("tokenizer", "tokenizer_config.json"), ("model", CONFIG))
    }
    pipeline = "token-classification" if auto_class.endswith(TOKENS) else "text-classification"
    front = {"library_name": "transformers", "license": "unknown", "pipeline_tag": pipeline}
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {name}\n\nA fine-tuned model ({class_name}), written "
        f"by polymerase.\n\n```python\nfrom transformers import {auto_class}, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("./{name}"{remote["tokenizer"]})\n'
        f'model = {auto_class}.from_pretrained("./{name}"{remote["model"]}).eval()\n'
        f'logits = model(**tokenizer("ACGUACGUACGU", return_tensors="pt")).logits\n```\n\n{about}\n'
    )
