"""From weights under our names to a verified Hugging Face folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.card import CardFacts, model_card
from pretrain.exporting.form import Kind, class_of, config_json
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.new_folder import new_folder
from pretrain.exporting.tensors import export_tensors
from pretrain.exporting.verify import Verification, verify
from pretrain.families import Family
from pretrain.families.own_code import OWN_FILES, form_of
from pretrain.importing.source import CONFIG, CORPORA_KEY, OBJECTIVE_HEADS, UNUSED_TENSORS
from pretrain.models import ModelSettings

REMOTE_CODE = Path(__file__).with_name("remote_code")


@dataclass(frozen=True)
class ExportReport:
    """The folder that was written, and its agreement with the model."""

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
    *,
    with_tokenizer: bool = True,
) -> ExportReport:
    """Write, verify and publish a Hugging Face folder.

    Args:
        state: float32 tensors ``encoder.…``, ``mlm_head.…`` and, if there are any, ``heads.…`` and ``unused.…``.
        family: of the model.
        settings: of the model.
        folder: must not exist, or be empty.
        facts: for the card.
        kind: ``mlm`` for the whole model, ``encoder`` for the base class without output head (native classes only).
        with_tokenizer: False for weights whose rows stand for other tokens than the family's.

    Raises:
        PolymeraseError: the folder is taken, a tensor has no place, or stock transformers does not give what our
            model gives; nothing is left behind.
    """
    form = form_of(family, settings)
    if kind == "encoder" and form.kind == "remote":
        raise PolymeraseError(f"{family.name} is exported whole; AutoModel loads the encoder of that folder")
    tokenizer = family.build_tokenizer() if with_tokenizer else None
    vocab = tokenizer.vocab if tokenizer is not None else ()
    class_name, _ = class_of(form, settings, kind)
    with new_folder(folder) as partial:
        tensors = export_tensors(family, settings, state, kind)
        save_file(tensors.model, partial / "model.safetensors", metadata={"format": "pt"})
        for name, side in ((OBJECTIVE_HEADS, tensors.heads), (UNUSED_TENSORS, tensors.unused)):
            if side:
                save_file(side, partial / name)
        config = config_json(family, settings, class_name, vocab)
        if facts.corpora:
            config[CORPORA_KEY] = dict(facts.corpora)
        (partial / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if form.kind == "remote":
            for name in OWN_FILES[form.model_type]:
                shutil.copyfile(REMOTE_CODE / name, partial / name)
        if tokenizer is not None:
            longest = longest_input(family, settings)
            write_tokenizer(tokenizer, partial, max_length=longest, token_type_ids=family.token_type_ids)
        verified = verify(partial, family, settings, state, tokenizer, kind)
        remote_tokenizer = tokenizer is not None and "auto_map" in json.loads(
            (partial / "tokenizer_config.json").read_text(encoding="utf-8")
        )
        remote = (remote_tokenizer, form.kind == "remote")
        card = model_card(folder.name, family, settings, kind, tensors, remote, facts, verified, tokenizer)
        (partial / "README.md").write_text(card, encoding="utf-8")
        files = tuple(sorted(path.name for path in partial.iterdir()))
    parameters = sum(tensor.numel() for tensor in tensors.model.values())
    return ExportReport(folder, class_name, parameters, files, verified)


def longest_input(family: Family, settings: ModelSettings) -> int:
    """Return the tokens at which the exported tokenizer truncates when asked to.

    That is the published limit for the published table, else the model's own.
    """
    published = family.settings.max_position_embeddings
    return family.max_tokens if settings.max_position_embeddings == published else settings.max_position_embeddings
