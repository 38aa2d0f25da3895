"""Labeled tasks while a model trains: a copy of its weights is asked, so that the training cannot notice.

The copy lives on the same device and only as long as it is asked. Random numbers of the training are put back as they
were; bars, which need no model, are measured at the first time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from pretrain.evaluation.bench.figures import Figures, figures_of, versus, weights_of
from pretrain.evaluation.bench.kinds import AnyTask, base_of, frozen_answers, model_free_answers
from pretrain.evaluation.bench.run import Options
from pretrain.evaluation.bench.suites import load_suite, tasks_of
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.model import TrainedModel
from pretrain.models import LanguageModel
from pretrain.training.components import RunComponents

_OPTIONS = Options(seeds=0)


class HoldsModel(Protocol):
    """The engine of a training."""

    @property
    def model(self) -> nn.Module:
        """Its weights."""


class BenchInTraining:
    """Tasks of ``train.bench``, in memory.

    Raises:
        PolymeraseError: no such suite or task, or no file of it is there.
    """

    def __init__(self, components: RunComponents):
        bench = components.config.train.bench
        assert bench is not None
        suite = load_suite(bench.suite)
        self._components = components
        self.missing: dict[str, str] = {}
        shortest = components.tokenizer.min_nucleotides
        found = tasks_of(suite, list(bench.tasks) or None, Path(bench.data), self.missing)
        self._tasks: list[AnyTask] = [_without_shorter(task, shortest) for task in found]
        self._bars: dict[str, dict[str, Figures]] = {}

    def __call__(self, engine: HoldsModel) -> dict[str, float]:
        """Ask the weights as they are.

        Returns:
            ``bench/TASK/METRIC``, its ``standard_error``, and ``than_BAR`` with ``than_BAR_standard_error``: the
            difference to each bar, by the metric of the task.
        """
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            model = self._copy(engine.model)
            values: dict[str, float] = {}
            for task in self._tasks:
                values |= self._ask(model, task)
        return values

    def _copy(self, trained: nn.Module) -> TrainedModel:
        components = self._components
        network = LanguageModel.build(components.settings)
        state = {
            name: value for name, value in trained.state_dict().items() if name.startswith(("encoder.", "mlm_head."))
        }
        network.load_state_dict(state, strict=False)
        device = next(trained.parameters()).device
        source = str(components.config.run.dir)
        return TrainedModel(
            source,
            components.family,
            components.settings,
            components.tokenizer,
            network.to(device).eval(),
            True,
            device,
        )

    def _ask(self, model: TrainedModel, asked: AnyTask) -> dict[str, float]:
        task = base_of(asked)
        weights = weights_of(len(task.rows["test"]))
        if task.name not in self._bars:
            bars = model_free_answers(asked)
            self._bars[task.name] = {name: figures_of(task, answers, weights) for name, answers in bars.items()}
        own = figures_of(task, frozen_answers(model, asked, _OPTIONS), weights)
        name, intervals = f"bench/{task.name}/{task.metric}", own.intervals()
        values = {
            name: own.metrics()[task.metric],
            f"{name}/standard_error": intervals[task.metric]["standard_error"],
        }
        for bar, figures in self._bars[task.name].items():
            found = versus(task, own, figures)
            values[f"{name}/than_{bar}"] = found["difference"]
            values[f"{name}/than_{bar}_standard_error"] = found["standard_error"]
        return values


def _without_shorter(task: AnyTask, shortest: int) -> AnyTask:
    return task.without_shorter(shortest) if isinstance(task, Task) else task
