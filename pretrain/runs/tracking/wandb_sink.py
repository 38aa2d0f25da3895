"""Weights & Biases. Without a key, or with ``WANDB_MODE=offline``, files that ``wandb sync`` sends later."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from pretrain.runs.tracking.sink import Line, Sink

_log = logging.getLogger("polymerase")
_NOTED = "wandb_run_id.txt"


class Wandb(Sink):
    """One run of the project ``tracking.experiment``, in ``wandb/`` of the run folder until it is sent."""

    label, package = "Weights & Biases", "wandb"
    _run: Any = None

    def open(self) -> None:
        """Begin a run, or go on with the noted one."""
        if self._run is None:
            noted = self.run_dir / _NOTED
            self._is_new = not noted.is_file()
            if self._is_new:
                write_atomic(noted, f"{secrets.token_hex(4)}\n".encode())
            self.run_id = noted.read_text(encoding="ascii").strip()
            self._run = self._begin()
            self._run.define_metric("*", step_metric="step")  # a resumed run may send a step again

    def _begin(self) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        words: dict[str, Any] = {
            "project": self.settings.experiment, "group": self.settings.group, "id": self.run_id, "resume": "allow",
            "name": self.run_dir.resolve().name, "dir": str(self.run_dir),
            "settings": wandb.Settings(console="off", disable_git=True, save_code=False),
        }  # fmt: skip
        try:
            return wandb.init(**words)
        except wandb.errors.UsageError as error:  # no key: nothing is asked in a job without a terminal
            _log.warning(
                "tracking: Weights & Biases stays offline (%s); later: wandb sync %s/wandb/offline-run-*",
                str(error).splitlines()[0], self.run_dir,
            )  # fmt: skip
            return wandb.init(**words, mode="offline")

    def last_step(self) -> int:
        """Return the newest step the server has; an offline run of an earlier process kept its own lines."""
        if self._run.offline:
            return 0 if self._is_new else self.first_step
        return int(self._run.summary.get("step") or 0)

    def parameters(self, flat: dict[str, Any]) -> None:
        """Take the settings, those of the newest process."""
        self._run.config.update(flat, allow_val_change=True)

    def metrics(self, lines: list[Line]) -> None:
        """Take numbers. The library keeps and sends them in a process of its own."""
        for line in lines:
            self._run.log({"step": line.step, **line.values})

    def tag(self, name: str, value: str) -> None:
        """Take a note; they stand beside the settings."""
        self._run.config.update({f"about.{name}": value}, allow_val_change=True)

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Take what a corpus holds."""
        facts = {"fingerprint": fingerprint, **statistics}
        self._run.config.update({f"corpora.{folder.name}": facts}, allow_val_change=True)

    def artifact(self, path: Path, folder: str | None) -> None:
        """Take a file."""
        self._run.save(str(path), base_path=str(path.parent), policy="now")

    def end(self, status: str) -> None:
        """Close the run; one that was asked to stop counts as preempted."""
        if status == "KILLED":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if status == "FINISHED" else 1)

    def answers(self) -> bool:
        """Whether there is a run; what comes before it is kept."""
        return self._run is not None
