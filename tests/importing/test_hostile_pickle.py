"""Nothing a checkpoint file asks for is imported, called or mutated: it is read as data or refused."""

import builtins
import collections
import io
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pretrain.errors import PolymeraseError
from pretrain.importing.checkpoint_file import read_checkpoint_file


class _Calls:
    """Pickles into a call of ``target(*args)``."""

    def __init__(self, target: object, *args: object) -> None:
        self.target, self.args = target, args

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.target, self.args


def _refused(path: Path, witness: Path) -> str:
    with pytest.raises(PolymeraseError) as caught:
        read_checkpoint_file(path)
    assert not witness.exists(), "the payload ran"
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("where", ["top", "value", "beside"])
def test_a_payload_in_a_plain_pickle_never_runs(tmp_path: Path, protocol: int, where: str) -> None:
    witness = tmp_path / "witness"
    payloads = [
        _Calls(os.system, f"touch {witness}"),
        _Calls(eval, f"open({str(witness)!r}, 'w')"),
        _Calls(exec, f"open({str(witness)!r}, 'w')"),
        _Calls(getattr, os, "system"),
        _Calls(builtins.open, str(witness), "w"),
        _Calls(__import__, "os"),
    ]
    for payload in payloads:
        tree = {"top": payload, "value": {"w": payload}, "beside": {"w": np.ones(3), "x": payload}}[where]
        path = tmp_path / "m.pdparams"
        try:
            path.write_bytes(pickle.dumps(tree, protocol))
        except TypeError:  # a module cannot be pickled: that trick does not exist at this protocol
            continue
        _refused(path, witness)


@pytest.mark.parametrize("zip_container", [True, False])
def test_a_payload_in_a_torch_file_never_runs(tmp_path: Path, zip_container: bool) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "m.pt"
    payload = _Calls(os.system, f"touch {witness}")
    torch.save({"model": {"w": payload}}, path, _use_new_zipfile_serialization=zip_container)
    _refused(path, witness)
    torch.save({"args": payload, "model": {"w": torch.ones(2)}}, path, _use_new_zipfile_serialization=zip_container)
    read = read_checkpoint_file(path)  # beside the weights it is as inert as any record
    assert not witness.exists()
    assert list(read.tensors) == ["w"]


def test_state_set_on_a_named_function_changes_nothing(tmp_path: Path) -> None:
    """BUILD with slot state would overwrite attributes of whatever a lenient reader imported."""
    before = collections.OrderedDict.__dict__.get("evil")
    data = b"\x80\x02" + b"ccollections\nOrderedDict\n" + b"}" + b"(U\x04evilU\x01xu" + b"\x86b."
    (tmp_path / "m.pt").write_bytes(data)
    _refused(tmp_path / "m.pt", tmp_path / "witness")
    data = b"\x80\x02" + b"ccollections\nOrderedDict\n" + b"N}" + b"(U\x04evilU\x01xu" + b"\x86b."
    (tmp_path / "m.pt").write_bytes(data)
    _refused(tmp_path / "m.pt", tmp_path / "witness")
    assert collections.OrderedDict.__dict__.get("evil") is before


@pytest.mark.parametrize(
    "program",
    [
        b"h\x63.",  # a memo entry that was never stored
        b"q\x00.",  # memo of an empty stack
        b"0.",  # pop of an empty stack
        b"t.",  # a tuple without a mark
        b"(0a.",  # append to nothing
        b"}(K\x01u.",  # a key without its value
        b"\x82\x01.",  # the extension registry
        b"\x97.",  # an out-of-band buffer
        b"K\x01K\x02.",  # two results
        b"K\x01]\x8c\x01xb.",  # state for a list
        b"]q\x00h\x00a.",  # a list that holds itself: no endless walk
        b"}q\x00U\x01xh\x00s.",  # a dict that holds itself
        b"\x8a\xff" + bytes(3) + b".",  # an integer cut off
        b"\x8b\x00\x00\x00\x80.",  # an integer of negative size
    ],
)
def test_stack_and_memo_games_are_refused(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(b"\x80\x02" + program)
    _refused(tmp_path / "m.pt", tmp_path / "witness")


def test_exponential_nesting_costs_no_time(tmp_path: Path) -> None:
    """Sixty doublings make a tree of 2^60 leaves: neither hashed, printed nor walked."""
    bomb = b"K\x01" + b"2\x86" * 60
    started = time.perf_counter()
    for program in (bomb + b".", b"}" + bomb + b"K\x01s.", b"}U\x01x" + bomb + b"s.", b"(" + bomb + b"\x91."):
        (tmp_path / "m.pt").write_bytes(b"\x80\x02" + program)
        _refused(tmp_path / "m.pt", tmp_path / "witness")
    inner = pickle.dumps({"w": np.ones(3)}, 2).removesuffix(b".")
    (tmp_path / "m.pt").write_bytes(b"\x80\x02}U\x05extra" + bomb + b"sU\x05model" + inner[2:] + b"s.")
    assert list(read_checkpoint_file(tmp_path / "m.pt").tensors) == ["w"]
    assert time.perf_counter() - started < 5


def _torch_zip(
    path: Path, size: tuple[int, ...], stride: tuple[int, ...], offset: int, count: int, data: bytes
) -> None:
    """A zip container whose one tensor has the given geometry."""

    class Storage:
        pid = ("storage", torch.FloatStorage, "0", "cpu", count)

    class Tensor:
        def __reduce__(self) -> tuple[object, ...]:
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, size, stride, False, collections.OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return obj.pid if isinstance(obj, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({"w": Tensor()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", buffer.getvalue())
        archive.writestr("m/data/0", data)


def test_a_tensor_cannot_reach_outside_its_storage_or_blow_up_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    four = struct.pack("<4f", 1, 2, 3, 4)
    _torch_zip(path, (2, 2), (2, 1), 0, 4, four)
    assert torch.equal(read_checkpoint_file(path).tensors["w"], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    for size, stride, offset, count in [
        ((2, 3), (3, 1), 0, 4),  # more than the storage holds
        ((4,), (1,), 1, 4),  # shifted out
        ((4,), (-1,), 3, 4),  # backwards
        ((10**12,), (0,), 0, 4),  # one element a million million times
        ((2,), (10**15,), 0, 4),
        ((4,), (1,), 0, 10**12),  # a storage larger than the file
    ]:
        _torch_zip(path, size, stride, offset, count, four)
        _refused(path, tmp_path / "witness")


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    objects = np.array([_Calls(os.system, f"touch {witness}")], dtype=object)
    (tmp_path / "m.pdparams").write_bytes(pickle.dumps({"w": objects}, 4))
    _refused(tmp_path / "m.pdparams", witness)
    np.savez(tmp_path / "m.npz", w=objects)
    _refused(tmp_path / "m.npz", witness)


def test_a_compressed_storage_is_refused(tmp_path: Path) -> None:
    """torch.save never compresses; a compressed member can only be a bomb."""
    path = tmp_path / "m.pt"
    torch.save({"w": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    _refused(path, tmp_path / "witness")
