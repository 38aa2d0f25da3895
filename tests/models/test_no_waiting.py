"""Between log steps the host never waits for the device: no value of a tensor is read in the hot loop."""

import warnings
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pretrain.batches.collate import to_device
from pretrain.distributed.context import DistributedContext
from pretrain.training.components import build_components
from pretrain.training.metrics import Meter
from tests.training.corpora import build_alleles, build_plain, config

CPU = torch.device("cpu")
# operations whose result the host needs before it can go on: reading a number, or a size that depends on values
WAITING = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.item.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.is_nonzero.default,
}
RECIPES = {
    "ernie_rna": {},
    "rnaernie2": {},
    "utr_lm": {},
    "mutbert": {
        "masking__strategy": "variant_first", "objectives__mlm": None, "objectives__soft_label": {},
        "corpus__window": 60, "batch__tokens": None, "batch__sequences": 7,
    },
}  # fmt: skip


class Copies(TorchFunctionMode):
    """Counts lists of a tensor's values, which on a CPU are made without any operation."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.tolist:
            self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


class Waits(TorchDispatchMode):
    """Counts operations; indexing by a boolean mask counts, as it looks for what is true."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        by_mask = function is torch.ops.aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if function in WAITING or by_mask:
            self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module", params=RECIPES)
def loop(request, tmp_path_factory):
    """A micro-batch, forward, backward and the meter, as the trainer runs them: two batches in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    corpus = build_alleles(folder) if request.param == "mutbert" else build_plain(folder)
    parts = build_components(config(folder / "run", corpus, model__family=request.param, **RECIPES[request.param]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = DistributedContext(0, 0, 1, device)
    model, maker = parts.model().to(device).train(), parts.batches("train")
    meter = Meter(parts.objectives, place)
    batches = [maker.make(0, 7), maker.make(7, 14)]

    def run(number: int) -> None:
        batch = batches[number]
        packed, targets = to_device(batch, device)
        loss, sums = model(packed, targets, {name: 1.0 / max(count, 1) for name, count in batch.counts.items()})
        loss.backward()
        meter.add(batch, sums)

    return run


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU the driver counts")
def test_no_value_is_read_in_the_hot_loop(loop):
    seen: list[str] = []
    with Copies(seen), Waits(seen):
        loop(0)
    assert not seen


def test_the_counter_counts():
    seen: list[str] = []
    with Copies(seen), Waits(seen):
        x = torch.ones(3)
        float(x.sum())
        x.tolist()
        x[x > 0]
    assert len(seen) == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_driver_sees_no_synchronization(loop):
    loop(0)  # constants are sent and kernels compiled once
    with synchronizations() as seen:
        loop(1)
    assert not seen


@contextmanager
def synchronizations():
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield (found := [])
    finally:
        torch.cuda.set_sync_debug_mode("default")
        found += [str(w.message) for w in caught if "synchroniz" in str(w.message)]
