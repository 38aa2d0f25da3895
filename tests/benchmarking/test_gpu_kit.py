"""The kit for a GPU: every line of it runs on a CPU, and what is known is written whatever comes after."""

import json
import subprocess
import sys

from pretrain.benchmarking.gpu.bench import Bench
from pretrain.benchmarking.gpu.run import PARTS, run
from pretrain.cli.benchmark import main
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment


def test_every_part_runs_on_a_cpu(tmp_path):
    file = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "launch" / "benchmark.py"), "gpu", "--tiny", "--json", str(file)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = json.loads(file.read_text())["results"]
    assert {name: results[f"part {name}"] for name in PARTS} == dict.fromkeys(PARTS, "done")
    assert [found["verdict"] for name, found in results.items() if name.startswith("attention ")] == ["right"] * 7
    beside = [found["verdict"] for name, found in results.items() if name.endswith(("float32", "bfloat16"))]
    assert beside == ["right"] * 8
    loops = {name: found for name, found in results.items() if name.startswith("loop ")}
    assert len(loops) == 4
    assert all(found["drains_per_micro_batch"] == 0 for found in loops.values())


def test_a_part_that_fails_costs_no_other_its_answer(tmp_path, monkeypatch, capsys):
    def broken(bench: Bench) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(PARTS, "correct", (broken, 1))
    assert run(60.0, tmp_path / "r.json", True, ["ceilings", "correct", "ceilings"]) == 1
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    assert results["part correct"] == "failed: RuntimeError: no such kernel"
    assert results["part ceilings"] == "done"
    assert "gemm 8192" in results


def test_parts_that_do_not_fit_are_left_out_and_said(capsys):
    assert run(0.0, None, True, ["ceilings"]) == 0
    assert "ceilings: left out, no time" in capsys.readouterr().out


def test_an_unknown_part_is_one_line(capsys):
    assert main(["gpu", "--tiny", "modles"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown part 'modles'; choose from ceilings, tests")
