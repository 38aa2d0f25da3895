"""Keys that contradict each other, and keys without effect: each is an error that names the key and the reason."""

from __future__ import annotations

from collections.abc import Iterator

from pretrain.config.deepspeed_json import read_deepspeed_json
from pretrain.config.sections import Config, Optimizer
from pretrain.errors import PolymeraseError


def check_combinations(config: Config, where: str) -> None:
    """Raise PolymeraseError for the first combination of keys that is not allowed.

    What depends on the corpus or the tokenizer is checked when they are opened (``training/components.py``).
    """
    if config.engine.deepspeed is not None:
        read_deepspeed_json(config.engine.deepspeed, config.engine.zero_stage)
    for problems in (_contradictions(config), _without_effect(config), _above_peak(config), _model(config)):
        for problem in problems:
            raise PolymeraseError(f"{where}: {problem}")


def _contradictions(config: Config) -> Iterator[str]:
    batch, engine = config.batch, config.engine
    if batch.tokens is None and batch.sequences is None:
        yield "batch: set batch.tokens or batch.sequences (how large one micro-batch is)"
    if not config.objectives.active():
        yield "objectives: expected at least one; set, for example, objectives.mlm.weight=1.0"
    if config.train.patience and not config.train.eval_every:
        yield "train.patience counts evaluations; also set train.eval_every"
    if bool(config.train.bench_every) != (config.train.bench is not None):
        yield "train.bench_every and train.bench need each other; set both, for example train.bench.suite=utr"
    if config.train.bench_every and engine.zero_stage == 3:
        yield "train.bench_every needs engine.zero_stage=0, 1 or 2 (whole weights on one rank)"
    if engine.offload_param == "cpu" and engine.zero_stage != 3:
        yield "engine.offload_param=cpu needs engine.zero_stage=3"
    if engine.offload_optimizer == "cpu" and engine.zero_stage == 0:
        yield "engine.offload_optimizer=cpu needs engine.zero_stage=1, 2 or 3"
    if config.schedule.name == "wsd" and not config.schedule.decay_steps:
        yield "schedule.name=wsd decays in the last schedule.decay_steps; set that key"
    if config.schedule.name == "inverse_sqrt" and not config.schedule.warmup_steps:
        yield "schedule.name=inverse_sqrt decays from the end of the warm-up; set schedule.warmup_steps"
    if config.optimizer.name == "muon" and engine.zero_stage:
        yield f"optimizer.name=muon needs engine.zero_stage=0, got {engine.zero_stage}: ZeRO partitions the matrices"
    if engine.precision == "fp16" and engine.zero_stage == 0:
        yield "engine.precision=fp16 needs engine.zero_stage=1, 2 or 3 (float32 masters of the weights)"


def _without_effect(config: Config) -> Iterator[str]:
    optimizer, schedule, train = config.optimizer, config.schedule, config.train
    if config.corpus.temperature != 1.0 and config.corpus.temperature_mode == "none":
        yield "corpus.temperature has no effect with corpus.temperature_mode=none"
    if optimizer.momentum and optimizer.name != "sgd":
        yield f"optimizer.momentum has no effect with optimizer.name={optimizer.name} (betas are its memory)"
    for key in ("betas", "eps"):
        if optimizer.name == "sgd" and getattr(optimizer, key) != Optimizer.model_fields[key].default:
            yield f"optimizer.{key} has no effect with optimizer.name=sgd"
    if schedule.start_lr and not schedule.warmup_steps:
        yield "schedule.start_lr has no effect without schedule.warmup_steps"
    for key in ("min_lr", "total_steps"):
        if schedule.name == "constant" and getattr(schedule, key):
            yield f"schedule.{key} has no effect with schedule.name=constant"
    if schedule.name == "inverse_sqrt" and schedule.total_steps:
        yield "schedule.total_steps has no effect with schedule.name=inverse_sqrt, which does not end"
    if schedule.decay_steps and schedule.name != "wsd":
        yield f"schedule.decay_steps has no effect with schedule.name={schedule.name}"
    if train.keep_every and not train.save_every:
        yield "train.keep_every has no effect without train.save_every"
    if train.on_spike != "count" and not train.spike_deviations:
        yield f"train.on_spike={train.on_spike} has no effect with train.spike_deviations=0 (which turns the check off)"
    tracking = config.tracking
    if tracking.uri is not None and "mlflow" not in tracking.sinks:
        yield "tracking.uri has no effect without mlflow in tracking.sinks"
    if tracking.group is not None and not {"mlflow", "wandb"} & set(tracking.sinks):
        yield "tracking.group has no effect without mlflow or wandb in tracking.sinks"
    if config.model.extend_vocabulary and config.model.init_from is None:
        yield "model.extend_vocabulary has no effect without model.init_from"


def _above_peak(config: Config) -> Iterator[str]:
    peak = config.optimizer.lr
    for key in ("start_lr", "min_lr"):
        if (rate := getattr(config.schedule, key)) > peak:
            yield (
                f"schedule.{key}={rate:g} is above optimizer.lr={peak:g}, the highest rate; lower it or raise "
                "optimizer.lr"
            )


def _model(config: Config) -> Iterator[str]:
    """What the settings of the model say of themselves. Those of init_from are not known yet."""
    if config.model.init_from is not None:
        return
    from pretrain.config.model_choice import choose

    try:
        choose(config.model)
    except PolymeraseError as error:
        yield f"model: {error}"
