"""GPUs, communication between them, and compilers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from pretrain.doctor.finding import Finding

_OLDEST_BF16 = (8, 0)  # compute capability


def check_gpus(needed: bool) -> Iterator[Finding]:
    """Let each visible GPU multiply two matrices."""
    import torch

    if not torch.cuda.is_available():
        has_driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
        if has_driver:
            advice = f"a driver is here, but torch {torch.__version__} does not see it: install the CUDA build of torch"
        else:
            advice = "fine for small models and tests; full recipes need GPUs"
        yield Finding("gpu", "missing" if needed else "note", "none is visible: training runs on the CPU", advice)
        return
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        try:
            ones = torch.ones(64, 64, device=f"cuda:{number}")
            works = float((ones @ ones).sum()) == 64**3
        except RuntimeError as error:
            yield Finding(
                f"gpu {number}", "missing", f"{about.name}: {' '.join(str(error).split())[:120]}",
                "the build of torch may not know this GPU: install one for its CUDA version",
            )  # fmt: skip
            continue
        old = torch.cuda.get_device_capability(number) < _OLDEST_BF16
        yield Finding(
            f"gpu {number}", "ok" if works else "missing", f"{about.name}, {about.total_memory / 2**30:.0f} GiB",
            "no bf16 in hardware: use engine.precision=fp16" if old else "",
        )  # fmt: skip


def check_collectives() -> Iterator[Finding]:
    """Try NCCL on GPUs, gloo everywhere, and a host name that other nodes could reach."""
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        if dist.is_nccl_available():
            yield Finding("nccl", "ok", ".".join(map(str, torch.cuda.nccl.version())))
        else:
            yield Finding("nccl", "missing", "this torch was built without it", "install torch's CUDA build for Linux")
    good = dist.is_gloo_available()
    yield Finding(
        "gloo", "ok" if good else "missing", "available" if good else "missing", "" if good else "install torch"
    )
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = None
    if address is None or address.startswith("127."):
        yield Finding(
            "host name", "note", f"resolves to {address or 'nothing'}",
            "on one machine that is fine; between nodes set engine.interface (see docs/cluster.md)",
        )  # fmt: skip
    else:
        yield Finding("host name", "ok", f"resolves to {address}")


def check_compilers() -> Iterator[Finding]:
    """Look for compilers, which some options of DeepSpeed and GPU kernels in Triton need; our code needs none."""
    import torch

    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler:
        yield Finding("c++ compiler", "ok", compiler)
    else:
        yield Finding(
            "c++ compiler", "note", "none", "only engine.offload_optimizer=cpu needs one (DeepSpeed builds its Adam)"
        )
    if torch.cuda.is_available():
        try:
            import triton

            yield Finding("triton", "ok", triton.__version__)
        except ImportError:
            yield Finding(
                "triton", "note", "not installed: pairing models use slower kernels", "install torch's CUDA build"
            )
