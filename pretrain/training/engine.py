"""The DeepSpeed engine behind a few verbs: forward, backward, end of a micro-batch, evaluate.

Everything that touches DeepSpeed is in this file and in ``zero_state.py``.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pretrain.config import Config
from pretrain.config.deepspeed_json import read_deepspeed_json
from pretrain.distributed.context import quiet_cpu_deepspeed
from pretrain.errors import PolymeraseError
from pretrain.models import PackedBatch
from pretrain.objectives import LossSums
from pretrain.objectives.model import PretrainingModel
from pretrain.training.optim import build_optimizer, drops_on_device

_MONITORS = {"tensorboard": "tensorboard", "wandb": "wandb", "comet": "comet_ml"}  # of DeepSpeed -> their packages
BUCKET = 500_000_000  # elements of DeepSpeed's bucket for gradients, at most


class Engine:
    """A model trained by DeepSpeed with ZeRO.

    Args:
        config: the run.
        model: parameters in float32, equal on all ranks.
        micro_batches_per_rank: micro-batches that every rank computes per update.

    Attributes:
        parameters: numbers of the whole model.
    """

    def __init__(self, config: Config, model: PretrainingModel, micro_batches_per_rank: int):
        import deepspeed

        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        optimizer = build_optimizer(model, config.optimizer)
        with contextlib.redirect_stdout(io.StringIO()):  # where it prints how much memory is used, whoever asked
            self.deepspeed, _, _, _ = deepspeed.initialize(
                model=model,
                optimizer=optimizer,
                config=deepspeed_config(config, micro_batches_per_rank, self.parameters),
                dist_init_required=False,
            )
        self.optimizer_name = config.optimizer.name
        self.model = model
        self._norm: Tensor | None = None
        self._dropped: int | Tensor = 0  # at stage 0, where there may be a tensor on the device
        self._max_norm = config.optimizer.max_grad_norm

    @property
    def holds_weights(self) -> bool:
        """Whether the optimizer updates the module's own float32 parameters (stage 0), not masters cut up by ZeRO."""
        return isinstance(self.deepspeed.optimizer, torch.optim.Optimizer)

    def forward(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> tuple[Tensor, dict[str, LossSums]]:
        """Compute the loss of one micro-batch. The coefficients already contain every division."""
        return self.deepspeed(batch, targets, coefficients)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-batch."""
        self.deepspeed.backward(loss)

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, LossSums]:
        """Return the loss sums of one micro-batch, without gradients or dropout."""
        self.deepspeed.eval()
        with torch.no_grad():
            _, sums = self.deepspeed(batch, targets, coefficients)
        self.deepspeed.train()
        return sums

    def end_micro_batch(self, learning_rate: float) -> bool | Tensor:
        """Tell DeepSpeed that a micro-batch is over; at the last one of a step the parameters are updated.

        Returns:
            Whether that update was dropped, on all ranks alike, because its gradient was not finite. DeepSpeed checks
            that in its ZeRO stages, where it waits for the norm of the gradient anyway. Stage 0 is ours, and the answer
            then a tensor on the device, which nobody has waited for.
        """
        for group in self.deepspeed.optimizer.param_groups:
            group["lr"] = learning_rate
        skipped, found = int(self.deepspeed.skipped_steps), None
        if self.holds_weights and self.deepspeed.is_gradient_accumulation_boundary():
            found = self._clip_or_drop()
        self.deepspeed.step()
        return int(self.deepspeed.skipped_steps) > skipped if found is None else found

    def _clip_or_drop(self) -> bool | Tensor:
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        self._norm = torch.nn.utils.get_total_norm([g for parameter in parameters if (g := parameter.grad) is not None])
        is_bad, optimizer = ~torch.isfinite(self._norm), self.deepspeed.optimizer
        self._dropped = self._dropped + is_bad
        if drops_on_device(optimizer):
            optimizer.found_inf = is_bad.float()
        elif is_bad:
            for parameter in parameters:
                parameter.grad = None  # an optimizer passes over parameters without a gradient
            return True
        if self._max_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, self._max_norm, self._norm)
        return is_bad if drops_on_device(optimizer) else False

    def norm_on_device(self) -> Tensor | float:
        """Return the global norm of the last gradient before clipping, without waiting for it."""
        return self._norm if self._norm is not None else self.deepspeed.get_global_grad_norm()

    def gradient_norm(self) -> float:
        """Return ``norm_on_device`` as a number, which waits for the device."""
        return float(self.norm_on_device())

    def dropped_updates(self) -> int:
        """Number of updates since the start of this process that were dropped because their gradient was not finite."""
        return int(self.deepspeed.skipped_steps) + int(self._dropped)


def deepspeed_config(config: Config, micro_batches_per_rank: int, parameters: int) -> dict[str, Any]:
    """Build DeepSpeed's configuration of a run. Options without a YAML key come from ``engine.deepspeed``."""
    engine = config.engine
    # DeepSpeed allocates this many elements whatever the model: by default 2 GB in float32. It wants even numbers.
    bucket = min(parameters + parameters % 2, BUCKET)
    zero: dict[str, Any] = {"stage": engine.zero_stage, "reduce_bucket_size": bucket}
    if engine.offload_optimizer != "none":
        zero["offload_optimizer"] = {"device": engine.offload_optimizer}
    if engine.offload_param != "none":
        zero["offload_param"] = {"device": engine.offload_param}
    result: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,  # sizes are ours; DeepSpeed only needs their product to fit
        "gradient_accumulation_steps": micro_batches_per_rank,
        "gradient_clipping": config.optimizer.max_grad_norm if engine.zero_stage else 0.0,  # stage 0: see Engine
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31 - 1,
        "timers": {"throughput": {"enabled": False}},  # it drains the device twice per micro-batch
    }
    if engine.precision == "bf16" and engine.zero_stage == 0:
        # without ZeRO there is no float32 master copy, so the weights stay float32 and the products are bf16
        result |= {"torch_autocast": {"enabled": True, "dtype": "bfloat16"}}
    elif engine.precision == "bf16":
        # the default accumulates gradients in bf16 as well (recipes/deepspeed.md#accumulation-dtype)
        result |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
    elif engine.precision == "fp16":
        result |= {"fp16": {"enabled": True, "initial_scale_power": 16}}
    return _merge(result, read_deepspeed_json(engine.deepspeed, engine.zero_stage) if engine.deepspeed else {})


