"""Runs whole models the way a GPU would, in Triton's interpreter, beside the way of a CPU; run by test_triton.py.

Every branch on the device takes the GPU's side: layers hand inputs and biases on, norms, activations and attention are
programs. Nothing is dropped, because both sides would draw other masks.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from pretrain.models import LanguageModel, PackedBatch, constants
from pretrain.models.device_kind import Counting, pretend
from pretrain.models.transformer.kernels import triton_programs, triton_rows
from tests.models.test_encoder import batch_of, build
from tests.models.test_switches import LENGTHS, sample

AS_A_GPU = Counting("cuda", triton_programs, triton_rows, lambda formula: formula)
PUBLISHED = ("ernie_rna", "rnaernie", "utr_lm", "mutbert")
COMBINATIONS = 12


def outcome(model: LanguageModel, batch: PackedBatch, as_a_gpu: bool) -> dict[str, Tensor]:
    """Logits and all gradients."""
    model.zero_grad()
    with pretend(AS_A_GPU) if as_a_gpu else nullcontext():
        logits = model(replace(batch))  # with a layout of its own
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {"logits": logits.detach(), **{name: grad.clone() for name, grad in grads.items() if grad is not None}}


def models() -> Iterator[tuple[LanguageModel, PackedBatch]]:
    """Published ones, their layers recomputed or not, and random combinations of all switches."""
    for name in PUBLISHED:
        for again in (False, True):
            model = build(name, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
            model.encoder.checkpoint_activations = again
            yield model, batch_of(name)
    for number, settings in enumerate(sample()[:COMBINATIONS]):
        torch.manual_seed(number)
        ids = torch.randint(0, settings.vocab_size, (sum(LENGTHS),))
        classes = torch.randint(0, 5, ids.shape, dtype=torch.uint8)
        model = LanguageModel.build(replace(settings, initializer_range=0.3))
        yield model, PackedBatch.pack(ids, LENGTHS, side={"pair_class": classes})


def check_everything() -> int:
    """Number of models; AssertionError at the first that differs."""
    constants.counting = lambda: None  # tensors that a count leaves without content
    count = 0
    for model, batch in models():
        expected, got = (outcome(model, batch, as_a_gpu) for as_a_gpu in (False, True))
        assert got.keys() == expected.keys()
        largest = max(value.abs().max().item() for value in expected.values())  # some gradients are 0 but for rounding
        for name, value in got.items():
            torch.testing.assert_close(
                value, expected[name], atol=2e-6 * largest, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )
        count += 1
    return count


if __name__ == "__main__":
    print(f"{check_everything()} models agree")
