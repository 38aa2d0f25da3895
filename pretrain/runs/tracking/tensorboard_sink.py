"""TensorBoard: event files in the run folder. ``tensorboard --logdir runs`` draws all runs over each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pretrain.runs.tracking.sink import Line, Sink

FOLDER = "tensorboard"  # in the run folder


class TensorBoard(Sink):
    """Event files. Those of an earlier process stay; its points after the step that is gone on from are hidden."""

    label, package = "TensorBoard", "tensorboard"
    _writer: Any = None

    def open(self) -> None:
        """Begin an event file."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self.run_dir / FOLDER
        self._is_new = not list(folder.glob("events.*"))
        self._writer = SummaryWriter(str(folder), purge_step=None if self._is_new else self.first_step + 1)

    def last_step(self) -> int:
        """Return 0 for a sink that was added to a run later; else every line is written at once, so none is missing."""
        return 0 if self._is_new else self.first_step

    def parameters(self, flat: dict[str, Any]) -> None:
        """Write the settings as a table."""
        rows = [f"| {key} | {value} |" for key, value in flat.items()]
        self._text("settings", "\n".join(["| key | value |", "| --- | --- |", *rows]))

    def metrics(self, lines: list[Line]) -> None:
        """Write numbers, and hand them to the disk: a killed run keeps its curves."""
        for line in lines:
            for key, value in line.values.items():
                self._writer.add_scalar(key, value, line.step, line.time_ms / 1000)
        self._writer.flush()

    def tag(self, name: str, value: str) -> None:
        """Write a note."""
        self._text(f"about/{name}", value)

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Write what a corpus holds."""
        self._text(f"corpus/{folder.name}", f"fingerprint {fingerprint}\n\n    {json.dumps(statistics)}")

    def artifact(self, path: Path, folder: str | None) -> None:
        """Write the text of a file."""
        indented = "\n".join(f"    {line}" for line in path.read_text(encoding="utf-8").splitlines())
        self._text(f"files/{path.name}", indented)

    def end(self, status: str) -> None:
        """Close the file."""
        self.tag("status", status)
        self._writer.close()

    def answers(self) -> bool:
        """Whether there is an event file; what comes before it is kept."""
        return self._writer is not None

    def _text(self, name: str, value: str) -> None:
        self._writer.add_text(name, value, self.first_step)
        self._writer.flush()
