"""Cards, and what of their data sheets a training step reaches. Every figure that an estimate stands on is here.

The first table is from NVIDIA's data sheets (dense, without sparsity). The shares below it are assumptions: what is
usually reached at widths around 768. ``python launch/benchmark.py gpu`` measures them on a card.
"""

from __future__ import annotations

from dataclasses import dataclass

from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class Card:
    """One kind of GPU.

    Attributes:
        half_tflops: matrix products in 16 bits with sums in float32, 10^12 operations a second.
        float_tflops: float32 outside of tensor cores.
        memory_gb_s: 10^9 bytes a second.
        memory_gb: 10^9 bytes.
        processors: streaming multiprocessors, each of which issues four instructions of a warp per cycle.
        clock_ghz: boost clock.
    """

    half_tflops: float
    float_tflops: float
    memory_gb_s: float
    memory_gb: float
    processors: int
    clock_ghz: float


CARDS: dict[str, Card] = {  # data sheets; H100, H200, A100 as SXM
    "H100": Card(989, 67, 3350, 80, 132, 1.98),
    "H200": Card(989, 67, 4800, 141, 132, 1.98),
    "A100": Card(312, 19.5, 2039, 80, 108, 1.41),
    "L40S": Card(362, 91.6, 864, 48, 142, 2.52),
    "RTX4090": Card(165, 82.6, 1008, 24, 128, 2.52),
}

# shares of the data sheet, and times: assumed
GEMM_HALF = 0.66
GEMM_FLOAT = 0.75
MEMORY = 0.90
FLASH_FORWARD, FLASH_BACKWARD = 0.30, 0.22  # torch's flash kernels, of half_tflops
ATTENTION_FLOAT = 0.30  # attention in float32, of float_tflops
ISSUE = 0.62  # instructions that a program issues, of processors x clock x 4: at 0.7 a cycle and 0.89 of the clock
KERNEL_S = 1.5e-6  # a kernel takes this at least
LAUNCH_S = 8e-6  # what the host needs to launch one
BETWEEN_S = 1e-3  # between two micro-batches: what is sent, what the host looks up
OVERHEAD = 1.1  # of our attention programs: tiles that are partly empty, the last wave


def find_card(name: str) -> Card:
    """The card of that name, however it is spaced; PolymeraseError if there is none."""
    known = {key.lower(): card for key, card in CARDS.items()}
    plain = name.lower().replace(" ", "").replace("-", "").replace("_", "")
    if plain not in known:
        raise PolymeraseError(f"--card {name}: unknown card; choose from {', '.join(CARDS)}")
    return known[plain]
