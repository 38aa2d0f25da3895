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
    "activation_checkpointing": "model.checkpoint_activations",
    "zero_optimization.stage": "engine.zero_stage",
    "zero_optimization.offload_optimizer": "engine.offload_optimizer",
    "zero_optimization.offload_param": "engine.offload_param",
    "zero_optimization.cpu_offload": "engine.offload_optimizer",
    "data_types.grad_accum_dtype": "engine.precision",
    "steps_per_print": "train.log_every",
}
# key that DeepSpeed takes and nothing here reads -> why
IDLE = {
    "data_efficiency": "samples and layers are not DeepSpeed's here; train.phases changes lengths and batches",
    "checkpoint": "checkpoints are not DeepSpeed's here; train.save_every and train.checkpoints write them",
    "aio": "nothing is offloaded to NVMe here",
    "compile": "DeepSpeed's engine is not compiled here",
    "zero_optimization.elastic_checkpoint": "checkpoints are not DeepSpeed's here",
    "zero_optimization.load_from_fp32_weights": "checkpoints are not DeepSpeed's here",
    "zero_optimization.gather_16bit_weights_on_model_save": "checkpoints are not DeepSpeed's here",
    "zero_optimization.stage3_gather_16bit_weights_on_model_save": "checkpoints are not DeepSpeed's here",
    "zero_optimization.stage3_gather_fp16_weights_on_model_save": "checkpoints are not DeepSpeed's here",
    "zero_optimization.pipeline_loading_checkpoint": "checkpoints are not DeepSpeed's here",
}
# keys of zero_optimization that only its stage 3 reads
OF_STAGE_3 = (
    "zero_hpz_partition_size", "zero_quantized_weights", "zero_quantized_nontrainable_weights",
    "zero_quantized_gradients", "memory_efficient_linear", "sub_group_size", "mics_shard_size",
    "mics_hierarchical_params_gather",
)  # fmt: skip
# what may stand at the top level (DeepSpeed 0.19), those above apart
KNOWN = (
    "comet", "comms_logger", "communication_data_type", "csv_monitor", "data_types", "disable_allgather",
    "dump_state", "flops_profiler", "gradient_predivide_factor", "memory_breakdown", "prescale_gradients",
    "seq_parallel_communication_data_type", "tensorboard", "timers", "wall_clock_breakdown", "wandb",
    "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer", "zero_optimization",
)  # fmt: skip

# what may stand in sections whose unknown keys DeepSpeed does not notice
KNOWN_INSIDE = {
    "flops_profiler": (
        "enabled", "recompute_fwd_factor", "profile_step", "module_depth", "top_modules", "detailed", "output_file",
    ),
}  # fmt: skip


def read_deepspeed_json(path: str, zero_stage: int) -> dict[str, Any]:
    """Read the file as a dictionary.

    Args:
        path: of the file.
        zero_stage: of the run.

    Raises:
        PolymeraseError: it is not readable, or holds a key that the YAML has, that DeepSpeed does not know, that has no
            effect (in this stage), or that says ``auto``.
    """
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        raise PolymeraseError(
            f"engine.deepspeed: {path}: cannot be read: {error.strerror}; give a JSON file, or leave the key out"
        ) from None
    except ValueError as error:
        raise PolymeraseError(f"engine.deepspeed: {path}: expected JSON: {error}") from None
    if not isinstance(tree, dict):
        raise PolymeraseError(f"engine.deepspeed: {path}: expected a JSON object, got {type(tree).__name__}")
    for key, value in _walk(tree, ""):
        if key in OWNED or ("accumulation" in key and "." not in key):
            ours = OWNED.get(key, "batch.accumulation")
            raise PolymeraseError(f"engine.deepspeed: {path}: {key} is decided by {ours} of the YAML; leave it out")
        if key in IDLE:
            raise PolymeraseError(f"engine.deepspeed: {path}: {key} has no effect: {IDLE[key]}; leave it out")
        section, _, name = key.partition(".")
        if section == "zero_optimization" and zero_stage < 3 and (name.startswith("stage3_") or name in OF_STAGE_3):
            raise PolymeraseError(
                f"engine.deepspeed: {path}: {key} has no effect with engine.zero_stage={zero_stage}; set "
                "engine.zero_stage=3, or leave the key out"
            )
        if value == "auto":
            raise PolymeraseError(
                f"engine.deepspeed: {path}: {key} is 'auto', which only transformers' Trainer fills in; leave it out"
            )
    for key in tree:
        if key not in KNOWN:
            raise PolymeraseError(
                f"engine.deepspeed: {path}: unknown key {key!r}; did you mean {nearest(key, KNOWN)!r}?"
            )
    for section, known in KNOWN_INSIDE.items():
        for key in tree.get(section) or {}:
            if key not in known:
                raise PolymeraseError(
                    f"engine.deepspeed: {path}: unknown key '{section}.{key}'; did you mean "
                    f"'{section}.{nearest(key, known)}'?"
                )
    return tree


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"key {min(twice)!r} is written twice; leave one out")
    return dict(pairs)


def _walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{key}.")
