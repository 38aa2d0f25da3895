"""Checkpoints from outside are read exactly, whatever container they came in."""

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pretrain.errors import PolymeraseError
from pretrain.importing.checkpoint_file import read_checkpoint_file


def _fairseq_checkpoint() -> dict[str, object]:
    """The shape of a fairseq training checkpoint: arguments as a namespace beside the weights."""
    return {
        "args": argparse.Namespace(lr=[0.0001], arch="rna_twod_mlm", seed=1, fp16=True),
        "model": OrderedDict(
            transposed=torch.randn(3, 4).t(),
            half=torch.randn(5).half(),
            brain=torch.randn(2, 2).bfloat16(),
            integer=torch.arange(6).reshape(2, 3)[:, 1:],
            parameter=torch.nn.Parameter(torch.randn(2)),
            empty=torch.empty(0, 3),
            scalar=torch.tensor(3.5),
        ),
        "optimizer_history": [{"num_updates": 5}, {"num_updates": 77, "optimizer_name": "FairseqAdam"}],
        "extra_state": {"train_iterator": {"epoch": 3}, "val_loss": 2.25},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.ones(3)}}},
    }


@pytest.mark.parametrize("zip_container", [True, False])
def test_a_fairseq_file_gives_its_tensors_and_the_facts_of_its_training(tmp_path: Path, zip_container: bool) -> None:
    saved = _fairseq_checkpoint()
    torch.save(saved, tmp_path / "model.pt", _use_new_zipfile_serialization=zip_container)
    read = read_checkpoint_file(tmp_path / "model.pt")
    model = saved["model"]
    assert isinstance(model, dict)
    assert read.tensors.keys() == model.keys()
    for key, tensor in model.items():
        assert torch.equal(read.tensors[key], tensor.detach())
        assert read.tensors[key].dtype == tensor.dtype
    assert read.facts == {
        "args.lr": "0.0001",
        "args.arch": "rna_twod_mlm",
        "args.seed": 1,
        "args.fp16": True,
        "optimizer_history[-1].num_updates": 77,
        "optimizer_history[-1].optimizer_name": "FairseqAdam",
        "extra_state.train_iterator.epoch": 3,
        "extra_state.val_loss": 2.25,
    }


@pytest.mark.parametrize("zip_container", [True, False])
def test_a_flat_state_dict_is_read_as_torch_reads_it(tmp_path: Path, zip_container: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5))
    state = module.state_dict()
    state["tied"] = state["0.weight"]
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zip_container)
    read = read_checkpoint_file(tmp_path / "pytorch_model.bin")
    expected = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert read.tensors.keys() == expected.keys()
    assert all(torch.equal(read.tensors[key], expected[key]) for key in expected)


def test_the_released_utr_lm_layout_is_read_as_torch_reads_it(golden: Path) -> None:
    (path,) = (golden / "utr_lm").glob("tiny_ESM2SI_*.pkl")
    read = read_checkpoint_file(path).tensors
    expected = torch.load(path, weights_only=True)
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[key], expected[key]) for key in expected)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_paddle_file_of_arrays_is_read_at_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "rows": np.random.default_rng(0).normal(size=(3, 4)).astype("f4"),
        "fortran": np.asfortranarray(np.random.default_rng(1).normal(size=(3, 4))),
        "big_endian": np.arange(5, dtype=">i4"),
        "empty": np.zeros((0, 2), "f4"),
    }
    path = tmp_path / "model_state.pdparams"
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": {"rows": "linear_0.w_0"}}, protocol))
    read = read_checkpoint_file(path).tensors
    assert read.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key].numpy(), array)


def test_paddles_named_tensor_form_is_read(tmp_path: Path) -> None:
    array = np.arange(6, dtype="f4").reshape(2, 3)

    class Variable:
        def __reduce__(self) -> tuple[object, ...]:
            return tuple, (("linear_0.w_0", array),)

    (tmp_path / "m.pdparams").write_bytes(pickle.dumps({"weight": Variable()}, 4))
    np.testing.assert_array_equal(read_checkpoint_file(tmp_path / "m.pdparams").tensors["weight"].numpy(), array)


def test_npz_and_safetensors_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.arange(4, dtype="f4"))
    save_file({"w": torch.arange(4.0)}, tmp_path / "b.bin", metadata={"updates": "7"})
    assert torch.equal(read_checkpoint_file(tmp_path / "a.npz").tensors["w"], torch.arange(4.0))
    read = read_checkpoint_file(tmp_path / "b.bin")
    assert torch.equal(read.tensors["w"], torch.arange(4.0))
    assert read.facts == {"updates": "7"}


