"""Whole float32 tensors in one safetensors file, or in parts with an index of who holds what.

Files are written as a stream: nothing but the tensor at hand has to be in memory. They are read one tensor at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from data_prep.corpus.files import write_atomic
from pretrain.errors import PolymeraseError

Shapes = Mapping[str, Sequence[int]]
_BYTES = 4  # of a float32


def write_tensors(path: Path, shapes: Shapes, values: Iterable[Tensor]) -> dict[str, Any]:
    """Write one file and flush it to the disk.

    Args:
        path: the file.
        shapes: of the tensors, by name, in the order in which they come.
        values: the tensors.

    Returns:
        Its size and checksum, as the integrity file of a checkpoint has them.
    """

    def stream(file: BinaryIO) -> None:
        file.write(_header(shapes))
        for (name, shape), value in zip(shapes.items(), values, strict=True):
            if tuple(value.shape) != tuple(shape):
                raise ValueError(f"{name}: expected the shape {tuple(shape)}, got {tuple(value.shape)}")
            if value.numel():
                flat = value.detach().to("cpu", torch.float32).contiguous().view(-1)
                file.write(flat.view(torch.uint8).numpy().data)

    return write_atomic(path, stream)


def _header(shapes: Shapes) -> bytes:
    table, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + _BYTES * torch.Size(shape).numel()
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def index_name(file: str) -> str:
    """Name of the index of a file that is written in parts."""
    return f"{file}.index.json"


def part_name(file: str, part: int, parts: int) -> str:
    """Name of one part of a file; parts count from 0, their names from 1."""
    stem, _, suffix = file.rpartition(".")
    return f"{stem}-{part + 1:05d}-of-{parts:05d}.{suffix}"


def deal_out(shapes: Shapes, parts: int) -> dict[str, int]:
    """Give every tensor to one part: neighbors together, about as many bytes in each."""
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    total, before, owners = max(1, sum(sizes.values())), 0, {}
    for name, size in sizes.items():
        owners[name] = min(parts - 1, int((before + size / 2) * parts / total))
        before += size
    return owners


def write_index(folder: Path, file: str, shapes: Shapes, owners: Mapping[str, int], parts: int) -> dict[str, Any]:
    """Write which part holds which tensor, in the form that transformers uses. Returns size and checksum."""
    size = sum(_BYTES * torch.Size(shape).numel() for shape in shapes.values())
    index = {
        "metadata": {"total_size": size},
        "weight_map": {name: part_name(file, owner, parts) for name, owner in owners.items()},
    }
    return write_atomic(folder / index_name(file), json.dumps(index, indent=1).encode())


def files_of(folder: Path, file: str) -> list[str]:
    """Names of the files that hold what ``file`` stands for: itself, or its index and the parts that this names.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: the index cannot be read.
    """
    index = folder / index_name(file)
    if not index.is_file():
        return [file]
    return [index.name, *sorted(set(_weight_map(index).values()))]


def _weight_map(index: Path) -> dict[str, str]:
    found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    if not all(isinstance(part, str) and "/" not in part for part in found.values()):
        raise ValueError(f"{index}: expected names of files beside it")
    return found


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of a file or of its parts. Each is read when it is asked for, and is a view of the file."""

    def __init__(self, folder: Path, file: str):
        self._where: dict[str, Any] = {}
        self._open = ExitStack()
        try:
            for name in files_of(folder, file):
                if name.endswith(".json"):
                    continue
                part = self._open.enter_context(safe_open(folder / name, "pt"))
                self._where |= dict.fromkeys(part.keys(), part)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise PolymeraseError(f"{folder / file}: cannot be read: {error}") from None

    def __getitem__(self, name: str) -> Tensor:
        return self._where[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)

    def close(self) -> None:
        """Close the files."""
        self._open.close()
        self._where = {}
