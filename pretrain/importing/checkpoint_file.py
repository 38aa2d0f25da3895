"""One checkpoint file from outside: its tensors by name, and facts about its training.

The container is recognized by the file's content, never by its name: upstream projects call the same torch container
``.pt``, ``.pkl`` and ``.bin``.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.importing.damage import ARCHIVE_ERRORS, damaged
from pretrain.importing.numpy_nodes import is_array, to_array
from pretrain.importing.pickle_tree import Call, describe, read_pickle
from pretrain.importing.torch_file import LEGACY_MAGIC, TorchTensors, read_legacy, read_zip
from pretrain.importing.training_facts import Fact, training_facts

_STATE_KEYS = ("model", "state_dict", "model_state_dict", "module")
_PADDLE_NAME_TABLE = "StructuredToParameterName@@"
_SAFETENSORS_HEADER_LIMIT = 100 * 2**20


@dataclass(frozen=True)
class Checkpoint:
    """Content of a file: tensors under the file's own keys, and scalar facts such as ``args.lr`` or ``num_updates``."""

    tensors: dict[str, Tensor]
    facts: dict[str, Fact]


def read_checkpoint_file(path: Path) -> Checkpoint:
    """Read a torch (``.pt .pkl .bin``), Paddle (``.pdparams``), ``.npz`` or ``.safetensors`` file.

    No code inside the file is executed and nothing it names is imported.

    Raises:
        PolymeraseError: no such file, cut off, damaged, or not a checkpoint.
    """
    if not path.is_file():
        raise PolymeraseError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise PolymeraseError(f"{path}: the file is empty")
    if head.startswith(b"PK"):
        return _npz(path) if _is_npz(path) else _from_tree(*read_zip(path), path.name)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _SAFETENSORS_HEADER_LIMIT:
        return _safetensors(path)
    if head[:1] == b"\x80":  # a pickle, protocol 2 or later
        with path.open("rb") as file:
            tree = read_pickle(file, path.name)
        if tree == LEGACY_MAGIC:
            return _from_tree(*read_legacy(path), path.name)
        return _from_tree(tree, None, path.name)
    raise PolymeraseError(f"{path}: not a checkpoint (expected a torch, Paddle, .npz or .safetensors file)")


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ARCHIVE_ERRORS as why:
        raise damaged(path.name, why) from None
    return bool(names) and all(name.endswith(".npy") for name in names)


def _npz(path: Path) -> Checkpoint:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except ARCHIVE_ERRORS as why:
        raise damaged(path.name, why) from None
    return Checkpoint(tensors, {})


def _safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            facts: dict[str, Fact] = {k: v for k, v in (file.metadata() or {}).items() if k != "format"}
    except (SafetensorError, OSError) as why:
        raise damaged(path.name, why) from None
    return Checkpoint(tensors, facts)


def _from_tree(tree: Any, tensors: TorchTensors | None, source: str) -> Checkpoint:
    top = _as_mapping(tree)
    if top is None:
        raise PolymeraseError(f"{source}: holds {type(tree).__name__}, not named tensors")
    place, state = _find_state(top)
    if state is None:
        keys = ", ".join(describe(key) for key in list(top)[:8]) or "nothing"
        raise PolymeraseError(f"{source}: no named tensors at the top or under {'/'.join(_STATE_KEYS)} (found: {keys})")
    found: dict[str, Tensor] = {}
    for key, node in state.items():
        if key == _PADDLE_NAME_TABLE:
            continue
        if tensors is not None and tensors.is_tensor(node):
            found[str(key)] = tensors(node)
        elif (array := _array_node(node)) is not None:
            found[str(key)] = torch.from_numpy(to_array(array, source))
        else:
            raise PolymeraseError(f"{source}: entry {describe(key)} is not a tensor of plain numbers")
    rest = {key: value for key, value in top.items() if key != place} if place else {}
    return Checkpoint(found, training_facts(rest))


def _find_state(top: dict[Any, Any]) -> tuple[str, dict[Any, Any] | None]:
    """(key under which the tensors are, '' for the top itself; the tensors' mapping or None)."""
    if any(_is_tensor_like(node) for node in top.values()):
        return "", top
    for key in _STATE_KEYS:
        inner = _as_mapping(top.get(key))
        if inner and any(_is_tensor_like(node) for node in inner.values()):
            return key, inner
    return "", None


def _is_tensor_like(node: Any) -> bool:
    return TorchTensors.is_tensor(node) or _array_node(node) is not None


def _array_node(node: Any) -> Call | None:
    """A numpy array, or Paddle's ``tuple((name, array))`` form of a tensor."""
    if isinstance(node, Call) and node.calls("builtins.tuple", "__builtin__.tuple"):
        inner = node.args[0] if isinstance(node.args, tuple) and len(node.args) == 1 else None
        node = inner[1] if isinstance(inner, tuple) and len(inner) == 2 else None
    return node if is_array(node) else None


def _as_mapping(node: Any) -> dict[Any, Any] | None:
    if isinstance(node, dict):
        return node
    if isinstance(node, Call) and node.calls("collections.OrderedDict"):
        return node.items
    return None
