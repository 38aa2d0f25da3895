"""What two ranks hold while a model is saved in parts at ZeRO 3, and while another process goes on from them.

python tests/multinode/checkpoint_memory.py [--width 1280] [--layers 16]

Memory is what a process has to itself (RssAnon of /proc); pages of the files it reads are not in it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.training.corpora import tree
from tests.training.ranks import Job, finish, start

RANKS = 2
SMALL_BUCKETS = {  # what DeepSpeed holds on the way is a choice of speed, not of the size of a model
    "zero_optimization": {
        "reduce_bucket_size": 2_000_000,
        "stage3_prefetch_bucket_size": 0,
        "stage3_max_live_parameters": 1,
        "stage3_max_reuse_distance": 0,
        "stage3_param_persistence_threshold": 0,
    }
}


class Watched:
    """The most that this process held while something was done."""

    def __init__(self) -> None:
        self.phases: dict[str, dict[str, float]] = {}

    def during(self, name: str, done: Any) -> Any:
        """Call ``done`` and note what was held before, after and at most, in 10^6 bytes."""
        most, ended = [held()], threading.Event()

        def look() -> None:
            while not ended.is_set():
                most.append(held())
                time.sleep(0.005)

        watcher = threading.Thread(target=look)
        before = held()
        watcher.start()
        try:
            return done()
        finally:
            ended.set()
            watcher.join()
            self.phases[name] = {"before": before, "most": max(most), "after": held()}


def held() -> float:
    """Memory of this process alone, in 10^6 bytes."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def rank(plan: Path) -> None:
    """One rank: trains a step, saves it, and goes on from there with another engine."""
    import gc

    import torch

    from pretrain.config import check
    from pretrain.distributed.context import init_distributed
    from pretrain.training.components import build_components
    from pretrain.training.train_state import CheckpointSaver
    from pretrain.training.trainer import build_trainer

    torch.set_num_threads(1)
    context, watched = init_distributed(600, False, lost_rank_s=600), Watched()
    save, load = CheckpointSaver.save, CheckpointSaver.load
    CheckpointSaver.save = lambda *words: watched.during("save", lambda: save(*words))  # type: ignore[method-assign]
    CheckpointSaver.load = lambda *words: watched.during("load", lambda: load(*words))  # type: ignore[method-assign]
    facts: dict[str, float] = {}
    for name, job in zip(("train", "resume"), json.loads(plan.read_text()), strict=True):
        components = build_components(check(job["config"], "job"))
        trainer = watched.during(
            f"{name}: build", lambda parts=components: build_trainer(parts, context, "auto", [], None)
        )
        sizes = [parameter.ds_numel for parameter in trainer.parts.engine.model.parameters()]
        facts = {"parameters": sum(sizes), "largest_tensor_mb": max(sizes) * 4 / 1e6}
        watched.during(f"{name}: run", trainer.run)
        if name == "train":
            saved = watched.phases["save"]
        del trainer
        gc.collect()
    watched.phases["save"] = saved
    (plan.parent / f"memory-{context.rank}.json").write_text(json.dumps(facts | {"phases": watched.phases}))


def measure(folder: Path, width: int, layers: int) -> list[dict[str, Any]]:
    """What each rank found."""
    from data_prep.__main__ import main as data_prep

    assert data_prep(["sample", "--sequences", "60", "--out", str(folder / "corpus")]) == 0
    small = folder / "deepspeed.json"
    small.write_text(json.dumps(SMALL_BUCKETS))
    jobs = [
        Job(
            tree(
                folder / "run", folder / "corpus", engine={"zero_stage": 3, "deepspeed": str(small)},
                model={"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 4 * width,
                       "family": "rnaernie2"},
                corpus__too_long="crop", corpus__max_tokens=40,
                batch={"tokens": None, "sequences": 1, "accumulation": 1},
                train={"steps": steps, "checkpoints": "sharded", "eval_sequences": 2, "keep_last": 1},
                schedule__total_steps=2,
            )
        )
        for steps in (1, 2)
    ]  # fmt: skip
    finish(start(RANKS, jobs, folder, "tests.multinode.checkpoint_memory"), folder, 3000)
    return [json.loads((folder / f"memory-{number}.json").read_text()) for number in range(RANKS)]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines for a person."""
    first = found[0]
    share = first["parameters"] * 16 / RANKS / 1e6
    lines = [
        f"{first['parameters']:,} parameters; weights, gradients and two moments in float32: "
        f"{share:,.0f} MB on each of {RANKS} ranks; largest tensor {first['largest_tensor_mb']:,.1f} MB"
    ]
    for number, of_rank in enumerate(found):
        for name, mb in of_rank["phases"].items():
            above = mb["most"] - max(mb["before"], mb["after"])
            lines.append(
                f"rank {number} {name:<14} before {mb['before']:8,.0f} MB, after {mb['after']:8,.0f} MB, "
                f"at most {mb['most']:8,.0f} MB: {above:6,.1f} MB above both"
            )
    return lines


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--width", type=int, default=1280)
    words.add_argument("--layers", type=int, default=16)
    args = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-") as scratch:
        print("\n".join(table(measure(Path(scratch), args.width, args.layers))))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].endswith("jobs.json"):
        from tests.training.leaving import leave_after

        leave_after(lambda: rank(Path(sys.argv[1])))
    main()
