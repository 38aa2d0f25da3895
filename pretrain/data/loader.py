"""Preparing micro-batches ahead of the device: in a thread of this process, or in worker processes."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from pretrain.data.plan import Plan, Span, share_of_rank

Batch = TypeVar("Batch")
_AHEAD = 4  # micro-batches prepared before they are asked for


class StepOfRank(NamedTuple, Generic[Batch]):
    """What one rank computes in one optimiser step.

    turns: its micro-batches in order; None where it has nothing to do while others have.
    end: stream position after the step, on all ranks the same. The run continues from there.
    """

    turns: list[Batch | None]
    end: int


def load_steps(
    plan: Plan, position: int, make: Callable[[int, int], Batch], rank: int, world_size: int, workers: int
) -> Generator[StepOfRank[Batch], None, None]:
    """The steps of one rank from a stream position on.

    Args:
        make: (start, stop) -> micro-batch; a pure function, so it does not matter where it runs.
        workers: processes; 0 prepares in a thread, which is enough as long as a batch costs less than its step.
    """

    def spans() -> Iterator[Span]:  # the same plan a second time: cutting is cheap, and the loader runs ahead of it
        for step in plan.steps(position):
            yield from (s for s in share_of_rank(step, rank, world_size, plan.micro_batches) if s is not None)

    prepared = _in_processes(spans(), make, workers) if workers else _in_thread(spans(), make)
    for step in plan.steps(position):
        mine = share_of_rank(step, rank, world_size, plan.micro_batches)
        yield StepOfRank([None if span is None else next(prepared) for span in mine], step[-1].stop)


def _in_thread(spans: Iterator[Span], make: Callable[[int, int], Batch]) -> Iterator[Batch]:
    with ThreadPoolExecutor(1, "loader") as pool:
        ahead = deque(pool.submit(make, *span) for _, span in zip(range(_AHEAD), spans, strict=False))
        while ahead:
            batch = ahead.popleft().result()
            following = next(spans, None)
            if following is not None:
                ahead.append(pool.submit(make, *following))
            yield batch


class _Made(Dataset):
    """A map-style dataset whose indices are spans."""

    def __init__(self, make: Callable[[int, int], Any]):
        self.make = make

    def __getitem__(self, span: Span) -> Any:
        return self.make(*span)


def _in_processes(spans: Iterator[Span], make: Callable[[int, int], Batch], workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        _Made(make),
        sampler=spans,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2,
        worker_init_fn=_init_worker,
    )
    yield from loader


def _init_worker(_: int) -> None:
    """The launcher signals whole process trees; a worker must outlive the step in which its rank saves."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
