"""The parts of the kit, in the order of what one wants to know first, within a number of seconds."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pretrain.benchmarking.gpu.bench import Bench
from pretrain.benchmarking.gpu.beside_attention import run_beside_attention
from pretrain.benchmarking.gpu.kernels import run_ceilings, run_correct, run_programs
from pretrain.benchmarking.gpu.loop import run_loop
from pretrain.benchmarking.gpu.models import Trained, ragged, run_models
from pretrain.benchmarking.gpu.peers import run_peers
from pretrain.benchmarking.profiling import operations

ROOT = Path(__file__).resolve().parents[3]
SHOWN = 20  # operations of a profile


def run_tests(bench: Bench) -> None:
    """The tests that need a GPU, where the tests are (a wheel has none)."""
    folder = ROOT / "tests" / "models"
    if not folder.is_dir():
        bench.say("tests: not in this installation")
        return
    which = [str(folder)] if bench.on_gpu else ["--collect-only", str(folder / "test_triton.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *which]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]
    bench.note("tests", {"status": done.returncode, "last_line": last})
    bench.say(f"pytest -m gpu: {last}")


def run_profiles(bench: Bench) -> None:
    """Where the time of a step goes: its largest kernels."""
    full = bench.sizes([512] * 64, [24] * 2)
    cases = (
        ("BERT", "rnaernie2.yaml", full, "bf16"),
        ("ERNIE-RNA", "ernie.yaml", bench.sizes([1024] * 32, [24] * 2), "bf16"),
        ("UTR-LM", "utr_lm.yaml", ragged(200 if bench.tiny else 4096), "fp32"),
    )
    for name, recipe, lengths, precision in cases:
        step = Trained(bench, recipe, lengths, precision, ())
        for _ in range(1 if bench.tiny else 3):
            step()
        rows = operations(step, bench.device)
        bench.note(f"profile {name}", rows)
        total = sum(row["ms"] for row in rows)
        bench.say(f"profile {name}: {total:.1f} ms in {sum(row['calls'] for row in rows):,} operations")
        for row in rows[:SHOWN]:
            bench.say(f"  {row['share']:6.1%} {row['ms']:8.2f} ms {row['calls']:5d} x {row['operation'][:80]}")
        bench.free()


# part -> what runs it, and seconds that it is expected to take on an H100 (a plan, not a measurement)
PARTS: dict[str, tuple[Callable[[Bench], None], int]] = {
    "ceilings": (run_ceilings, 12),
    "tests": (run_tests, 80),
    "correct": (run_correct, 35),
    "programs": (run_programs, 30),
    "beside": (run_beside_attention, 20),
    "models": (run_models, 120),
    "loop": (run_loop, 60),
    "profiles": (run_profiles, 25),
    "peers": (run_peers, 75),
}


def run(seconds: float, file: Path | None, tiny: bool, only: Sequence[str]) -> int:
    """Run the parts that fit. Returns how many failed."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() and not tiny else torch.device("cpu")
    bench, failed = Bench(device, tiny or device.type == "cpu", file), 0
    for name in only or PARTS:
        part, expected = PARTS[name]
        if bench.seconds > seconds - min(expected, 30):
            bench.note(f"part {name}", "left out: no time")
            bench.say(f"{name}: left out, no time")
            continue
        began = bench.seconds
        try:
            part(bench)
            bench.note(f"part {name}", "done")
        except Exception as error:  # the other parts have their own answers
            failed += 1
            bench.note(f"part {name}", f"failed: {type(error).__name__}: {error}")
            bench.say(f"{name}: FAILED, {type(error).__name__}: {str(error)[:300]}")
            traceback.print_exc()
        bench.say(f"-- {name}: {bench.seconds - began:.0f} s")
        bench.free()
        bench.save()
    return failed
