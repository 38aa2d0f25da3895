"""Preparing micro-batches ahead of the device: in a thread of this process, or in worker processes."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import tee
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from pretrain.batches.plan import Plan, Span, share_of_rank

Batch = TypeVar("Batch")
Item = TypeVar("Item")
_AHEAD = 4  # micro-batches prepared before they are asked for


class StepOfRank(NamedTuple, Generic[Batch]):
    """The work of one rank in one optimizer step.

    Attributes:
        micro_batches: its micro-batches in order; None for a turn in which it has nothing to do while others have.
        end: stream position after the step, the same on all ranks. The run continues from there.
    """

    micro_batches: list[Batch | None]
    end: int


def load_steps(
    plan: Plan, position: int, make: Callable[[int, int], Batch], rank: int, world_size: int, workers: int
) -> Generator[StepOfRank[Batch], None, None]:
    """Yield the steps of one rank from a stream position on.

    Args:
        plan: the micro-batches of every step.
        position: in the stream, of the first step.
        make: (start, stop) -> micro-batch; a pure function, so it does not matter where it runs.
        rank: this rank.
        world_size: number of ranks.
        workers: processes; 0 prepares in a thread, which is enough as long as a batch costs less than its step.
    """
    # every rank cuts the whole step, 0.1 s with a thousand ranks, so that is done ahead of time as well
    planned = (
        StepOfRank(share_of_rank(step, rank, world_size, plan.micro_batches), step[-1].stop)
        for step in plan.steps(position)
    )
    for_loader, for_us = tee(_one_ahead(planned))
    spans = (span for share in for_loader for span in share.micro_batches if span is not None)
    prepared = _in_processes(spans, make, workers) if workers else _in_thread(spans, make)
    for share in for_us:
        yield StepOfRank([None if span is None else next(prepared) for span in share.micro_batches], share.end)


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the same items, computing the next one in a thread while the last one is used."""
    with ThreadPoolExecutor(1, "planner") as pool:
        item = next(items, None)
        while item is not None:
            following = pool.submit(next, items, None)
            yield item
            item = following.result()


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
    """Launchers and SLURM signal whole process trees; a worker must outlive the step in which its rank saves."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
