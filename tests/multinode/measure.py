"""One rank that trains a few steps and measures what the dry run predicts: peak memory and bytes sent.

python -m tests.multinode.measure JOB.json RESULT.json
"""

import gc
import json
import sys
from pathlib import Path

from pretrain.benchmarking.hardware import live_bytes, peak_bytes
from pretrain.config import check
from pretrain.distributed.context import DistributedContext, init_distributed
from pretrain.planning.costs import memory_per_rank, parameter_count
from pretrain.planning.traffic import sent_per_step
from pretrain.training.components import build_components
from pretrain.training.trainer import build_trainer
from tests.training.leaving import leave_after

WATCHED_STEP = 3
CABLE = Path("/sys/class/net/eth0/statistics/tx_bytes")  # of the network namespace this rank lives in


def sent_so_far() -> int:
    return int(CABLE.read_text()) if CABLE.exists() else 0


def measure(tree: dict, dist_context: DistributedContext) -> dict[str, float]:
    """One training of a few steps."""
    components = build_components(check(tree, "job"))
    before = live_bytes()
    trainer = build_trainer(components, dist_context, "auto", [])
    update, found, sent = trainer.parts.update, {}, []

    def watched(span, batches):
        if span.step != WATCHED_STEP:
            sent.append(sent_so_far())
            return update(span, batches)
        results = []
        gc.collect()  # garbage of earlier steps is no need of this one
        found["peak"] = peak_bytes(lambda: results.append(update(span, batches)), dist_context.device) - before
        heaviest = max(filter(None, batches), key=lambda batch: batch.tokens)
        found["lengths"] = heaviest.packed.lengths
        return results[0]

    watched.asked_to_stop, watched.learning_rate = False, update.learning_rate
    trainer.parts.update = watched
    trainer.run()
    parameters = parameter_count(components.config, components.settings)
    memory = memory_per_rank(
        components.config, components.settings, parameters, dist_context.world_size, found["lengths"]
    )
    return {
        "peak": found["peak"],
        "predicted peak": memory.total,
        "sent": (sent[-1] - sent[2]) / (len(sent) - 3),  # first steps record DeepSpeed's order of gathering
        "predicted sent": sent_per_step(
            components.config, parameters, dist_context.world_size, update.micro_batches_per_rank, gloo=True
        ).total,
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    dist_context = init_distributed(60, False, interface="eth0" if CABLE.exists() else None)
    result = measure(job, dist_context)
    if dist_context.is_first:
        Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    leave_after(main)
