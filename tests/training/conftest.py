"""Trainings that many tests look at: done once per session, grouped by number of ranks to start few processes."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.corpora import tree
from tests.training.ranks import Job, finish, start
from tests.training.recipes import RECIPES, changes

STEPS, HALF = 20, 10
GLOBAL_BATCH = {"batch__micro_batches_per_step": 4}
EVERYTHING = {
    "model__family": "mutbert",
    "objectives": {"mlm": {}, "soft_label": {}, "structure": {}, "mfe": {"weight": 0.3}, "rna_type": {}},
    "masking": {"strategy": "mixture", "parts": [{"strategy": "variant_first"}, {"strategy": "span", "weight": 0.5}]},
    "corpus__window": 30,
    "batch__tokens": 80,
    **GLOBAL_BATCH,
}


class Runs:
    """Run folders by name, and the jobs that make them."""

    def __init__(self, folder: Path, corpora: dict[str, Path]):
        self._folder, self._corpora = folder, corpora
        self.jobs: list[Job] = []

    def __getitem__(self, name: str) -> Path:
        failed = self._folder / name / "failed.txt"
        assert not failed.exists(), failed.read_text()
        return self._folder / name

    def add(self, name: str, corpus: str = "plain", *, expect_error: bool = False, **values: Any) -> None:
        """A training in folder ``name``; the same folder again resumes it."""
        allow_change, resume = values.pop("allow_change", []), values.pop("resume", "auto")
        if corpus == "mixture":
            corpus = "labeled"
            values = {"corpus__extra": [{"path": str(self._corpora["alleles"]), "weight": 0.5}], **values}
        damage = [str(self._folder / name / "checkpoints" / file) for file in values.pop("damage", [])]
        config = tree(self._folder / name, self._corpora[corpus], **{"train__steps": STEPS, **values})
        self.jobs.append(Job(config, str(resume), list(allow_change), expect_error, damage))

    def start(self, world_size: int) -> None:
        self._processes = start(world_size, self.jobs, self._folder)

    def finish(self) -> "Runs":
        finish(self._processes, self._folder)
        return self

    @property
    def log(self) -> str:
        """What rank 0 said."""
        return (self._folder / "rank-0.log").read_text()


@pytest.fixture(scope="session")
def started(tmp_path_factory, corpora) -> tuple[Runs, Runs]:
    """The two groups that wait for nothing, side by side."""
    return _start_alone(tmp_path_factory, corpora), _start_pair(tmp_path_factory, corpora)


@pytest.fixture(scope="session")
def alone(started) -> Runs:
    """One rank."""
    return started[0].finish()


@pytest.fixture(scope="session")
def pair(started) -> Runs:
    """Two ranks."""
    return started[1].finish()


def _start_alone(tmp_path_factory, corpora) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("alone"), corpora)
    for stage in (0, 1, 2):
        runs.add(f"zero {stage}", engine__zero_stage=stage, **GLOBAL_BATCH)
    runs.add("accumulation", batch__accumulation=4)
    runs.add("stored scores", model__pairing_memory="store", **GLOBAL_BATCH)
    in_half = {"pairing_memory": "store", "pairing_scores_dtype": "float16"}
    runs.add("scores in float16", model=in_half, **GLOBAL_BATCH)
    runs.add("checkpointed activations", model__checkpoint_activations=True, **GLOBAL_BATCH)
    runs.add("workers", train__loader_workers=2, **GLOBAL_BATCH)
    runs.add("everything", "mixture", **EVERYTHING)
    runs.add("bf16 zero 0", engine={"zero_stage": 0, "precision": "bf16"}, **GLOBAL_BATCH)
    for stage in (0, 2):
        plain_sgd = {"name": "sgd", "lr": 0.5, "max_grad_norm": 0.01, "weight_decay": 0.0}
        runs.add(f"clipped {stage}", train__steps=1, optimizer=plain_sgd, schedule__warmup_steps=0,
                 engine__zero_stage=stage)  # fmt: skip
    for name in ("adamw", "adamw_fairseq", "adam", "sgd", "muon"):
        for run, steps in ((f"straight {name}", (9,)), (f"stopped {name}", (4, 9))):
            for stop in steps:
                runs.add(run, train__steps=stop, schedule__total_steps=9, optimizer__name=name,
                         optimizer__momentum=0.9 if name == "sgd" else 0.0,
                         engine__zero_stage={"adamw": 2, "adam": 0, "muon": 0}.get(name, 1))  # fmt: skip
    runs.add("retention", train={"steps": 12, "save_every": 2, "keep_last": 2, "keep_every": 4})
    for name in ("to be killed", "damaged"):
        runs.add(name, train={"steps": 12, "save_every": 2, "keep_last": 3})
    damaged = {"train": {"steps": 12, "save_every": 2, "keep_last": 3}}
    runs.add("damaged", damage=["step-12/weights.safetensors"], **damaged)
    runs.add("damaged", damage=[f"step-{n}/optimizer.safetensors" for n in (8, 10, 12)], expect_error=True, **damaged)
    runs.add("single", "single", train={"steps": 3, "eval_every": 1})
    runs.add("tracked", tracking__sinks=["mlflow"], train={"steps": 4, "eval_every": 2})
    runs.add(
        "broken tracking", tracking={"sinks": ["mlflow"], "uri": "sqlite:////proc/nowhere/at/all.db"}, train__steps=4
    )
    runs.add("changed", train__steps=4)
    for change in ({"corpus": "other"}, {"run__seed": 4}, {"objectives__mlm__weight": 0.5}, {"batch__tokens": 300},
                    {"model__hidden_size": 64}, {"corpus__max_tokens": 40}, {"masking__rate": 0.3},
                    {"model__family": "rnaernie"}):  # fmt: skip
        runs.add("changed", train__steps=8, expect_error=True, **change)
    for allowed in (["family"], ["vocabulary"], ["famly"]):
        runs.add("changed", train__steps=8, expect_error=True, model__family="rnaernie", allow_change=allowed)
    runs.add("changed", train__steps=8, expect_error=True, model__family="rnaernie",
             allow_change=["family", "vocabulary"])  # fmt: skip
    runs.add("changed", train__steps=8, expect_error=True, batch__micro_batches_per_step=3)
    runs.add("changed", "other", train__steps=8, allow_change=["corpus"])
    runs.add("grown", "labeled", train__steps=4)
    runs.add("grown", "labeled", train__steps=8, objectives__structure={}, optimizer__name="sgd",
             allow_change=["objectives", "optimizer"])  # fmt: skip
    for family in RECIPES:
        runs.add(family, **changes(family))
    runs.start(1)
    return runs


def _start_pair(tmp_path_factory, corpora) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("pair"), corpora)
    for stage in (0, 1, 2):
        runs.add(f"zero {stage}", engine__zero_stage=stage, **GLOBAL_BATCH)
    runs.add("everything", "mixture", **EVERYTHING)
    for stage in (1, 2):
        runs.add(f"bf16 zero {stage}", engine={"zero_stage": stage, "precision": "bf16"}, **GLOBAL_BATCH)
    runs.add("half", train__steps=HALF, schedule__total_steps=STEPS, **GLOBAL_BATCH)
    for run, steps in (("straight", (9,)), ("stopped", (4, 9))):
        for stop in steps:
            runs.add(run, train__steps=stop, schedule__total_steps=9, **GLOBAL_BATCH)
    runs.start(2)
    return runs


@pytest.fixture(scope="session")
def three(tmp_path_factory, corpora, pair) -> Runs:
    """Three ranks, so that four micro-batches per step leave ranks with nothing to do."""
    runs = Runs(tmp_path_factory.mktemp("three"), corpora)
    runs.add("zero 2", engine__zero_stage=2, **GLOBAL_BATCH)
    runs.add("everything", "mixture", **EVERYTHING)
    runs.add("taken over", resume=pair["half"], engine__zero_stage=2)
    runs.start(3)
    return runs.finish()
