"""Who would make the host wait for a GPU: real DeepSpeed and the real trainer, every call counted; one process.

python -m tests.training.waits JOBS.json OUT.json
"""

import json
import logging
import sys
import traceback
from collections import Counter
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pretrain.config import check
from pretrain.distributed.context import init_distributed
from pretrain.training.components import build_components
from pretrain.training.trainer import build_trainer
from tests.training.leaving import leave_after

READS = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero"}
FIRST = 4  # steps before, in which things are set up


def caller() -> str:
    """The file that asked, below ``pretrain`` or ``deepspeed``."""
    for frame in reversed(traceback.extract_stack()[:-2]):
        for package in ("/pretrain/", "/deepspeed/"):
            if package in frame.filename:
                return f"{package.strip('/')}/{frame.filename.split(package)[-1]}"
    return "elsewhere"


class Reads(TorchDispatchMode):
    """Counts numbers that are read on the host."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.name.split("::")[1] in READS:
            self.found[f"read by {caller()}"] += 1
        return function(*args, **(kwargs or {}))


def count(job: dict, dist_context) -> dict[str, float]:
    """Per step between two log steps: drains of the device, and reads, by who asks."""
    from deepspeed.accelerator import get_accelerator

    trainer = build_trainer(build_components(check(job, "job")), dist_context, "never", [])
    found: Counter[str] = Counter()
    kind, update, steps = type(get_accelerator()), trainer.parts.update, 0
    usual = kind.synchronize

    def drain(self, *args, **kwargs):
        found[f"drained by {caller()}"] += 1
        return usual(self, *args, **kwargs)

    def step(span, batches):
        nonlocal steps
        if span.step <= FIRST:
            return update(span, batches)
        steps += 1
        kind.synchronize = drain
        try:
            with Reads(found):
                return update(span, batches)
        finally:
            kind.synchronize = usual

    trainer.parts.update = Watched(update, step)
    trainer.run()
    return {"steps": steps, **{name: number / steps for name, number in sorted(found.items())}}


class Watched:
    """The update of a trainer with another call."""

    def __init__(self, update, call):
        self.__dict__["update"], self.__dict__["call"] = update, call

    def __call__(self, *args):
        return self.call(*args)

    def __getattr__(self, name):
        return getattr(self.update, name)

    def __setattr__(self, name, value):
        setattr(self.update, name, value)


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    dist_context = init_distributed(60, False)
    jobs = json.loads(Path(sys.argv[1]).read_text())
    found = {name: count(job, dist_context) for name, job in jobs.items()}
    Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    leave_after(main)
