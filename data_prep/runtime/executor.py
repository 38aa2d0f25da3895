"""Work on other processes or machines, behind the standard `concurrent.futures.Executor` interface.

A worker that dies (ViennaRNA can segfault, the kernel can kill for memory) costs the item it died of, not the run.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from data_prep.errors import DataPrepError
from data_prep.runtime.process import tune_process

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 3


def processes(rest: str) -> int:
    """The N of local:N (all cores if it is left out); DataPrepError for another word."""
    if rest and not (rest.isdecimal() and int(rest)):
        raise DataPrepError(f"--executor local:{rest}: expected local:N with N processes")
    return int(rest) if rest else len(os.sched_getaffinity(0))


def _local(rest: str) -> tuple[Executor, int]:
    """local:N, N processes."""
    count = processes(rest)
    # Forked children of a process with threads (Arrow has some) can hang; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin), count


def _begin() -> None:
    """Runs first in a worker, and has it end with its parent: else it waits for work of a killed process for ever."""
    tune_process()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _dask(rest: str) -> tuple[Executor, int]:
    """dask://HOST:PORT, the scheduler of a running Dask cluster."""
    try:
        from distributed import Client
    except ImportError:
        raise DataPrepError("--executor dask://…: Dask is not installed; `pip install distributed`") from None
    try:
        client = Client(f"tcp://{rest.removeprefix('//')}", timeout="20s")
    except (OSError, ValueError) as error:
        raise DataPrepError(f"--executor dask:{rest}: no scheduler answers there ({error})") from None
    return _DaskExecutor(client), max(1, sum(client.nthreads().values()))


class _DaskExecutor(Executor):
    """Dask's executor, which leaves its client open, together with that client."""

    def __init__(self, client: Any):
        self._client = client
        self._executor = client.get_executor()

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._client.close()


# scheme of an --executor address -> (executor, number of workers) for what follows the colon
EXECUTORS: dict[str, Callable[[str], tuple[Executor, int]]] = {"local": _local, "dask": _dask}


class Workers:
    """An executor that outlives its workers. Use as a context manager.

    address: `local:N` or `dask://HOST:PORT`. Errors: DataPrepError for an address that leads nowhere.
    """

    def __init__(self, address: str):
        self._scheme, _, self._rest = address.partition(":")
        if self._scheme not in EXECUTORS:
            raise DataPrepError(f"--executor {address}: unknown kind {self._scheme!r}; known: {', '.join(EXECUTORS)}")
        self._start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: Any) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def map_chunks(
        self, function: Callable[[list[Item]], list[Result]], chunks: Iterable[list[Item]]
    ) -> Iterator[tuple[int, list[Result | None]]]:
        """Apply `function` to each chunk; yields (number of the chunk, results) as they come.

        An item whose worker died has the result None. Exceptions of `function` itself are raised.
        """
        waiting = enumerate(chunks)
        running: dict[Future, tuple[int, list[Item]]] = {}
        while True:
            while len(running) < IN_FLIGHT_PER_WORKER * self._count and (task := next(waiting, None)):
                running[self._submit(function, task[1])] = task
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            if any(isinstance(future.exception(), BrokenExecutor) for future in done):
                done, _ = wait(running)  # the pool as a whole is broken: nothing of it will run any more
            suspects = []
            for future in done:
                number, chunk = running.pop(future)
                if _worker_died(future.exception()):
                    suspects.append((number, chunk))
                else:
                    yield number, future.result()
            for number, chunk in sorted(suspects, key=lambda task: task[0]):
                yield number, self._isolate(function, chunk)

    def _isolate(self, function: Callable[[list[Item]], list[Result]], chunk: list[Item]) -> list[Result | None]:
        """Run a chunk whose worker died, alone; halve it until the items that kill are found."""
        future = self._submit(function, chunk)
        if not _worker_died(future.exception()):
            return list(future.result())
        if len(chunk) == 1:
            return [None]
        half = len(chunk) // 2
        return self._isolate(function, chunk[:half]) + self._isolate(function, chunk[half:])

    def _submit(self, function: Callable[[list[Item]], list[Result]], chunk: list[Item]) -> Future:
        try:
            return self._executor.submit(function, chunk)
        except BrokenExecutor:
            self._executor.shutdown(wait=False)
            self._start()
            return self._executor.submit(function, chunk)

    def _start(self) -> None:
        self._executor, self._count = EXECUTORS[self._scheme](self._rest)


def _worker_died(error: BaseException | None) -> bool:
    # Dask's exception is known by name, so that Dask is not imported for it.
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
