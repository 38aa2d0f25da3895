"""Memory of a CPU process does not grow with the number of shapes that attention has seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pretrain.training import host_memory
from tests.hang import HANG_S

SCRIPT = """
import torch
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention, choose_backend
from pretrain.models.transformer.bias import NoBias
from pretrain.training.host_memory import give_back, resident_bytes

torch.set_num_threads(1)

def step(width):
    q, k, v = (torch.randn(2 * width, 6, 32, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    backend = choose_backend(NoBias(), q.device, q.dtype, head_size=32)
    layout = Layout.build([width, width], padding=0.0, device="cpu")
    attention(q, k, v, NoBias(), layout, dropout=0.0, backend=backend)[0].sum().backward()

step(400)
give_back()
before = resident_bytes()
for width in range(40, 400, 3):
    step(width)
give_back()
print((resident_bytes() - before) / 120)
"""


def test_a_new_shape_keeps_no_memory(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 300_000  # bytes each; torch's fused attention keeps 3,500,000


def test_free_pages_are_handed_back_when_a_process_holds_a_tenth_more_than_its_steps_take(monkeypatch) -> None:
    held, trimmed = [0], []
    monkeypatch.setattr(host_memory, "resident_bytes", lambda: held[0])
    monkeypatch.setattr(host_memory, "give_back", lambda: trimmed.append(held[0]))
    heap = host_memory.Heap()
    steps = [1300, 1000, 900, 800, 700, 600, 500, 400]  # of different lengths; the most is what they take
    for held[0] in (5000, *steps, 1430, 1431, *steps[1:], 1300, 1200, 1431):
        heap.bound()
    assert trimmed == [5000, 1431, 1431]
