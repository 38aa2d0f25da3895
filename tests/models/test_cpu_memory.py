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


def test_free_pages_are_handed_back_when_a_process_has_grown_by_a_fifth_and_not_in_every_short_step(
    monkeypatch,
) -> None:
    held, now, trimmed = [0], [100.0], []

    def give_back() -> None:
        trimmed.append(held[0])
        held[0] = 1000

    monkeypatch.setattr(host_memory, "resident_bytes", lambda: held[0])
    monkeypatch.setattr(host_memory, "give_back", give_back)
    monkeypatch.setattr(host_memory.time, "monotonic", lambda: now[0])
    heap = host_memory.Heap()
    for held[0], seconds in ((1100, 0), (1150, 2), (1200, 2), (1201, 2), (1300, 1), (1100, 1), (3000, 0)):
        now[0] += seconds
        heap.bound()
    assert trimmed == [1100, 1201, 3000]
