"""Real DeepSpeed ranks: processes that do a list of jobs, one training after another."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Job:
    """One training; its config names the run folder.

    expect_error: it must stop with a PolymeraseError, which is written to ``error.txt`` there.
    damage: files of which one byte is changed before it starts.
    """

    config: dict[str, Any]
    resume: str = "auto"
    allow_change: list[str] = field(default_factory=list)
    expect_error: bool = False
    damage: list[str] = field(default_factory=list)


def flip_a_byte(path: Path) -> None:
    """Damage a file without changing its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def environment(**extra: str) -> dict[str, str]:
    """A rank's environment without what an outer launcher may have left in it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "MASTER_", "CROSS_"))
        and name
        not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_SIZE", "CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI")
    }
    return {**inherited, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **extra}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    world_size: int, jobs: list[Job], folder: Path, module: str = "tests.training.worker"
) -> list[subprocess.Popen]:
    """Start the ranks; :func:`finish` waits for them."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder / "jobs.json"
    plan.write_text(json.dumps([vars(job) for job in jobs]))
    port = str(free_port())
    (folder / "port").write_text(port)
    command = [sys.executable, "-m", module, str(plan)]
    processes = []
    for rank in range(world_size):
        where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "LOCAL_SIZE": world_size}
        env = environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **{k: str(v) for k, v in where.items()})
        with (folder / f"rank-{rank}.log").open("w") as log:
            processes.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT))
    return processes


def finish(processes: list[subprocess.Popen], folder: Path, timeout: float = HANG_S) -> None:
    """Wait; a rank that failed fails the test with its log."""
    try:
        codes = [process.wait(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    logs = "\n".join(log.read_text()[-3000:] for log in sorted(folder.glob("rank-*.log")))
    assert not any(codes), f"exit codes {codes}\n{logs}"


def command_line(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """``python launch/pretrain.py ARGUMENTS`` in a folder of its own."""
    command = [sys.executable, str(ROOT / "launch" / "pretrain.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=HANG_S)


def records(run_dir: Path) -> list[dict[str, Any]]:
    """All lines of ``metrics.jsonl``."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def steps(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of training steps."""
    return [record for record in records(run_dir) if "loss" in record]


def losses(run_dir: Path) -> list[float]:
    """Loss of each step."""
    return [record["loss"] for record in steps(run_dir)]


def digests(run_dir: Path) -> list[str]:
    """Checksum of each step's global batch."""
    return [record["batch_digest"] for record in steps(run_dir)]
