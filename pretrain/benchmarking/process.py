"""One contestant in a process of its own, or one per rank, controlled step by step."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from pretrain.benchmarking import communication
from pretrain.benchmarking.contestants import CONTESTANTS, BenchmarkBatch, BenchmarkPlan
from pretrain.benchmarking.hardware import Stopwatch, describe, peak_bytes, peak_flops
from pretrain.benchmarking.profiling import operations
from pretrain.config import Config
from pretrain.distributed.context import init_distributed
from pretrain.distributed.launchers import free_port
from pretrain.errors import PolymeraseError
from pretrain.training.components import build_components
from pretrain.training.engine import Engine
from pretrain.training.optim import build_optimizer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_QUIET_PROFILER = {"KINETO_LOG_LEVEL": "99", "TORCH_CPP_LOG_LEVEL": "ERROR"}  # read when torch is loaded
PHASES = ("data_wait", "forward", "backward", "optimizer", communication.PHASE)


@dataclass(frozen=True)
class StepTiming:
    """One optimizer step: seconds of each phase, the mean over ranks, and the tokens of all ranks."""

    seconds: tuple[float, ...]
    tokens: int
    cells: int
    squares: int


class ContestantHandle:
    """The near end of a contestant's processes, one for each rank."""

    def __init__(self, name: str, connections: list[Connection]):
        self.name, self._connections = name, connections
        self.facts: dict[str, Any] = {}

    def wait(self) -> None:
        """Wait until it is ready to step; several are started at once and waited for afterwards."""
        self.facts = self._receive()[0]

    def step(self) -> StepTiming:
        """Compute one step, alone on the machine."""
        ranks = [StepTiming(**answer) for answer in self.ask("step")]
        phases = zip(*(rank.seconds for rank in ranks), strict=True)
        seconds = tuple(sum(phase) / len(ranks) for phase in phases)
        tokens, cells, squares = (sum(getattr(r, name) for r in ranks) for name in ("tokens", "cells", "squares"))
        return StepTiming(seconds, tokens, cells, squares)

    def ask(self, what: str) -> list[Any]:
        """Call a public method of the far end and return its results, by rank."""
        for connection in self._connections:
            connection.send(what)
        return self._receive()

    def _receive(self) -> list[Any]:
        try:
            answers = [connection.recv() for connection in self._connections]
        except EOFError:
            raise PolymeraseError(f"the process of {self.name!r} ended; its messages are above") from None
        for answer in answers:
            if isinstance(answer, PolymeraseError):
                raise answer
        return answers


@contextmanager
def contestant_process(name: str, config: Config, course: BenchmarkPlan) -> Iterator[ContestantHandle]:
    """Start the ranks of a contestant, which build their model and wait; they end when the context is left."""
    context = multiprocessing.get_context("spawn")
    for variable, quiet in _QUIET_PROFILER.items():
        os.environ.setdefault(variable, quiet)
    port, connections, processes = free_port(), [], []
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is answered here, once
    for rank in range(course.ranks):
        near, far = context.Pipe()
        process = context.Process(target=_serve, args=(far, name, config, replace(course, rank=rank), port), name=name)
        process.start()
        far.close()
        connections.append(near)
        processes.append(process)
    signal.signal(signal.SIGINT, handler)
    try:
        yield ContestantHandle(name, connections)
    finally:
        for near in connections:
            near.close()
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()


def _serve(connection: Connection, name: str, config: Config, course: BenchmarkPlan, port: int) -> None:
    rank, ranks = str(course.rank), str(course.ranks)
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=ranks, LOCAL_SIZE=ranks)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))  # each contestant is a world of its own
    try:
        answers = _Stepper(name, config, course)
        connection.send(answers.facts)
        while True:
            connection.send(getattr(answers, connection.recv())())
    except PolymeraseError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError):
        pass
    connection.close()
    os._exit(0)  # gloo's threads now and then abort a normal shutdown


class _Stepper:
    """The far end: model, engine, batches."""

    def __init__(self, name: str, config: Config, course: BenchmarkPlan):
        self._precision = config.engine.precision
        self._dist_context = init_distributed(config.engine.timeout_s, config.engine.require_gpu)
        components = build_components(config)
        self._contestant = CONTESTANTS[name](components, course)
        self._loads = self._contestant.loads()
        self._heaviest: BenchmarkBatch | None = None
        self.facts = {"parameters": sum(p.numel() for p in self._contestant.model.parameters())}
        self._watch = Stopwatch(self._dist_context.device)
        self._prepare(config)
        communication.watch_collectives(self._watch)

    def _prepare(self, config: Config) -> None:
        model = self._contestant.model.train()
        if self._contestant.uses_deepspeed:
            engine = Engine(config, model, 1).deepspeed  # type: ignore[arg-type]
            self._network, self._backward, self._update = engine, engine.backward, engine.step
            return
        model.to(self._dist_context.device)
        optimizer = build_optimizer(model, config.optimizer)

        def update() -> None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()

        self._network, self._backward, self._update = model, torch.Tensor.backward, update

    def restart(self) -> None:
        """Back to the first batch."""
        self._loads = self._contestant.loads()

    def warm_up(self) -> None:
        """A step that does not count; after the last batch comes the first."""
        load = next(self._loads, None)
        if load is None:
            self.restart()
            load = next(self._loads)
        self._compute(load)

    def step(self) -> dict[str, Any]:
        self._watch.enter("data_wait")
        load = next(self._loads)
        seconds = self._compute(load)
        if self._heaviest is None or load.cells > self._heaviest.cells:
            self._heaviest = load
        return asdict(
            StepTiming(tuple(seconds.get(name, 0.0) for name in PHASES), load.tokens, load.cells, load.squares)
        )

    def memory(self) -> int:
        """Peak bytes: the heaviest batch so far once more, watching the memory."""
        return peak_bytes(self._heaviest_step(), self._dist_context.device)

    def profile(self) -> list[dict[str, Any]]:
        """The same, watching the operations."""
        return operations(self._heaviest_step(), self._dist_context.device)

    def _heaviest_step(self) -> Callable[[], object]:
        assert self._heaviest is not None
        return partial(self._compute, self._heaviest)

    def _compute(self, load: BenchmarkBatch) -> dict[str, float]:
        """One step; seconds by phase, what was entered before included."""
        self._watch.enter("forward")
        loss = self._contestant.loss(self._network, load, self._dist_context.device)
        self._watch.enter("backward")
        self._backward(loss)
        self._watch.enter("optimizer")
        self._update()
        self._watch.enter("")
        return self._watch.seconds()

    def hardware(self) -> dict[str, Any]:
        """Device, threads, versions."""
        return describe(self._dist_context.device)

    def peak(self) -> dict[str, Any]:
        """What utilization is a share of."""
        flops, source = peak_flops(self._dist_context.device, _DTYPES[self._precision])
        return {"flops_per_second": flops, "source": source}
