"""One contestant in a process of its own, told step by step what to do."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from pretrain.assembly import assemble
from pretrain.benchmarking import communication
from pretrain.benchmarking.contestants import CONTESTANTS, Course, Load
from pretrain.benchmarking.hardware import Stopwatch, describe, peak_bytes, peak_flops
from pretrain.benchmarking.profiling import operations
from pretrain.config import Config
from pretrain.distributed import join
from pretrain.engine import Engine
from pretrain.errors import PolymeraseError
from pretrain.optim import build_optimizer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PHASES = ("data_wait", "forward", "backward", "optimizer", communication.PHASE)


@dataclass(frozen=True)
class Stepped:
    """One optimiser step: seconds of each phase, and how much was computed."""

    seconds: tuple[float, ...]
    tokens: int
    cells: int
    squares: int


class Remote:
    """The near end of a contestant's process."""

    def __init__(self, name: str, connection: Connection):
        self.name, self._connection = name, connection
        self.facts: dict[str, Any] = {}

    def wait(self) -> None:
        """Until it is ready to step; several are started at once and waited for afterwards."""
        self.facts = self._receive()

    def step(self) -> Stepped:
        """Compute one step, alone on the machine; returns when it is done."""
        return Stepped(**self.ask("step"))

    def ask(self, what: str) -> Any:
        """One of the answers of the far end: ``step``, ``memory``, ``profile``, ``hardware``, ``peak``."""
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise PolymeraseError(f"the process of {self.name!r} ended; its messages are above") from None
        if isinstance(answer, PolymeraseError):
            raise answer
        return answer


@contextmanager
def contestant_process(name: str, config: Config, course: Course) -> Iterator[Remote]:
    """Start a contestant, which builds its model and waits. Ended on leaving."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far, name, config, course), name=name)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is answered here, once
    process.start()
    signal.signal(signal.SIGINT, handler)
    far.close()
    try:
        yield Remote(name, near)
    finally:
        near.close()
        process.join(10)
        if process.is_alive():
            process.kill()


def _serve(connection: Connection, name: str, config: Config, course: Course) -> None:
    for variable in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"):  # each contestant is a world of its own
        os.environ.pop(variable, None)
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

    def __init__(self, name: str, config: Config, course: Course):
        self._precision = config.engine.precision
        self._place = join(config.engine.timeout_s, config.engine.require_gpu)
        parts = assemble(config)
        self._contestant = CONTESTANTS[name](parts, course)
        self._loads = self._contestant.loads()
        self._heaviest: Load | None = None
        self.facts = {"parameters": sum(p.numel() for p in self._contestant.model.parameters())}
        self._watch = Stopwatch(self._place.device)
        self._prepare(config)
        communication.watch_collectives(self._watch)

    def _prepare(self, config: Config) -> None:
        model = self._contestant.model.train()
        if self._contestant.uses_deepspeed:
            engine = Engine(config, model, 1).deepspeed  # type: ignore[arg-type]
            self._network, self._backward, self._update = engine, engine.backward, engine.step
            return
        model.to(self._place.device)
        optimizer = build_optimizer(model, config.optimizer)

        def update() -> None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()

        self._network, self._backward, self._update = model, torch.Tensor.backward, update

    def step(self) -> dict[str, Any]:
        self._watch.enter("data_wait")
        load = next(self._loads)
        seconds = self._compute(load)
        if self._heaviest is None or load.cells > self._heaviest.cells:
            self._heaviest = load
        return asdict(Stepped(tuple(seconds.get(name, 0.0) for name in PHASES), load.tokens, load.cells, load.squares))

    def memory(self) -> dict[str, int]:
        """The heaviest batch so far once more, watching the memory."""
        return {"peak_memory_bytes": peak_bytes(self._heaviest_step(), self._place.device)}

    def profile(self) -> list[dict[str, Any]]:
        """The same, watching the operations."""
        return operations(self._heaviest_step(), self._place.device)

    def _heaviest_step(self) -> Callable[[], object]:
        assert self._heaviest is not None
        return partial(self._compute, self._heaviest)

    def _compute(self, load: Load) -> dict[str, float]:
        """One step; seconds by phase, what was entered before included."""
        self._watch.enter("forward")
        loss = self._contestant.loss(self._network, load, self._place.device)
        self._watch.enter("backward")
        self._backward(loss)
        self._watch.enter("optimizer")
        self._update()
        self._watch.enter("")
        return self._watch.seconds()

    def hardware(self) -> dict[str, Any]:
        """Device, threads, versions."""
        return describe(self._place.device)

    def peak(self) -> dict[str, Any]:
        """What utilisation is a share of."""
        flops, source = peak_flops(self._place.device, _DTYPES[self._precision])
        return {"flops_per_second": flops, "source": source}
