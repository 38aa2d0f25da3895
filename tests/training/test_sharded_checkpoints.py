"""Checkpoints in parts hold the same tensors, go on with any number of ranks, and no rank ever holds one whole."""

import errno
import gc
import json
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pretrain.cli.export import main as export
from pretrain.config import load_config
from pretrain.distributed.context import DistributedContext
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import (
    OPTIMIZER,
    WEIGHTS,
    Checkpoints,
    DamagedError,
    find_checkpoint,
    read_tensors,
    verify,
)
from pretrain.runs.tensor_files import StoredTensors, deal_out, index_name, write_tensors
from pretrain.training import sharded_save
from pretrain.training.saving import SHARDED_FROM, saving_of
from pretrain.training.zero_state import gather_weights, gathered, stored_weights
from tests.multinode.runs import checkpoint, same_bits
from tests.training.conftest import Runs
from tests.training.ranks import flip_a_byte, losses

ALONE = DistributedContext(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
STAGES = {"stage 3": {"zero_stage": 3}, "stage 1 bf16": {"zero_stage": 1, "precision": "bf16"}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora) -> Runs:
    """On two ranks: written at once; and in parts, stopped after 3 of 6 steps. Then the first 3 steps on one rank."""
    made = Runs(tmp_path_factory.mktemp("sharded"), corpora)
    cut_all = made._folder / "cut-all.json"
    cut_all.write_text(json.dumps({"zero_optimization": {"stage3_param_persistence_threshold": 0}}))
    usual = {"batch__micro_batches_per_step": 4, "schedule__total_steps": 6}
    for name, engine in STAGES.items():
        engine = engine | ({"deepspeed": str(cut_all)} if engine["zero_stage"] == 3 else {})
        made.add(f"whole {name}", engine=engine, train={"steps": 6, "checkpoints": "waiting"}, **usual)
        for steps in (3, 6):
            made.add(f"parts {name}", engine=engine, train={"steps": steps, "checkpoints": "sharded"}, **usual)
    made.start(2)
    made.finish()
    alone = Runs(tmp_path_factory.mktemp("alone-again"), corpora)
    half = made["parts stage 3"] / "checkpoints" / "step-3"
    alone.add("taken over", resume=half, train={"steps": 6, "checkpoints": "sharded"}, **usual)
    alone.start(1)
    made.jobs.append(alone.finish())
    return made


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("file", ["weights", "optimizer"])
def test_a_run_in_parts_ends_in_the_bits_of_a_whole_one(runs, stage, file):
    """Its second half was resumed from parts."""
    assert same_bits(checkpoint(runs[f"parts {stage}"], 6, file), checkpoint(runs[f"whole {stage}"], 6, file))


@pytest.mark.parametrize("stage", STAGES)
def test_each_rank_has_written_about_half_and_the_index_says_which(runs, stage):
    folder = runs[f"parts {stage}"] / "checkpoints" / "step-6"
    for file in (WEIGHTS, OPTIMIZER):
        index = json.loads((folder / index_name(file)).read_text())
        parts = [load_file(folder / name) for name in sorted(set(index["weight_map"].values()))]
        assert len(parts) == 2
        assert not parts[0].keys() & parts[1].keys()
        sizes = [sum(tensor.nbytes for tensor in part.values()) for part in parts]
        largest = max(tensor.nbytes for part in parts for tensor in part.values())
        assert sum(sizes) == index["metadata"]["total_size"]
        assert abs(sizes[0] - sizes[1]) <= 2 * largest
    assert not (folder / WEIGHTS).exists()


def test_one_rank_goes_on_from_the_parts_of_two(runs):
    alone = runs.jobs[-1]["taken over"]
    assert losses(alone) == pytest.approx(losses(runs["whole stage 3"])[3:], rel=1e-5)
    assert (alone / "checkpoints" / "step-6" / "weights-00001-of-00001.safetensors").is_file()


def test_a_model_is_exported_from_parts(runs, tmp_path):
    run = runs["parts stage 3"]
    assert export([str(run), "--out", str(tmp_path / "model")]) == 0
    exported = load_file(tmp_path / "model" / "model.safetensors")
    held = {tuple(tensor.flatten().tolist()) for tensor in exported.values()}
    assert all(tuple(value.ravel().tolist()) in held for value in checkpoint(run, 6).values())


@pytest.mark.parametrize("file", ["weights-00002-of-00002.safetensors", "optimizer-00001-of-00002.safetensors",
                                  index_name(WEIGHTS), index_name(OPTIMIZER)])  # fmt: skip
@pytest.mark.parametrize("damage", [flip_a_byte, Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_damage_to_any_part_or_index_is_noticed(runs, tmp_path, file, damage):
    source = runs["parts stage 3"] / "checkpoints" / "step-6"
    verify(source)
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage(tmp_path / file)
    with pytest.raises(DamagedError):
        verify(tmp_path)


class _Engine:
    """What is asked of an engine at stage 0: its parameters, and where they are."""

    holds_weights, optimizer_name = True, "sgd"

    def __init__(self, tensors: int = 8):
        self.model = nn.ParameterDict({f"p{n}": nn.Parameter(torch.full((4, 3), float(n))) for n in range(tensors)})
        self.deepspeed = self
        self.device = torch.device("cpu")
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)


def test_no_more_than_one_gathered_tensor_is_held_while_a_part_is_written(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []

    def whole(engine, tensor):
        value = tensor.parameter.data.clone()
        alive.add(value)
        gc.collect()
        most.append(len(alive))
        return value

    monkeypatch.setattr("pretrain.training.zero_state._whole", whole)
    assert sharded_save.save_sharded(_Engine(), Checkpoints(tmp_path), 3, {"step": 3}, ALONE) is None
    assert len(most) == 8
    assert max(most) <= 2, "the one that is gathered, and the one before, which is just being let go"
    assert float(read_tensors(find_checkpoint(tmp_path), WEIGHTS)["p5"][0, 0]) == 5.0


def test_a_part_that_does_not_fit_on_the_disk_leaves_the_last_checkpoint_and_gathers_on_with_the_others(
    tmp_path, monkeypatch
):
    engine, checkpoints, asked = _Engine(), Checkpoints(tmp_path), []
    assert sharded_save.save_sharded(engine, checkpoints, 3, {"step": 3}, ALONE) is None

    def full(path, shapes, values):
        next(iter(values))
        raise OSError(errno.ENOSPC, "No space left on device")

    def whole(engine, tensor):
        asked.append(tensor)
        return tensor.parameter.data

    monkeypatch.setattr(sharded_save, "write_tensors", full)
    monkeypatch.setattr("pretrain.training.zero_state._whole", whole)
    problem = sharded_save.save_sharded(engine, checkpoints, 6, {"step": 6}, ALONE)
    assert "No space left on device" in problem
    assert len(asked) == 8, "or the other ranks would wait for ever"
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["latest", "step-3"]


def test_what_is_gathered_for_a_thread_is_a_copy(tmp_path):
    engine = _Engine()
    kept = gather_weights(engine, keep=True)
    with torch.no_grad():
        for parameter in engine.model.values():
            parameter.fill_(-1.0)
    assert [float(kept[f"p{n}"][0, 0]) for n in range(8)] == list(range(8))
    assert gather_weights(engine, keep=False) == {}
    assert all(value.max() == -1 for value in gathered(engine, stored_weights(engine).values()))


def test_streamed_files_are_safetensors_that_others_read(tmp_path):
    tensors = {"a": torch.randn(3, 5), "empty": torch.zeros(0, 4), "scalar": torch.tensor(2.5), "b": torch.randn(7)}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    facts = write_tensors(tmp_path / WEIGHTS, shapes, tensors.values())
    assert facts["bytes"] == (tmp_path / WEIGHTS).stat().st_size
    found, stored = load_file(tmp_path / WEIGHTS), StoredTensors(tmp_path, WEIGHTS)
    assert found.keys() == set(stored) == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert torch.equal(stored[name], tensor)
    with pytest.raises(ValueError, match="a: expected the shape"):
        write_tensors(tmp_path / "other", {"a": (5, 3)}, [tensors["a"]])


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "../other"}}'])
def test_an_index_that_is_none_is_one_line(tmp_path, index):
    (tmp_path / index_name(WEIGHTS)).write_text(index)
    with pytest.raises(PolymeraseError, match=r"weights\.safetensors: cannot be read") as raised:
        StoredTensors(tmp_path, WEIGHTS)
    assert "\n" not in str(raised.value)


def test_tensors_are_dealt_out_evenly_and_every_one_once():
    shapes = {f"layer {n}": (n % 7 + 1, 10) for n in range(100)}
    owners = deal_out(shapes, 8)
    sizes = [sum(shapes[name][0] * 10 for name, owner in owners.items() if owner == part) for part in range(8)]
    assert owners.keys() == shapes.keys()
    assert max(sizes) - min(sizes) <= 2 * 70
    assert set(deal_out({"one": (5,)}, 4).values()) <= set(range(4))


def test_large_models_on_several_ranks_are_written_in_parts_unless_said_otherwise():
    config = load_config("nt_v1_2b5.yaml", [])
    assert saving_of(config, SHARDED_FROM, 2) == "sharded"
    assert saving_of(config, SHARDED_FROM, 1) == saving_of(config, SHARDED_FROM - 1, 2) == "background"
    assert saving_of(load_config("nt_v1_2b5.yaml", ["train.checkpoints=waiting"]), SHARDED_FROM, 2) == "waiting"
