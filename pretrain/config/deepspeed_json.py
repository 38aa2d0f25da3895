"""The key ``engine.deepspeed``: a JSON file for options that the YAML has no key for. Keys that it has are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pretrain.errors import PolymeraseError, nearest

# key of DeepSpeed's configuration -> key of ours that decides it
OWNED = {
    "train_batch_size": "batch.tokens, batch.sequences and batch.accumulation",
    "train_micro_batch_size_per_gpu": "batch.tokens or batch.sequences",
    "gradient_accumulation_steps": "batch.accumulation",
    "gradient_clipping": "optimizer.max_grad_norm",
    "optimizer": "optimizer",
    "scheduler": "schedule",
    "bf16": "engine.precision",
    "fp16": "engine.precision",
    "amp": "engine.precision",
    "torch_autocast": "engine.precision",
    "zero_optimization.stage": "engine.zero_stage",
    "zero_optimization.offload_optimizer": "engine.offload_optimizer",
    "zero_optimization.offload_param": "engine.offload_param",
    "zero_optimization.cpu_offload": "engine.offload_optimizer",
    "data_types.grad_accum_dtype": "engine.precision",
    "steps_per_print": "train.log_every",
}
# what may stand at the top level (DeepSpeed 0.19), the owned ones apart
KNOWN = (
    "activation_checkpointing", "aio", "checkpoint", "comet", "comms_logger", "communication_data_type", "compile",
    "csv_monitor", "data_efficiency", "data_types", "disable_allgather", "dump_state", "flops_profiler",
    "gradient_predivide_factor", "memory_breakdown", "prescale_gradients", "seq_parallel_communication_data_type",
    "tensorboard", "timers", "wall_clock_breakdown", "wandb", "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer", "zero_optimization",
)  # fmt: skip


def read_deepspeed_json(path: str) -> dict[str, Any]:
    """Read the file as a dictionary.

    Raises:
        PolymeraseError: it is not readable, or holds a key that the YAML has, that DeepSpeed does not know, or that
            says ``auto``.
    """
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolymeraseError(f"engine.deepspeed: {path}: {error}") from None
    if not isinstance(tree, dict):
        raise PolymeraseError(f"engine.deepspeed: {path}: expected a JSON object, got {type(tree).__name__}")
    for key, value in _walk(tree, ""):
        if key in OWNED or ("accumulation" in key and "." not in key):
            ours = OWNED.get(key, "batch.accumulation")
            raise PolymeraseError(f"engine.deepspeed: {path}: {key} is decided by {ours} of the YAML; leave it out")
        if value == "auto":
            raise PolymeraseError(
                f"engine.deepspeed: {path}: {key} is 'auto', which only transformers' Trainer fills in; leave it out"
            )
    for key in tree:
        if key not in KNOWN:
            raise PolymeraseError(
                f"engine.deepspeed: {path}: unknown key {key!r}; did you mean {nearest(key, KNOWN)!r}?"
            )
    return tree


def _walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{key}.")
