"""The Triton kernel is the torch kernel: on a GPU, and on any machine in Triton's interpreter."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pretrain.planning.counted.instructions import INSTRUCTIONS, PER_VALUE
from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]
GPU = torch.cuda.is_available()
SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes that a program can have on an A100, an H100
NAMES = {  # what was compiled -> its name in an estimate
    ("forward", "dropout"): "forward[drop]",
    ("forward", "recurrent"): "forward[has_before+drop]",
    ("forward", "stored"): "forward[has_before+drop]",
    ("forward", "stored in float16"): "forward[has_before+drop]",
    ("backward_queries", "dropout"): "backward_queries[drop]",
    ("backward_queries", "recurrent"): "backward_queries[has_scores+drop]",
    ("backward_queries", "stored"): "backward_queries[has_scores+drop]",
    ("backward_queries", "stored in float16"): "backward_queries[has_scores+drop]",
    ("backward_keys", "dropout"): "backward_keys[drop]",
    ("backward_keys", "recurrent"): "backward_keys[has_scores+reverse+drop]",
    ("backward_keys", "stored"): "backward_keys[has_scores+drop]",
    ("backward_keys", "stored in float16"): "backward_keys[has_scores+drop]",
}
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs triton (pip install triton)")


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA GPU")
def test_agreement_on_a_gpu():
    from tests.models import rows_agreement, triton_agreement

    triton_agreement.check_everything("cuda", tile=64)
    rows_agreement.check_everything("cuda")


def run(module: str, *arguments: str, **environment: str) -> str:
    """In a process of its own, because Triton decides once, at its import, whether to interpret."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | environment
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.skipif(GPU, reason="runs on the GPU itself")
def test_agreement_in_the_interpreter():
    assert "cases agree" in run("tests.models.triton_agreement", TRITON_INTERPRET="1")
    assert "cases agree" in run("tests.models.rows_agreement", TRITON_INTERPRET="1")


@pytest.mark.skipif(GPU, reason="a GPU takes this path by itself")
def test_whole_models_by_the_path_of_a_gpu_are_those_of_a_cpu():
    """Logits and gradients: programs, inputs and biases that layers hand on, recomputed layers, all switches."""
    assert "models agree" in run("tests.models.gpu_path_agreement", TRITON_INTERPRET="1")


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> list[dict]:
    """Every program as compiled for an A100 and an H100, which needs neither."""
    cache = str(tmp_path_factory.mktemp("triton"))
    return [json.loads(line) for line in run("tests.models.triton_ahead", TRITON_CACHE_DIR=cache).splitlines()]


@pytest.fixture(scope="module")
def row_programs(tmp_path_factory) -> list[dict]:
    """The same for the programs over rows."""
    cache = str(tmp_path_factory.mktemp("triton"))
    return [json.loads(line) for line in run("tests.models.rows_ahead", TRITON_CACHE_DIR=cache).splitlines()]


# Bytes on the stack, of programs that need more than the 255 registers there are. On an A100 no other tile was tried.
SPILLS = {
    (80, "*bf16", "backward_queries", "biased"): 40,
    (80, "*bf16", "backward_keys", "dropout"): 40,
    (80, "*bf16", "backward_keys", "biased"): 48,
}


def test_no_program_spills_registers_but_those_named(programs):
    """A value that does not stay in registers goes to memory and back in every turn of a loop."""
    assert len(programs) == 2 * (3 * (5 + 3) + 3 * 2)
    keys = ("capability", "tokens", "name", "use")
    found = {tuple(program[key] for key in keys): program["stack"] for program in programs if program["stack"]}
    assert {key: size for key, size in found.items() if size > SPILLS.get(key, 0)} == {}
    assert all(program["shared"] <= SHARED[program["capability"]] for program in programs)


def test_estimates_stand_on_what_the_compiler_made(programs):
    """Instructions per tile are an upper bound in ``planning/counted``: fewer must be written down there, too."""
    made = {
        (program["name"], program["use"]): program["instructions"]
        for program in programs
        if (program["capability"], program["tokens"]) == (90, "*bf16")
    }
    for compiled, name in NAMES.items():
        most = INSTRUCTIONS[f"triton::{name}"]
        assert 0.9 * most <= made[compiled] <= most, (compiled, made[compiled])


def test_no_program_over_rows_spills_registers_and_estimates_stand_on_them(row_programs):
    assert len(row_programs) == (2 + 4 + 4 + 4) + 3 * (1 + 1 + 1 + 1) + 4 * (1 + 1)
    assert {program["stack"] for program in row_programs} == {0}
    found = {
        f"triton::{program['name']}[{program['use']}]": program["instructions"]
        for program in row_programs
        if (program["capability"], program["tokens"], program["width"]) == (90, "*bf16", 768)
    }
    assert found.keys() == PER_VALUE.keys()
    for name, most in PER_VALUE.items():
        assert 0.9 * most <= found[name] <= most, (name, found[name])
