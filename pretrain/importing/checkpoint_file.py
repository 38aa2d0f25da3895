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
from pretrain.importing.pickle_tree import Call, Name, describe, read_pickle
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
    raise _no_checkpoint(path, head)


def _no_checkpoint(path: Path, head: bytes) -> PolymeraseError:
    """What a download may leave in place of the file."""
    expected = "expected a torch, Paddle, .npz or .safetensors file"
    if head.startswith(b"version https://"):
        return PolymeraseError(f"{path}: a pointer of Git LFS, {expected}; fetch the file itself with git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return PolymeraseError(
            f"{path}: a web page, {expected}; download the file again, logged in where it asks for it"
        )
    return PolymeraseError(f"{path}: not a checkpoint ({expected})")


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
        raise PolymeraseError(f"{source}: holds {_what(tree)}, expected named tensors; save the model's state_dict()")
    place, state = _find_state(top)
    if state is None:
        keys = ", ".join(f"{describe(key)}: {_what(value)}" for key, value in list(top.items())[:8]) or "nothing"
        raise PolymeraseError(
            f"{source}: no named tensors at the top, under {'/'.join(_STATE_KEYS)} or in one other part of the file "
            f"(found: {keys}); save the model's state_dict()"
        )
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
    inner = {key: found for key, node in top.items() if (found := _as_mapping(node)) and _has_tensors(found)}
    known = next((key for key in _STATE_KEYS if key in inner), None)
    if known is not None:  # even beside tensors at the top, as states of random number generators are
        return known, inner[known]
    if _has_tensors(top):
        return "", top
    return next(iter(inner.items())) if len(inner) == 1 else ("", None)


def _has_tensors(tree: dict[Any, Any]) -> bool:
    return any(_is_tensor_like(node) for node in tree.values())


def _what(node: Any) -> str:
    """What an entry is, in a few words: a pickled object by its class, whose code would have to run."""
    if isinstance(node, Call):
        made = node.args[0] if isinstance(node.args, tuple) and node.args and isinstance(node.args[0], Name) else None
        return f"a pickled object ({describe(made or node.target)})"
    return describe(node)


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
