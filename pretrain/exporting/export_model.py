"""From weights under our names to a verified Hugging Face folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.card import CardFacts, model_card
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.new_folder import new_folder
from pretrain.exporting.tensors import Kind, export_tensors
from pretrain.exporting.verify import Verification, verify
from pretrain.families import Family
from pretrain.importing.source import CONFIG, FAMILY_KEY, OBJECTIVE_HEADS, UNUSED_TENSORS
from pretrain.models import ModelSettings
from pretrain.tokenizers import build_tokenizer

_REMOTE_CODE = Path(__file__).with_name("remote_code")


@dataclass(frozen=True)
class ExportReport:
    """What was written and how well it agrees with the model."""

    folder: Path
    class_name: str
    parameters: int
    files: tuple[str, ...]
    verification: Verification

    def __str__(self) -> str:
        checked = self.verification
        return (
            f"{self.folder}: {self.class_name}, {self.parameters:,} parameters; loaded by transformers in a fresh "
            f"process, largest difference {checked.difference:.2e} (limit {checked.limit:.2e})"
        )


def export_model(
    state: Mapping[str, Tensor],
    family: Family,
    settings: ModelSettings,
    folder: Path,
    facts: CardFacts,
    kind: Kind = "mlm",
) -> ExportReport:
    """Write, verify and publish a Hugging Face folder.

    Args:
        state: float32 tensors ``encoder.…``, ``mlm_head.…`` and, where there are any, ``heads.…`` and ``unused.…``.
        folder: must not exist, or be empty.
        kind: ``mlm`` for the whole model, ``encoder`` for the base class without output head (native classes only).

    Raises:
        PolymeraseError: the folder is taken, a tensor has no place, or stock transformers does not give what our
            model gives; nothing is left behind.
    """
    form = family.hugging_face
    if kind == "encoder" and form.kind == "remote":
        raise PolymeraseError(f"{family.name} is exported whole; AutoModel loads the encoder of that folder")
    tokenizer = build_tokenizer(family.tokenizer)
    class_name = form.masked_lm_class if kind == "mlm" else form.base_class
    with new_folder(folder) as partial:
        tensors = export_tensors(family, settings, state, kind)
        save_file(tensors.model, partial / "model.safetensors", metadata={"format": "pt"})
        for name, side in ((OBJECTIVE_HEADS, tensors.heads), (UNUSED_TENSORS, tensors.unused)):
            if side:
                save_file(side, partial / name)
        config = json.dumps(config_json(family, settings, class_name), indent=2, sort_keys=True) + "\n"
        (partial / CONFIG).write_text(config, encoding="utf-8")
        if form.kind == "remote":
            for part in ("configuration", "modeling"):
                shutil.copyfile(_REMOTE_CODE / f"{part}_{form.model_type}.py", partial / f"{part}_{form.model_type}.py")
        write_tokenizer(tokenizer, partial, max_length=longest_input(family, settings))
        verified = verify(partial, family, settings, state, tokenizer, kind)
        remote_tokenizer = "auto_map" in json.loads((partial / "tokenizer_config.json").read_text(encoding="utf-8"))
        remote = (remote_tokenizer, form.kind == "remote")
        card = model_card(folder.name, family, settings, kind, tensors, remote, facts, verified)
        (partial / "README.md").write_text(card, encoding="utf-8")
        files = tuple(sorted(path.name for path in partial.iterdir()))
    parameters = sum(tensor.numel() for tensor in tensors.model.values())
    return ExportReport(folder, class_name, parameters, files, verified)


def config_json(family: Family, settings: ModelSettings, class_name: str) -> dict[str, Any]:
    """config.json: the class's settings, where its code is, and which family of ours this is."""
    form = family.hugging_face
    config = form.config(settings) | {"architectures": [class_name], "dtype": "float32", FAMILY_KEY: family.name}
    if form.kind == "remote":
        stem = form.base_class.removesuffix("Model")
        modeling = f"modeling_{form.model_type}.{stem}"
        config["auto_map"] = {
            "AutoConfig": f"configuration_{form.model_type}.{stem}Config",
            "AutoModel": f"{modeling}Model",
            "AutoModelForMaskedLM": f"{modeling}ForMaskedLM",
            "AutoModelForSequenceClassification": f"{modeling}ForSequenceClassification",
        }
    return config


def longest_input(family: Family, settings: ModelSettings) -> int:
    """Tokens at which the exported tokenizer truncates when asked to: the published limit for the published table,
    else the model's own."""
    published = family.settings.max_position_embeddings
    return family.max_tokens if settings.max_position_embeddings == published else settings.max_position_embeddings
