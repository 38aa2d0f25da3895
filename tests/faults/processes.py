"""Trainings as users start them, in processes that can be signaled, stopped and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hang import HANG_S
from tests.training.corpora import tree, write_yaml
from tests.training.ranks import ROOT, environment, free_port

LAUNCH = str(ROOT / "launch" / "pretrain.py")


@dataclass
class Run:
    """One training in ``folder``: its config, and the processes of its latest start."""

    folder: Path
    corpus: Path
    changes: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    log_to: str | None = None  # a file for all instead of one per process

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        usual = {"batch__micro_batches_per_step": 4, "train__eval_sequences": 12, "engine__lost_rank_s": 6}
        self.config = write_yaml(
            self.folder / "run.yaml", tree(self.folder / "run", self.corpus, **(usual | self.changes))
        )

    @property
    def dir(self) -> Path:
        return self.folder / "run"

    @property
    def log(self) -> str:
        """What all processes of the latest start printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"start-{self.starts}-*.log")))

    def start(self, ranks: int, *words: str) -> list[subprocess.Popen]:
        """One process per rank, as srun would start them."""
        self.starts += 1
        port = str(free_port())
        return [self.rank(rank, ranks, port, *words) for rank in range(ranks)]

    def rank(self, rank: int, ranks: int, port: str, *words: str, **env: str) -> subprocess.Popen:
        """One of them."""
        where = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_SIZE": str(ranks)}
        command = [sys.executable, LAUNCH, "--config", str(self.config), *words]
        return self._process(command, rank, **(where | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} | env))

    def start_launcher(
        self, ranks: int, *words: str, launcher: str = "deepspeed", script: str = LAUNCH
    ) -> subprocess.Popen:
        """``deepspeed --num_gpus RANKS launch/pretrain.py``, or the same by ``torchrun``."""
        self.starts += 1
        count = "--num_gpus" if launcher == "deepspeed" else "--nproc_per_node"
        command = [str(Path(sys.executable).with_name(launcher)), count, str(ranks), "--master_port", str(free_port())]
        return self._process([*command, script, "--config", str(self.config), *words], 0)

    def start_command(self, launcher: list[str], first_in_path: Path, *words: str) -> subprocess.Popen:
        """A launcher with its own words, found in that folder or in PATH."""
        self.starts += 1
        path = f"{first_in_path}{os.pathsep}{os.environ['PATH']}"
        return self._process([*launcher, "--config", str(self.config), *words], 0, PATH=path)

    def on_host(self, host: list[str], launcher: str, *words: str, **env: str) -> subprocess.Popen:
        """``LAUNCHER WORDS launch/pretrain.py --config ...`` on a host of :class:`tests.multinode.hosts.Hosts`."""
        script = [LAUNCH, "--config", str(self.config)]
        if host[3].endswith("-0"):
            self.starts += 1
        number = int(host[3].rpartition("-")[2])
        return self._process([*host, str(Path(sys.executable).with_name(launcher)), *words, *script], number, **env)

    def _process(self, command: list[str], number: int, **env: str) -> subprocess.Popen:
        with Path(self.log_to or self.folder / f"start-{self.starts}-{number}.log").open("w") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment(DS_ACCELERATOR="cpu", **env), stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=hear_ctrl_c,
            )  # fmt: skip

    def steps(self) -> list[int]:
        """Steps of the published checkpoints."""
        return sorted(int(path.name[5:]) for path in (self.dir / "checkpoints").glob("step-*"))

    def records(self) -> list[dict[str, Any]]:
        """Lines of ``metrics.jsonl``; the last one may be torn."""
        path, found = self.dir / "metrics.jsonl", []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def last_step(self) -> int:
        """The last step that was logged."""
        return max((record["step"] for record in self.records()), default=0)

    def wait_for_step(self, step: int, processes: list[subprocess.Popen], seconds: float = HANG_S) -> None:
        """Until that step is logged."""
        self.wait_until(lambda: self.last_step() >= step, processes, seconds)

    def wait_until(self, ready: Callable[[], bool], processes: list[subprocess.Popen], seconds: float = HANG_S) -> None:
        """Until ``ready``; fails with the log if a process ends before."""
        end = time.monotonic() + seconds
        while not ready():
            ended = [process.returncode for process in processes if process.poll() is not None]
            assert not ended, f"ended with {ended}:\n{self.log[-4000:]}"
            assert time.monotonic() < end, f"waited {seconds} s:\n{self.log[-4000:]}"
            time.sleep(0.02)


def hear_ctrl_c() -> None:
    """What a shell starts in its background ignores SIGINT, and so would everything below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(processes: list[subprocess.Popen], seconds: float = HANG_S) -> list[int]:
    """Exit statuses. Whoever is still there after ``seconds`` is killed, which shows as -9."""
    end = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    return [process.wait() for process in processes]


def kill_all(processes: list[subprocess.Popen]) -> None:
    """SIGKILL to every process and whatever it started."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def descendants(pid: int) -> list[int]:
    """Processes below ``pid``, nearest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(path.parent.name)
            found += [child, *descendants(child)]
    return found


def command_of(pid: int) -> str:
    """Command line of a process, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def ranks_below(pid: int) -> list[int]:
    """The ranks that a launcher has started, by rank."""
    commands = {below: command_of(below) for below in descendants(pid)}
    ranks = [below for below, text in commands.items() if "pretrain.py" in text and "deepspeed.launcher" not in text]
    return sorted(ranks, key=lambda rank: int(re.search(r"--local_rank=(\d+)|$", commands[rank])[1] or 0))


def wait_for(ready: Callable[[], bool], seconds: float) -> None:
    """Until ``ready``; fails if that takes longer."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.05)