def check_deepspeed(config: Config) -> None:
    """Have DeepSpeed read the configuration of a run, as far as ``engine.deepspeed`` adds to it.

    Raises:
        PolymeraseError: the key that DeepSpeed does not know, or whose value it refuses.
    """
    if config.engine.deepspeed is None:
        return
    if not torch.cuda.is_available():
        quiet_cpu_deepspeed()
    from deepspeed.runtime.config import DeepSpeedConfig
    from pydantic import ValidationError

    file = f"engine.deepspeed: {config.engine.deepspeed}"
    given = read_deepspeed_json(config.engine.deepspeed, config.engine.zero_stage)
    for section, package in _MONITORS.items():
        if (given.get(section) or {}).get("enabled") and find_spec(package) is None:
            raise PolymeraseError(
                f"{file}: {section} needs the package {package}, which is not installed; pip install {package}, or "
                "leave it out (tracking.sinks shows a run, too)"
            )
    try:
        DeepSpeedConfig(deepspeed_config(config, 1, 1))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = "an unknown key" if first["type"] == "extra_forbidden" else f"{first['msg']}, got {first['input']!r}"
        raise PolymeraseError(f"{file}: {error.title}: {key}: {said}; correct it or leave it out") from None
    except Exception as error:  # DeepSpeed raises whatever its code happens to meet
        raise PolymeraseError(f"{file}: DeepSpeed refuses it: {' '.join(str(error).split())}") from None


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return below | {
        key: _merge(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
