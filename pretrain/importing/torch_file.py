"""PyTorch checkpoint files (`torch.save`), both containers, read without running their pickles.

* zip container (PyTorch 1.6 and later): `NAME/data.pkl` is the tree, `NAME/data/KEY` the raw bytes of one storage;
* the older stream: magic number, protocol, system facts, the tree, the list of storage keys, then every storage.

Only tensors that somebody asks for are read, so the optimizer history in a training checkpoint costs nothing.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.importing.damage import ARCHIVE_ERRORS, damaged
from pretrain.importing.pickle_tree import Call, Name, Persistent, describe, read_pickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
Storages = Callable[[str, int], bytes]  # (key, bytes needed) -> raw bytes


class TorchTensors:
    """Reader of the tensors that nodes of one file's tree stand for."""

    def __init__(self, source: str, storages: Storages) -> None:
        self._source = source
        self._storages = storages

    @staticmethod
    def is_tensor(node: Any) -> bool:
        """Tell whether a node stands for a tensor or a parameter."""
        return isinstance(node, Call) and node.calls(
            "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_tensor",
            "torch._utils._rebuild_parameter",
            "torch.nn.parameter.Parameter",
        )

    def __call__(self, node: Call) -> Tensor:
        """The tensor of a node (own memory, CPU).

        Raises:
            PolymeraseError: it does not describe a plain dense tensor inside its storage.
        """
        if node.calls("torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter"):
            inner = node.args[0] if isinstance(node.args, tuple) and node.args else None
            if not (isinstance(inner, Call) and inner is not node and self.is_tensor(inner)):
                raise PolymeraseError(f"{self._source}: a parameter without a plain tensor inside")
            node = inner
        try:
            storage, offset, size, stride = node.args[:4]
            kind, storage_type, key, _, count, *view = storage.pid  # the old stream adds a view, None in practice
            if (
                any(view)
                or kind != "storage"
                or not isinstance(storage_type, Name)
                or storage_type.name not in _STORAGE_DTYPES
            ):
                raise ValueError(f"storage of type {describe(storage_type)}")
            _check_inside(offset, size, stride, count)
        except (TypeError, ValueError, IndexError, AttributeError) as why:
            raise PolymeraseError(f"{self._source}: a tensor that cannot be read ({why})") from None
        dtype = _STORAGE_DTYPES[storage_type.name]
        raw = self._storages(str(key), count * dtype.itemsize)
        if not count:
            return torch.empty(size, dtype=dtype)
        return torch.frombuffer(bytearray(raw), dtype=dtype).as_strided(size, stride, offset).clone()


def _check_inside(offset: Any, size: Any, stride: Any, count: Any) -> None:
    numbers = (offset, count, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError("size, stride and offset do not fit together")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if math.prod(size) else 0
    if max(reach, math.prod(size)) > count:
        raise ValueError(f"shape {tuple(size)} reaches outside its storage of {count} elements")


def read_zip(path: Path) -> tuple[Any, TorchTensors]:
    """Read the tree of a zip container, with the reader of its tensors.

    Raises:
        PolymeraseError: the file is cut off or damaged, or not a torch checkpoint.
    """
    source = path.name
    try:
        archive = zipfile.ZipFile(path)
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise PolymeraseError(f"{source}: a zip file, but not one written by torch.save (no data.pkl inside)")
        prefix = names[0].removesuffix("data.pkl")
        if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
            raise PolymeraseError(f"{source}: written on a big-endian machine; save it again on a little-endian one")
        with archive.open(names[0]) as file:
            tree = read_pickle(file, source)
    except ARCHIVE_ERRORS as why:
        raise damaged(source, why) from None

    def storage(key: str, needed: int) -> bytes:
        name = f"{prefix}data/{key}"
        if name not in archive.NameToInfo:
            raise PolymeraseError(f"{source}: storage {key!r} is missing in the file")
        try:
            info = archive.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size < needed:
                raise PolymeraseError(f"{source}: storage {key!r} has {info.file_size} bytes, {needed} expected")
            return archive.read(info)[:needed]
        except ARCHIVE_ERRORS as why:
            raise damaged(source, why) from None

    return tree, TorchTensors(source, storage)


def read_legacy(path: Path) -> tuple[Any, TorchTensors]:
    """Read the tree of the stream container that PyTorch wrote before 1.6, with the reader of its tensors.

    Raises:
        PolymeraseError: the file is cut off or damaged.
    """
    source = path.name
    places: dict[str, tuple[int, int]] = {}  # key -> (position, bytes)
    with path.open("rb") as file:
        for _ in range(3):  # magic number, protocol version, system facts
            read_pickle(file, source)
        tree = read_pickle(file, source)
        keys = read_pickle(file, source)
        itemsizes = _legacy_itemsizes(tree)
        end = path.stat().st_size
        for key in keys if isinstance(keys, list) else []:
            header = file.read(8)
            itemsize = itemsizes.get(str(key), 0)
            size = struct.unpack("<q", header)[0] * itemsize if len(header) == 8 else -1
            if not itemsize or size < 0 or file.tell() + size > end:
                raise PolymeraseError(
                    f"{source}: damaged or cut off at storage {describe(key)}; download or copy it again"
                )
            places[str(key)] = (file.tell(), size)
            file.seek(size, 1)

    def storage(key: str, needed: int) -> bytes:
        position, size = places.get(key, (0, -1))
        if size < needed:
            raise PolymeraseError(f"{source}: storage {key!r} has {max(size, 0)} bytes, {needed} expected")
        with path.open("rb") as file:
            file.seek(position)
            return file.read(needed)

    return tree, TorchTensors(source, storage)


def _legacy_itemsizes(tree: Any) -> dict[str, int]:
    """Bytes per element of every storage a tree mentions (the stream itself does not say)."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    todo = [tree]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Persistent):
            if isinstance(node.pid, tuple) and len(node.pid) >= 5 and isinstance(node.pid[1], Name):
                dtype = _STORAGE_DTYPES.get(node.pid[1].name)
                sizes[str(node.pid[2])] = dtype.itemsize if dtype else 0
        elif isinstance(node, Call):
            todo += [node.args, node.state, node.elements, node.items]
        elif isinstance(node, dict):
            todo += [*node.keys(), *node.values()]
        elif isinstance(node, (list, tuple, set, frozenset)):
            todo += list(node)
    return sizes
