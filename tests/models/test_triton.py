"""The Triton kernel is the torch kernel: on a GPU, and on any machine in Triton's interpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]
GPU = torch.cuda.is_available()
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs triton (pip install triton)")


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA GPU")
def test_agreement_on_a_gpu():
    from tests.models.triton_agreement import check_everything

    check_everything("cuda", tile=64)


def run(module: str, **environment: str) -> str:
    """In a process of its own, because Triton decides once, at its import, whether to interpret."""
    command = [sys.executable, "-m", module]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | environment
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.skipif(GPU, reason="runs on the GPU itself")
def test_agreement_in_the_interpreter():
    assert "cases agree" in run("tests.models.triton_agreement", TRITON_INTERPRET="1")


def test_every_program_compiles_for_a_hopper_gpu_on_any_machine(tmp_path):
    assert run("tests.models.triton_ahead", TRITON_CACHE_DIR=str(tmp_path)).count("bytes of shared memory") == 14
