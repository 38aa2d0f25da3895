"""Weights and optimizer state as whole float32 tensors by name, however DeepSpeed has cut them.

DeepSpeed's own checkpoints fit one number of ranks and one ZeRO stage, write a shard per rank and hold pickles. Ours
hold each tensor whole, so a run continues on any number of ranks and any stage, and reading one executes nothing
(recipes/deepspeed.md#checkpoints: verified across stages and world sizes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.training.engine import Engine
from pretrain.training.muon import MuonAdamW
from pretrain.training.optim import STATE_KEYS, fresh_state

Tensors = dict[str, Tensor]
_LOSS_SCALE_KEYS = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")  # of DeepSpeed's DynamicLossScaler


def gather_weights(engine: Engine, keep: bool) -> Tensors:
    """Gather master weights in float32 on the CPU. Collective; ranks with ``keep`` get the tensors."""
    return _kept(engine, stored_weights(engine), keep)


def gather_optimizer(engine: Engine, keep: bool) -> Tensors:
    """Gather optimizer state ``NAME/KEY`` -> tensor on the CPU. Collective."""
    return _kept(engine, stored_optimizer(engine), keep)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a checkpoint that is yet to be gathered: a master weight (key None), or state of its optimizer."""

    parameter: nn.Parameter
    key: str | None

    @property
    def shape(self) -> torch.Size:
        """Of the whole tensor."""
        return _shape(self.parameter)


def stored_weights(engine: Engine) -> dict[str, StoredTensor]:
    """The weights that a checkpoint holds, by name: the same on every rank."""
    return {name: StoredTensor(parameter, None) for name, parameter in _parameters(engine)}


def stored_optimizer(engine: Engine) -> dict[str, StoredTensor]:
    """The optimizer state that a checkpoint holds, ``NAME/KEY``: the same on every rank."""
    if not updates(engine) and engine.optimizer_name != "sgd":
        return {}
    _link_state(engine)
    state = _inner(engine).state
    return {
        f"{name}/{key}": StoredTensor(parameter, key)
        for key in _present_keys(engine)
        for name, parameter in _parameters(engine)
        if not engine.holds_weights or key in state[parameter]
    }


def gathered(engine: Engine, tensors: Iterable[StoredTensor]) -> Iterator[Tensor]:
    """Gather one tensor after the other, whole, on every rank; it may be the model's own memory. Collective."""
    for tensor in tensors:
        yield _whole(engine, tensor).detach().reshape(tensor.shape)


def _whole(engine: Engine, tensor: StoredTensor) -> Tensor:
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    if engine.holds_weights:
        return tensor.parameter.data if tensor.key is None else _inner(engine).state[tensor.parameter][tensor.key]
    if tensor.key is None:
        return safe_get_full_fp32_param(tensor.parameter)
    return safe_get_full_optimizer_state(tensor.parameter, tensor.key)


def _kept(engine: Engine, tensors: dict[str, StoredTensor], keep: bool) -> Tensors:
    """Copies of the gathered tensors in the memory of the host, which nobody writes to any more."""
    copies = {}
    for name, value in zip(tensors, gathered(engine, tensors.values()), strict=True):
        if keep:
            target = torch.empty(value.shape, dtype=torch.float32, pin_memory=value.is_cuda)
            copies[name] = target.copy_(value, non_blocking=value.is_cuda)
    if keep and _device(engine).type == "cuda":
        torch.cuda.synchronize()
    return copies


def loss_scale(engine: Engine) -> dict[str, float] | None:
    """Return the state of the search for the largest fp16 loss scale; None in other precisions."""
    scaler = getattr(engine.deepspeed.optimizer, "loss_scaler", None)
    if scaler is None or not scaler.dynamic:
        return None
    return {key: getattr(scaler, key) for key in _LOSS_SCALE_KEYS}


def restore(
    engine: Engine,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    updates: int,
    scale: dict[str, float] | None = None,
) -> list[str]:
    """Restore gathered state. Every rank calls it with all tensors, and looks at one at a time.

    Returns:
        Parameters that were not gathered, such as those of a new objective; they keep their values. So does state that
        another optimizer left.

    Raises:
        PolymeraseError: a tensor has another shape; nothing is changed then.
    """
    parameters = _parameters(engine)
    for name, parameter in parameters:
        if name in weights and weights[name].shape != _shape(parameter):
            there, here = tuple(weights[name].shape), tuple(_shape(parameter))
            raise PolymeraseError(f"{name} has the shape {there} in the checkpoint and {here} in this run")
    keys = STATE_KEYS[engine.optimizer_name] if optimizer else ()
    if keys or _inner(engine).state:
        _prime(engine, updates)
    if scale is not None and loss_scale(engine) is not None:
        for key, number in scale.items():
            setattr(engine.deepspeed.optimizer.loss_scaler, key, number)
    for name, parameter in parameters:
        if name in weights:
            value = weights[name].to(_device(engine))
            _set(engine, parameter, value, None)
            _set_module_weight(engine, parameter, value)
        for key in keys:
            if f"{name}/{key}" in optimizer:
                _set(engine, parameter, optimizer[f"{name}/{key}"].to(_device(engine)), key)
    return [name for name, _ in parameters if name not in weights]