@pytest.mark.parametrize("container", ["zip", "stream", "pdparams", "npz", "safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.6, 0.97])
def test_a_file_cut_off_anywhere_is_one_clear_line(tmp_path: Path, container: str, keep: float) -> None:
    path = tmp_path / "cut.file"
    if container in ("zip", "stream"):
        torch.save(_fairseq_checkpoint(), path, _use_new_zipfile_serialization=container == "zip")
    elif container == "npz":
        with path.open("wb") as file:
            np.savez(file, w=np.arange(400, dtype="f4"))
    elif container == "pdparams":
        path.write_bytes(pickle.dumps({"w": np.arange(400, dtype="f4")}, 4))
    else:
        save_file({"w": torch.arange(400.0)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(PolymeraseError, match=r"cut\.file") as caught:
        read_checkpoint_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello, I am text", b"\x80\x04N.", b"\x1f\x8b\x08" + bytes(40), bytes(64)])
def test_a_file_that_is_no_checkpoint_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(PolymeraseError, match=r"x\.pt") as caught:
        read_checkpoint_file(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_in_a_zip_container_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"w": torch.ones(1000)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(4).numpy().tobytes()) + 400] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(PolymeraseError, match=r"m\.pt.*damaged"):
        read_checkpoint_file(path)


def test_files_damaged_at_random_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Nine hundred damaged copies: a checkpoint or one line, never another exception."""
    whole = []
    for zip_container in (True, False):
        torch.save(_fairseq_checkpoint(), tmp_path / "whole", _use_new_zipfile_serialization=zip_container)
        whole.append((tmp_path / "whole").read_bytes())
    whole += [pickle.dumps({"w": np.arange(20, dtype="f4"), "b": np.zeros(3)}, protocol) for protocol in (2, 5)]
    save_file({"w": torch.arange(40.0)}, tmp_path / "whole")
    whole.append((tmp_path / "whole").read_bytes())
    np.savez(tmp_path / "whole.npz", w=np.arange(40, dtype="f4"))
    whole.append((tmp_path / "whole.npz").read_bytes())
    rng = np.random.default_rng(11)
    path = tmp_path / "damaged"
    messages = []
    for turn in range(900):
        data = bytearray(whole[turn % len(whole)])
        for place in rng.integers(len(data), size=rng.integers(1, 12)):
            data[place] = rng.integers(256)
        del data[(start := int(rng.integers(len(data)))) : start + int(rng.integers(0, 3))]
        path.write_bytes(data)
        try:
            read_checkpoint_file(path)
        except PolymeraseError as error:
            messages.append(str(error))
    assert len(messages) > 450
    assert all("\n" not in message and len(message) < 400 for message in messages)


@pytest.mark.parametrize(
    "beside",
    [
        {"net": {}, "epoch": 3},  # a name of somebody's own
        {"model": {}, "rng": torch.zeros(5, dtype=torch.uint8)},  # a tensor at the top that is no weight
        {"state_dict": {}, "optimizer": {"exp_avg": torch.ones(3)}},
    ],
)
def test_the_weights_among_the_state_of_a_training_are_found(tmp_path: Path, beside: dict) -> None:
    key = next(iter(beside))
    torch.save(beside | {key: {"weight": torch.ones(2)}}, tmp_path / "m.pt")
    assert read_checkpoint_file(tmp_path / "m.pt").tensors.keys() == {"weight"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.nn.Linear(2, 2), r"a pickled object \(torch\.nn\.modules\.linear\.Linear\).*state_dict\(\)"),
        ({"model": torch.nn.Linear(2, 2)}, r"'model': a pickled object \(torch\.nn\.modules\.linear\.Linear\)"),
        ({"a": {"w": torch.ones(2)}, "b": {"w": torch.ones(2)}}, r"one other part of the file \(found: 'a': dict"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "pointer of Git LFS.*git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page, expected a torch"),
    ],
)
def test_what_stands_in_place_of_named_tensors_is_said(tmp_path: Path, content: object, message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "m.pt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "m.pt")
    with pytest.raises(PolymeraseError, match=message) as caught:
        read_checkpoint_file(tmp_path / "m.pt")
    assert "\n" not in str(caught.value)
