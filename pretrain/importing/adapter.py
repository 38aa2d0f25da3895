"""A PEFT folder (``adapter_config.json``) as a source: LoRA merged into the base model that it names.

W + scale * B A for every pair of matrices; what else the folder holds (``modules_to_save``, biases) stands for the
base's tensor of that name. A classifier that only the adapter has is left out: none of our commands reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.importing.checkpoint_file import read_checkpoint_file
from pretrain.importing.settings_file import read_settings

if TYPE_CHECKING:
    from pretrain.importing.source import ImportedFile

ADAPTER_CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_PREFIX = "base_model.model."
_NAME = re.compile(r"[\w.]+")
_MATRICES = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B")
CLASSIFIERS = ("classifier.", "score.")
_PLAIN_STARTS = ("gaussian", "orthogonal", "eva")  # kinds of init_lora_weights that leave the base as it is
# Settings of PEFT 0.21 that are read here, or that change nothing once the matrices are trained. Another one that is
# set (aLoRA, KaSA, QALoRA, …) may mean that W + scale B A is not the model that was trained.
_KNOWN = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora",
    "modules_to_save", "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
    "megatron_core", "eva_config", "loftq_config", "qalora_group_size", "runtime_config", "ensure_weight_tying",
}  # fmt: skip


def is_adapter(folder: Path) -> bool:
    """Whether a folder was saved by PEFT."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of(folder: Path) -> Path:
    """The folder of the base model, as the adapter names it: seen from here, or from beside the adapter.

    Raises:
        PolymeraseError: it is not on this machine.
    """
    stated = _read_config(folder).get("base_model_name_or_path")
    found = [path for path in (Path(str(stated)), folder / str(stated)) if stated and path.is_dir()]
    if not found:
        raise PolymeraseError(
            f"{folder / ADAPTER_CONFIG}: base_model_name_or_path: expected the folder of the base model, got "
            f"{stated!r}, which is no folder here; write its path there"
        )
    return found[0]


def merged(base: ImportedFile, folder: Path) -> ImportedFile:
    """The base with the adapter in its weights.

    Raises:
        PolymeraseError: no LoRA, one of a kind that is not merged here, or of another base.
    """
    config = _read_config(folder)
    _check(config, folder / ADAPTER_CONFIG)
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        raise PolymeraseError(f"{folder}: expected {' or '.join(_FILES)}, got neither")
    tensors, pairs = dict(base.tensors), dict[str, dict[str, Tensor]]()
    for key, tensor in read_checkpoint_file(file).tensors.items():
        module, kind, _ = next((found for name in _MATRICES if (found := _parted(key, name))[1]), (key, "", ""))
        if kind:
            pairs.setdefault(module, {})[kind.rpartition("_")[2]] = tensor
        elif not key.removeprefix(_PREFIX).startswith(CLASSIFIERS):
            name = _base_name(key, tensors, file)
            tensors[name] = _of_shape(tensor, tensors[name], key, file)
    for module, pair in pairs.items():
        if pair.keys() != {"A", "B"}:
            raise PolymeraseError(f"{file}: {module}: expected lora_A and lora_B, got one of them")
        name = _base_name(f"{module}.weight", tensors, file)
        weight, change = tensors[name], pair["B"].float() @ pair["A"].float()
        if change.shape != weight.shape or (config.get("fan_in_fan_out") and change.shape[0] == change.shape[1]):
            change = change.T  # embeddings, and GPT-2's matrices, stand the other way round
        scale = _scale(config, module.removeprefix(_PREFIX), len(pair["A"]))
        tensors[name] = weight.float() + scale * _of_shape(change, weight, module, file)
    return replace(base, tensors=tensors)


def _read_config(folder: Path) -> Mapping[str, Any]:
    return read_settings(folder / ADAPTER_CONFIG, "an adapter")


def _check(config: Mapping[str, Any], path: Path) -> None:
    start = config.get("init_lora_weights", True)
    plain = not isinstance(start, str) or start in _PLAIN_STARTS
    for key, fits, wanted in (
        ("peft_type", config.get("peft_type") == "LORA", "LORA"),
        ("use_dora", not config.get("use_dora"), "false"),
        ("lora_bias", not config.get("lora_bias"), "false"),
        ("init_lora_weights", plain, "a start that leaves the base as it is"),
        ("lora_alpha", _is_number(config.get("lora_alpha")), "a number"),
        ("alpha_pattern", all(map(_NAME.fullmatch, config.get("alpha_pattern") or {})), "names, not expressions"),
        *((key, not config[key], "nothing, for this is not merged here") for key in config.keys() - _KNOWN),
    ):
        if not fits:
            raise PolymeraseError(
                f"{path}: {key}: expected {wanted}, got {config.get(key)!r}; merge it with PEFT's merge_and_unload and "
                "save_pretrained, and give that folder"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _parted(key: str, matrix: str) -> tuple[str, str, str]:
    module, kind, rest = key.partition(f".{matrix}.") if f".{matrix}." in key else key.partition(f".{matrix}")
    return (module, kind.strip("."), rest) if kind and rest in ("weight", "") else (key, "", "")


def _base_name(key: str, tensors: Mapping[str, Tensor], file: Path) -> str:
    """The base's tensor: under the same name, or below the prefix that AutoModel's classes lack."""
    name = key.removeprefix(_PREFIX).replace(".base_layer.", ".")  # biases of layers that have matrices, too
    found = [name] if name in tensors else [one for one in tensors if one.endswith(f".{name}")]
    if len(found) != 1:
        raise PolymeraseError(f"{file}: {key}: the base has {len(found)} tensors of that name; is this its base model?")
    return found[0]


def _of_shape(tensor: Tensor, other: Tensor, key: str, file: Path) -> Tensor:
    if tensor.shape != other.shape:
        raise PolymeraseError(f"{file}: {key}: expected {tuple(other.shape)} as in the base, got {tuple(tensor.shape)}")
    return tensor


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """Return alpha / r, or alpha / sqrt(r) of rank-stabilised LoRA. Of patterns the first counts, as in PEFT."""
    patterns = (config.get("alpha_pattern") or {}).items()
    of_module = (value for name, value in patterns if module == name or module.endswith(f".{name}"))
    alpha = next(filter(_is_number, of_module), config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
