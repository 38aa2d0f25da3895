"""Records of a run for people: the progress line, ``metrics.jsonl``, sinks, ``config.yaml``, ``DONE``."""

from __future__ import annotations

import fcntl
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus.files import write_atomic
from pretrain.baselines.words import conclusion
from pretrain.batches.collate import MicroBatchBuilder
from pretrain.config import RunPhase, notes
from pretrain.config import save as save_config
from pretrain.distributed.context import DistributedContext, barrier, raise_on_any_rank
from pretrain.errors import PolymeraseError
from pretrain.runs.history import HELD_OUT, write_held_out
from pretrain.runs.provenance import describe_origin, save_environment
from pretrain.runs.tracking import Tracker
from pretrain.training.changed_settings import changes, describe, former_config
from pretrain.training.components import RunComponents
from pretrain.training.metrics import MetricsFile
from pretrain.training.progress import Progress, Shown
from pretrain.training.resume import ResumePoint

_SAMPLED = 256  # samples whose mean length stands for all
_LOCK_PATIENCE_S = 15  # a killed run may take this long to be gone


class RunLogger:
    """The records of one run. Rank 0 writes them; on other ranks every call does nothing."""

    def __init__(
        self,
        components: RunComponents,
        dist_context: DistributedContext,
        run_dir: Path,
        start: ResumePoint,
        shown: Shown | None = None,
    ):
        self._components, self._dist_context, self._run_dir, self._start = components, dist_context, run_dir, start
        self._metrics = MetricsFile(run_dir)
        self._tracker: Tracker | None = None
        self._learned: list[str] = []  # at the last evaluation, in words
        on_cpu = dist_context.device.type == "cpu"
        self.progress = Progress(components.config.train.steps, start.step, dist_context.is_first, on_cpu, shown)

    @property
    def tracking_run(self) -> str | None:
        """MLflow's run, for the checkpoint."""
        return self._tracker.run_id if self._tracker else None

    def open(self, builder: MicroBatchBuilder) -> None:
        """Print where the run starts, and cut off records of an earlier process beyond that step."""
        if not self._dist_context.is_first:
            return
        config = self._components.config
        before = former_config(self._start.folder) if self._start.folder else None
        changed = changes(before, config) if before else {}
        own = self._run_dir / "config.yaml"
        if changed and own.exists():
            own.replace(self._run_dir / f"config.until-step-{self._start.step}.yaml")  # what it was trained with so far
        save_config(config, own)
        save_environment(self._run_dir)
        self._metrics.cut_after(self._start.step)
        self._tracker = self._tracked()
        if before and changed:
            self._say_changes(changed, describe(changed, before, config, self._start.step))
        for line in (self._start.message, *(f"note: {note}" for note in notes(config))):
            self.progress.say(line)
        for line in (*self._components.samples(builder), *self._ahead(builder)):
            self.progress.say(line)
        new_heads = self._components.new_heads if self._start.folder is None else ()
        for note in (*new_heads, *self._components.held_out.notes):
            self.event(self._start.step, f"note: {note}")

    def _ahead(self, builder: MicroBatchBuilder) -> list[str]:
        """Where the weights come from and how much is to be read; the milestones are told when the speed is known."""
        config, step = self._components.config, self._start.step
        train = config.train
        if step >= train.steps:
            return [
                f"{self._run_dir} is done: step {step:,} of {train.steps:,} was reached before; raise "
                "train.steps to continue, or use another run.dir to start over"
            ]
        self.progress.milestones = {
            name: (step // every + 1) * every
            for name, every in (("first evaluation", train.eval_every), ("first checkpoint", train.save_every))
            if every
        } | {"end": train.steps}
        said, sizes = [f"{train.steps - step:,} steps to go"], builder.stream.sizes
        if len(sizes) == 1:
            tokens = builder.lengths_at(np.arange(min(_SAMPLED, sizes[0]))).mean() * sizes[0]
            said[0] = f"about {tokens:,.0f} tokens per epoch; {said[0]}"
        if self._start.folder is None:
            source = config.model.init_from
            said.append(f"weights from {source}" if source else f"weights drawn anew, run.seed={config.run.seed}")
        return said

    def _tracked(self) -> Tracker:
        """What the run is, at all its sinks."""
        config, corpora = self._components.config, self._components.corpora
        tracker = Tracker(
            config.tracking, self._run_dir, self._start.state.get("tracking_run"), first_step=self._start.step
        )
        tracker.parameters(config.model_dump(mode="json"))
        for name, value in describe_origin().items():
            tracker.tag(name, value)
        tracker.tag("family", self._components.family.name)
        tracker.tag("corpus", ", ".join(corpus.fingerprint for corpus in corpora))
        for corpus in corpora:
            tracker.corpus(corpus.folder, corpus.fingerprint, _sizes(corpus.manifest))
        if config.model.init_from is not None:
            tracker.follows(Path(config.model.init_from))
        return tracker

    def phase(self, phase: RunPhase, step: int) -> None:
        """A phase begins, or goes on."""
        count = len(self._components.config.train.phases)
        goes_on = f"continues at step {step}; " if step > phase.first_step else ""
        self.progress.say(f"phase {phase.number} of {count}: {goes_on}{phase.describe()}")

    def _say_changes(self, changed: dict[str, tuple[Any, Any]], text: str) -> None:
        self.event(self._start.step, text)
        assert self._tracker is not None
        for key, (old, new) in changed.items():
            self._tracker.tag(f"changed_at_step_{self._start.step}.{key}", f"{old} -> {new}"[:5000])

    def numbers(self, step: int, values: dict[str, float], **texts: str) -> None:
        """Record the metrics of one step."""
        if self._tracker:
            self._metrics.append({"step": step, **values, **texts})
            self._tracker.metrics(values, step)

    def held_out(self, step: int, figures: dict[str, dict[str, Any]]) -> None:
        """Record the figures of an evaluation in full, in ``held_out.json``."""
        self._learned = conclusion(figures)
        if not self._tracker or not figures:
            return
        try:
            write_held_out(self._run_dir, step, figures)
        except OSError as error:
            self.progress.say(f"warning: {self._run_dir / HELD_OUT}: cannot be written: {error.strerror}; continuing")

    def event(self, step: int, text: str) -> None:
        """Print a rare event and record it in ``metrics.jsonl``."""
        if self._tracker:
            self.progress.say(f"step {step}: {text}")
            self._metrics.append({"step": step, "event": text})

    def failed(self) -> None:
        """Close the records of a run that ends with an error, which is printed elsewhere."""
        if self._tracker:
            self._tracker.end("FAILED")

    def close(self, step: int, stopped_by: str | None) -> None:
        """Close the records of a run that reached its last step or was asked to stop. Collective."""
        if self._tracker:
            self._tracker.artifact(self._run_dir / "config.yaml")
            self._tracker.end("KILLED" if stopped_by else "FINISHED")
            for line in () if stopped_by else (*self._learned, *self._next()):
                self.progress.say(line)
            if stopped_by:
                self.progress.say(f"stopped by {stopped_by} at step {step}; saved, resume with the same command")
            else:
                write_atomic(self._run_dir / "DONE", f"{step}\n".encode())
        barrier(self._dist_context)

    def _next(self) -> list[str]:
        """The two commands that come after a training."""
        run = shlex.quote(str(self._run_dir))
        out = shlex.quote(f"exports/{self._run_dir.resolve().name}")
        return [f"next: python launch/report.py {run}", f"next: python launch/export.py {run} --out {out}"]


def lock_run_dir(run_dir: Path, dist_context: DistributedContext) -> Any:
    """Make the run folder and keep other runs out of it for as long as the result is kept. Collective."""
    problem, lock = None, None
    if dist_context.is_first:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            lock = _lock(run_dir / ".lock")
        except OSError as error:
            problem = f"run.dir: {run_dir}: {error.strerror}"
        except PolymeraseError as error:
            problem = str(error)
    raise_on_any_rank(problem, dist_context)
    return lock


def _lock(path: Path) -> Any:
    """A lock that vanishes with this process, however it ends, and that loader workers do not inherit."""
    file = path.open("a")
    end = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except (BlockingIOError, PermissionError):
            if time.monotonic() > end:
                raise PolymeraseError(
                    f"{path.parent} is in use by another run; wait for it, or use another run.dir"
                ) from None
            time.sleep(0.5)
        except OSError:  # a file system without locks: nothing to hold on to
            return file


def _sizes(manifest: dict[str, Any]) -> dict[str, Any]:
    """Of each split, its plain numbers."""
    splits = manifest["splits"].items()
    return {name: {key: n for key, n in split.items() if isinstance(n, int | float)} for name, split in splits}
