"""Trainings whose loss is multiplied with a factor wherever the batches of chosen steps are seen: bad data, to order.

    python -m tests.faults.poisoned JOBS.json      as one rank

A job is a config, and ``poison``: step -> factor. The factor belongs to the second micro-batch of that step of an
undisturbed run, so it is met on one rank only, and met again if the run goes back.
"""

import json
import sys
import zlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pretrain.config import check
from pretrain.distributed.context import init_distributed
from pretrain.errors import RunError
from pretrain.training.components import build_components
from pretrain.training.trainer import Trainer, build_trainer
from tests.training.leaving import leave_after


def fingerprint(packed) -> int:
    return zlib.crc32(packed.input_ids.cpu().numpy().tobytes())


def poison(trainer: Trainer, factors: dict[int, float]) -> None:
    """Multiply the loss of chosen micro-batches."""
    spans = list(islice(trainer.parts.plan.steps(0), max(factors, default=0)))
    by_batch = {fingerprint(trainer.parts.builder.make(*spans[step - 1][1]).packed): f for step, f in factors.items()}
    forward = trainer.parts.engine.forward

    def poisoned(packed, targets, coefficients):
        loss, sums = forward(packed, targets, coefficients)
        factor = by_batch.get(fingerprint(packed), 1.0)
        return loss * factor, {
            name: replace(components, loss=components.loss * factor) for name, components in sums.items()
        }

    trainer.parts.engine.forward = poisoned


def main() -> None:
    dist_context = init_distributed(60, False)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        config = check(job["config"], "job")
        trainer = build_trainer(build_components(config), dist_context, job.get("resume", "auto"), [])
        poison(trainer, {int(step): float(factor) for step, factor in job["poison"].items()})
        try:
            trainer.run()
        except RunError as error:
            if dist_context.is_first:
                (Path(str(config.run.dir)) / "error.txt").write_text(str(error))


if __name__ == "__main__":
    leave_after(main)
