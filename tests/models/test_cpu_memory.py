"""Memory of a CPU process does not grow with the number of shapes that attention has seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pretrain.training import host_memory
from tests.hang import HANG_S

SCRIPT = """
import sys
import torch
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention
from pretrain.models.transformer.bias import NoBias
from pretrain.training.host_memory import give_back, resident_bytes

torch.set_num_threads(1)

def step(width):
    q, k, v = (torch.randn(2 * width, 6, 32, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    layout = Layout.build([width, width], padding=0.0, device="cpu")
    attention(q, k, v, NoBias(), layout, dropout=float(sys.argv[2]), backend=sys.argv[1])[0].sum().backward()

def grown(widths):
    before = resident_bytes()
    for width in widths:
        step(width)
    give_back()
    return (resident_bytes() - before) / len(widths)

step(400)
give_back()
print(grown(range(40, 400, 3)), grown(range(40, 400, 3)))
"""


def grown(root: Path, backend: str, dropout: str) -> list[float]:
    """Bytes that the process keeps for each of 120 widths, and for each of them when they come again."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, dropout],
        cwd=root, env=os.environ | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"},  # as `pretrain.cli.pretrain` sets it
        capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def test_a_new_shape_keeps_no_memory_where_nothing_is_dropped(root: Path) -> None:
    assert max(grown(root, "grouped", "0")) < 300_000  # torch's fused attention of 16 bits keeps 3,500,000


def test_what_a_new_shape_keeps_where_something_is_dropped_is_kept_once(root: Path) -> None:
    first, again = grown(root, "recomputed", "0.1")
    assert first < 2_500_000
    assert again < 300_000


LAYERS = """
import random, torch
from pretrain.families import FAMILIES
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.fixed_shape import FixedShape
from pretrain.models.transformer import encoder
from pretrain.models.whole_rows import ROWS
from pretrain.training.host_memory import give_back, resident_bytes
from tests.families.tiny import tiny

torch.set_num_threads(1)
encoder.choose_backend = lambda *_: "grouped"  # attention in float32: its memory is that of the test above
family = FAMILIES["rnaernie2"]
model = LanguageModel.build(tiny(family)).bfloat16().train()
random.seed(0)

def step(tokens):
    lengths = [20] * (tokens // 20 - 1) + [20 + tokens % 20]
    batch = PackedBatch.pack(torch.full((tokens,), 5), lengths)
    batch = batch.padded(FixedShape.rounding(lengths, ROWS), family.settings.pad_token_id)
    index = torch.arange(random.randint(tokens // 8, tokens // 6))
    model.logits_at(model.encoder(batch).hidden, index).sum().backward()

for tokens in range(400, 960, 32):
    step(tokens)
give_back()
before = resident_bytes()
for tokens in range(401, 960, 7):
    step(tokens)
give_back()
print((resident_bytes() - before) / 80)
"""


def test_a_new_number_of_tokens_keeps_no_memory(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAYERS], cwd=root, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100_000  # bytes each


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
