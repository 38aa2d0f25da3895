"""A reader who does what a page says: writes its files, runs its commands, in the order of the page."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]
# the same commands on less: what a page trains for minutes is trained for seconds here
SMALLER = (
    "model.hidden_size=32", "model.num_hidden_layers=2", "model.num_attention_heads=4", "model.intermediate_size=64",
    "batch.tokens=1024", "schedule.warmup_steps=4", "train.eval_every=20", "train.save_every=0",
    "tracking.sinks=[]",
)  # fmt: skip
STEPS = 40
# scripts that open a process group need a process of their own
OWN_PROCESS = ("launch/pretrain.py", "launch/find_lr.py")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All fenced blocks in order."""
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", page, flags=re.S | re.M)]


class Reader:
    """Works in a folder; ``smaller`` shrinks what is trained."""

    def __init__(self, folder: Path, smaller: bool = True):
        self.folder, self.smaller = folder, smaller
        self.outputs: dict[str, str] = {}  # command -> what it printed

    def follow(self, page: str) -> None:
        """The whole page."""
        for block in blocks((ROOT / "docs" / page).read_text(encoding="utf-8")):
            first = block.text.split("\n", 1)[0]
            if block.language == "bash":
                for line in block.text.splitlines():
                    if words := shlex.split(line, comments=True):
                        self.outputs[line] = self.run(words)
            elif first.startswith("# ") and re.match(r"# \S+\.(py|yaml)\b", first):
                put(self.folder, first.removeprefix("# "), block.text.split("\n", 1)[1])
            elif block.language == "python":
                (self.folder / "snippet.py").write_text(block.text)
                self.outputs["python"] = self.in_own_process([sys.executable, "snippet.py"])

    def run(self, words: list[str]) -> str:
        """One command; it must succeed."""
        assert words[0] == "python", f"pages run python, not {words[0]}"
        if words[1] in OWN_PROCESS and "--dry-run" not in words:
            return self.in_own_process([sys.executable, *self.shrunk(words[1:])])
        if self.smaller and "--dry-run" in words:
            words = [*words, "run.dir=runs/planned"]  # runs of the page are smaller here than what it plans
        module = words[1] == "-m"
        name, arguments = (words[2], words[3:]) if module else (words[1], words[2:])
        return self.in_process(name, arguments, module)

    def shrunk(self, words: list[str]) -> list[str]:
        """A smaller model and fewer steps, unless nothing is trained."""
        if not self.smaller or "--dry-run" in words:
            return words
        if words[0] == "launch/find_lr.py":
            return [*words, *SMALLER, "--steps", "30"]
        return [*words, *SMALLER, f"train.steps={STEPS}"]

    def in_process(self, name: str, arguments: list[str], module: bool) -> str:
        """``python NAME`` or ``python -m NAME`` without starting torch anew."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            patch.object(sys, "path", [str(self.folder), *sys.path]),
            patch.object(sys, "argv", [name, *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                if module:
                    runpy.run_module(name, run_name="__main__", alter_sys=False)
                else:  # a script under another name, so that it does not end this process
                    status = runpy.run_path(str(self.folder / name), run_name="launched")["main"]()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
        assert status == 0, f"{name} {arguments}\n{out.getvalue()[-1500:]}\n{err.getvalue()[-1500:]}"
        return out.getvalue()

    def in_own_process(self, words: list[str]) -> str:
        """A command in the folder, with the project on the path."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": self._path()}
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-1500:]}\n{done.stderr[-2500:]}"
        return done.stdout + done.stderr

    def _path(self) -> str:
        return str(self.folder if (self.folder / "pretrain").is_dir() else ROOT)


def put(folder: Path, where: str, text: str) -> None:
    """``FILE``: write it. ``FILE, after: LINE`` and ``FILE, before: LINE``: insert there."""
    file, _, place = where.partition(", ")
    path = folder / file
    if not place:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    side, _, wanted = place.partition(": ")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.strip().startswith(wanted)]
    assert len(found) == 1, f"{file} has {len(found)} lines {wanted!r}"
    lines.insert(found[0] + (side == "after"), text)
    path.write_text("".join(lines), encoding="utf-8")
