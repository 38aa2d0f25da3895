"""One rank of :mod:`tests.training.ranks`: trains its jobs one after another in one process group."""

import gc
import json
import logging
import sys
import traceback
from pathlib import Path

import torch

from pretrain.config import Config, check
from pretrain.distributed.context import DistributedContext, init_distributed
from pretrain.errors import PolymeraseError
from pretrain.training.components import build_components
from pretrain.training.trainer import build_trainer
from tests.training.leaving import leave_after
from tests.training.ranks import flip_a_byte


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    jobs = json.loads(Path(sys.argv[1]).read_text())
    configs = [check(job["config"], "job") for job in jobs]
    engine = configs[0].engine
    dist_context = init_distributed(
        engine.timeout_s, engine.require_gpu, engine.lost_rank_s, engine.interface, engine.port
    )
    for job, config in zip(jobs, configs, strict=True):
        train(job, config, dist_context)
        gc.collect()  # the engine of this job, and its lock on the run folder


def train(job: dict, config: Config, dist_context: DistributedContext) -> None:
    for path in job["damage"] if dist_context.is_first else []:
        flip_a_byte(Path(path))
    try:
        build_trainer(build_components(config), dist_context, job["resume"], job["allow_change"]).run()
    except Exception as error:
        if dist_context.world_size == 1 and not job["expect_error"]:  # its own tests fail, the jobs after it go on
            Path(str(config.run.dir), "failed.txt").write_text(traceback.format_exc())
            return
        if not isinstance(error, PolymeraseError) or not job["expect_error"]:
            raise
        if dist_context.is_first:
            with (Path(str(config.run.dir)) / "error.txt").open("a") as file:
                file.write(f"{error}\n")
    else:
        assert not job["expect_error"], "the job was expected to fail"


if __name__ == "__main__":
    leave_after(main)