def _parameters(engine: Engine) -> list[tuple[str, nn.Parameter]]:
    return list(engine.model.named_parameters())


def _device(engine: Engine) -> torch.device:
    return engine.deepspeed.device


def _inner(engine: Engine) -> torch.optim.Optimizer:
    """The torch optimizer inside DeepSpeed's wrapper."""
    wrapper = engine.deepspeed.optimizer
    return wrapper if engine.holds_weights else wrapper.optimizer


def _masters(engine: Engine) -> list[Tensor]:
    """Tensors that the torch optimizer updates on this rank: whole parameters, or flat float32 partitions."""
    wrapper = engine.deepspeed.optimizer
    if engine.holds_weights:
        return [p for group in wrapper.param_groups for p in group["params"]]
    for name in ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition"):
        if hasattr(wrapper, name):
            return list(getattr(wrapper, name))
    raise NotImplementedError(f"optimizer state of {type(wrapper).__name__}")


def _shape(parameter: nn.Parameter) -> torch.Size:
    return getattr(parameter, "ds_shape", parameter.shape)


def _present_keys(engine: Engine) -> list[str]:
    """State keys that exist already (momentum appears with the first update)."""
    states = _inner(engine).state.values()
    return [
        key for key in STATE_KEYS[engine.optimizer_name] if any(isinstance(state.get(key), Tensor) for state in states)
    ]


def updates(engine: Engine) -> int:
    """Number of updates that the optimizer has made."""
    state: dict[Any, Any] = next(iter(_inner(engine).state.values()), {})
    return int(state.get("step", 0))


def _prime(engine: Engine, updates: int) -> None:
    """Create the optimizer state that would only appear with the first update, so that it can be filled."""
    inner = _inner(engine)
    for master in _masters(engine):
        keys = inner.state_keys(master) if isinstance(inner, MuonAdamW) else ()
        inner.state[master] = fresh_state(engine.optimizer_name, master, updates, keys)
    _link_state(engine)


def _link_state(engine: Engine) -> None:
    """Tell DeepSpeed where each parameter's optimizer state lies.

    It does so itself, but after the first update of the first parameter group, when the other groups have no state yet,
    and then never again.
    """
    wrapper = engine.deepspeed.optimizer
    if hasattr(wrapper, "_lazy_init_hp_params_optimizer_state"):
        wrapper._hp_optimizer_states_linked = False
        wrapper._lazy_init_hp_params_optimizer_state()


def _set(engine: Engine, parameter: nn.Parameter, value: Tensor, key: str | None) -> None:
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    if engine.holds_weights:
        target = parameter.data if key is None else _inner(engine).state[parameter][key]
        target.copy_(value)
    elif hasattr(parameter, "ds_id"):
        _set_part(parameter, value, key)
    elif key is None:
        safe_set_full_fp32_param(parameter, value)
    else:
        safe_set_full_optimizer_state(parameter, value, key)


def _set_part(parameter: Any, value: Tensor, key: str | None) -> None:
    """Stage 3. DeepSpeed's own functions for whole values fail where ranks do not divide the number of elements."""
    import torch.distributed as dist
    from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

    size, rank = parameter.ds_tensor.numel(), dist.get_rank(parameter.ds_process_group)
    part = value.new_zeros(size)
    mine = value.flatten()[size * rank :][:size]
    part[: mine.numel()] = mine
    if key is None:
        safe_set_local_fp32_param(parameter, part)
    else:
        safe_set_local_optimizer_state(parameter, part, key)


def _set_module_weight(engine: Engine, parameter: nn.Parameter, value: Tensor) -> None:
    """The master is not the module's copy: without this the next forward would use the old weights."""
    gathered: Any = nullcontext()
    if hasattr(parameter, "ds_id"):
        import deepspeed

        gathered = deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)
    with gathered, torch.no_grad():
        parameter.data.copy_(value)
