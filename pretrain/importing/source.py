"""The SOURCE of an import: a checkpoint file, or a folder with one (a Hugging Face folder, a release's archive)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.importing.adapter import ADAPTER_CONFIG, base_of, is_adapter, merged
from pretrain.importing.checkpoint_file import Checkpoint, read_checkpoint_file
from pretrain.importing.settings_file import read_settings
from pretrain.importing.training_facts import Fact

CONFIG = "config.json"
FAMILY_KEY = "polymerase_family"  # our exports say in config.json which family they are
TOKENIZER_KEY = "polymerase_tokenizer"  # and which tokenizer they are read with
CORPORA_KEY = "polymerase_corpora"  # and what it was trained on: name of a corpus -> fingerprint
OBJECTIVE_HEADS = "objective_heads.safetensors"
UNUSED_TENSORS = "upstream_unused.safetensors"
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_WEIGHT_FILES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip


@dataclass(frozen=True)
class ImportedFile:
    """Content of a source: tensors under the source's names, its config.json (empty if there is none), and facts.

    Attributes:
        side: tensors of our exports' side files, under our names.
        path: the checkpoint file, for messages.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: Mapping[str, Any]
    facts: dict[str, Fact]
    side: dict[str, Tensor]

    @property
    def is_hugging_face(self) -> bool:
        """Whether transformers (or our exporter) wrote this; releases made with forks do not say a version."""
        return FAMILY_KEY in self.config or "transformers_version" in self.config


def read_source(path: Path) -> ImportedFile:
    """Read a checkpoint file with the config.json beside it, a folder of both, or an adapter with its base model.

    Raises:
        PolymeraseError: nothing there, no or several checkpoints in the folder, a file that cannot be read.
    """
    if not path.exists():
        raise no_source(path)
    for run in (path, path.parent, path.parent.parent):
        if (run / "checkpoints").is_dir() and (path == run or path.is_relative_to(run / "checkpoints")):
            raise PolymeraseError(
                f"{path}: this is a run, whose weights are not in a published form; export it first (python "
                f"launch/export.py {run} --out DIR)"
            )
    if is_adapter(path):
        base = base_of(path)
        if is_adapter(base):
            raise PolymeraseError(f"{path}: its base model {base} is an adapter too; merge that one first")
        return merged(read_source(base), path)
    file = _checkpoint_in(path) if path.is_dir() else path
    checkpoint = _read_sharded(file) if file.name.endswith(".index.json") else read_checkpoint_file(file)
    side: dict[str, Tensor] = {}
    for name in (OBJECTIVE_HEADS, UNUSED_TENSORS):
        if (file.parent / name).is_file() and file.name in _WEIGHT_FILES:
            side |= read_checkpoint_file(file.parent / name).tensors
    return ImportedFile(file, checkpoint.tensors, _read_config(file.parent / CONFIG), checkpoint.facts, side)


def is_fine_tuned(path: Path) -> bool:
    """Whether a folder says that its weights were trained on labels: a classifier, or an adapter of one."""
    if is_adapter(path):
        return str(read_settings(path / ADAPTER_CONFIG, "an adapter").get("task_type")).endswith("_CLS")
    return is_classifier(_read_config((path if path.is_dir() else path.parent) / CONFIG))


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a class for classification."""
    kinds = config.get("architectures")
    return isinstance(kinds, list) and any(str(kind).endswith("Classification") for kind in kinds)


def no_source(path: Path) -> PolymeraseError:
    """The error for a model that is not here; a name of a hub is answered with the command that fetches it."""
    name = str(path)
    of_hub = _HUB_NAME.fullmatch(name) and not path.parent.exists()
    hint = f"; if it is a name on a hub: python launch/fetch_model.py {name} --out DIR" if of_hub else ""
    return PolymeraseError(f"{name}: no such file or folder{hint}")


def stated_corpora(path: Path) -> dict[str, str] | None:
    """Corpora that a source says it was trained on, name -> fingerprint; None if it does not say."""
    folder = base_of(path) if is_adapter(path) else path if path.is_dir() else path.parent
    stated = _read_config(folder / CONFIG).get(CORPORA_KEY)
    if not isinstance(stated, dict) or not stated:
        return None
    return {str(name): str(fingerprint) for name, fingerprint in stated.items()}


def _checkpoint_in(folder: Path) -> Path:
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    suffixes = {".pt", ".pth", ".ckpt", ".pkl", ".bin", ".pdparams", ".npz", ".safetensors"}
    names = sorted(p.name for p in folder.iterdir() if p.suffix in suffixes)
    if len(names) == 1:
        return folder / names[0]
    found = f"several checkpoint files: {', '.join(names[:5])}; name one" if names else "no checkpoint file"
    raise PolymeraseError(f"{folder}: {found}")


def _read_sharded(index: Path) -> Checkpoint:
    """A model in several files with one index."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as why:
        raise PolymeraseError(f"{index}: not an index of weights in several files ({why})") from None
    tensors: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name:
            raise PolymeraseError(f"{index}: names a file outside its folder: {name!r}")
        if not (index.parent / name).is_file():
            missing = f"{index.parent / name}: named in {index.name}, but not there"
            raise PolymeraseError(f"{missing}; {len(names)} files belong to these weights, get all of them")
        tensors |= read_checkpoint_file(index.parent / name).tensors
    return Checkpoint(tensors, {})


def _read_config(path: Path) -> Mapping[str, Any]:
    return read_settings(path, "a model") if path.is_file() else {}
