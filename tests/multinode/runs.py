"""Trainings of a tiny model that differ in how they are cut up over ranks."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.runs.checkpoint import read_tensors
from tests.training.corpora import tree
from tests.training.ranks import Job

STEPS, SAVED = 50, 44  # of a whole run; and where its checkpoint lies that others resume
WAYS = {  # name -> engine settings of a float32 run on 2 ranks; stage 0 is plain data parallelism
    "stage 0": {"zero_stage": 0},
    "stage 1": {"zero_stage": 1},
    "stage 2": {"zero_stage": 2},
    "stage 3": {"zero_stage": 3},
    "stage 2, optimizer on the host": {"zero_stage": 2, "offload_optimizer": "cpu"},
    "stage 3, all on the host": {"zero_stage": 3, "offload_optimizer": "cpu", "offload_param": "cpu"},
}
BF16 = {f"bf16, stage {stage}": {"zero_stage": stage, "precision": "bf16"} for stage in range(4)}
SHORT = {"train__steps": 8, "train__save_every": 5}  # of the runs in bf16
OTHERWISE = {1: {"zero_stage": 2}, 3: {"zero_stage": 3}}  # ranks -> how a run of stage 1 goes on


def small_job(
    folder: Path, corpus: Path, name: str, engine: dict[str, Any], resume: str = "auto", **changes: Any
) -> Job:
    """A training with dropout, four micro-batches per step, and a checkpoint at ``SAVED``."""
    if engine.get("zero_stage") == 3:
        engine = engine | {"deepspeed": _cut_all(folder)}
    usual = {
        "model__hidden_dropout_prob": 0.1,
        "model__attention_probs_dropout_prob": 0.1,
        "batch__micro_batches_per_step": 4,
        "train__steps": STEPS,
        "train__save_every": SAVED,
        "train__eval_sequences": 12,
        "schedule__total_steps": STEPS,
    }
    return Job(tree(folder / name, corpus, engine=engine, **(usual | changes)), resume)


def _cut_all(folder: Path) -> str:
    """Stage 3 leaves parameters below a threshold whole: with models of tests, all of them."""
    path = folder / "cut-all.json"
    path.write_text(json.dumps({"zero_optimization": {"stage3_param_persistence_threshold": 0}}))
    return str(path)


def checkpoint(run_dir: Path, step: int, file: str = "weights") -> dict[str, np.ndarray]:
    """Tensors of a checkpoint."""
    found = read_tensors(run_dir / "checkpoints" / f"step-{step}", f"{file}.safetensors")
    return {name: tensor.numpy() for name, tensor in found.items()}


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Whether two sets of tensors are equal to the last bit."""
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
