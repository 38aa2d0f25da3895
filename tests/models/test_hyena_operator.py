"""The long convolution equals the sum it stands for, in values and gradients, at every length and in every mixture."""

import pytest
import torch

from pretrain.benchmarking.operators import plain_hyena
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.hyena import convolution
from pretrain.models.hyena.convolution import ShortConvolution, direct_convolution, fft_size, long_convolution
from pretrain.models.hyena.filters import position_features
from pretrain.models.hyena.operator import HyenaOperator
from pretrain.models.hyena.settings import HyenaOptions, HyenaSettings
from pretrain.models.striped_hyena.filters import plain_sum_of_waves, sum_of_waves

SETTINGS = HyenaSettings(
    vocab_size=16,
    hidden_size=8,
    num_hidden_layers=2,
    intermediate_size=32,
    max_position_embeddings=64,
    pad_token_id=4,
    mask_token_id=3,
    base_token_ids=(7, 8, 9, 10),
)
MIXTURES = ([1], [7, 7], [33, 5, 33, 12], [64, 1, 40, 41, 42, 2])


def inputs(lengths: list[int], channels: int = 6) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    torch.manual_seed(len(lengths))
    blocks = [torch.randn(1 + number % 2, channels, length) for number, length in enumerate(lengths)]
    return blocks, torch.randn(channels, max(lengths)), torch.randn(channels)


def plainly(blocks: list[torch.Tensor], kernel: torch.Tensor, skip: torch.Tensor) -> list[torch.Tensor]:
    return [direct_convolution(block, kernel) + skip[:, None] * block for block in blocks]


@pytest.mark.parametrize("lengths", MIXTURES, ids=str)
@pytest.mark.parametrize("chunk", [1, 200, 1 << 19])
def test_values_and_gradients_equal_the_direct_sum(lengths, chunk, monkeypatch):
    monkeypatch.setitem(convolution.CHUNK, "cpu", chunk)
    blocks, kernel, skip = inputs(lengths)
    results = []
    for formula in (long_convolution, plainly):
        leaves = [tensor.clone().requires_grad_() for tensor in (kernel, skip, *blocks)]
        made = formula(leaves[2:], leaves[0], leaves[1])
        sum((block * torch.arange(block.numel()).view_as(block).cos()).sum() for block in made).backward()
        results.append([*(block.detach() for block in made), *(leaf.grad for leaf in leaves)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-4)


def test_the_operator_equals_the_formula_it_is_measured_against():
    torch.manual_seed(0)
    operator, x = HyenaOperator(SETTINGS), torch.randn(3 * 40, 8)
    torch.nn.init.normal_(operator.skip)
    layout = PackedBatch.pack(torch.zeros(120, dtype=torch.int64), [40] * 3).sequence_layout
    torch.testing.assert_close(operator(x, layout), plain_hyena(operator, x, 3), atol=2e-6, rtol=1e-5)


def test_the_convolution_is_float32_beside_bfloat16():
    blocks, kernel, skip = inputs([40])
    halves = [block.bfloat16() for block in blocks]
    with torch.autocast("cpu", torch.bfloat16):
        made = long_convolution(halves, kernel, skip)[0]
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, plainly([halves[0].float()], kernel, skip)[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 64, 65, 96, 97, 1024, 1026, 1000])
def test_the_fft_is_long_enough_not_to_wrap_and_no_longer_than_twice_that(length):
    assert 2 * length - 1 <= fft_size(length) <= max(2, 4 * length)


def test_what_is_kept_for_the_backward_pass_grows_linearly_with_the_length():
    def kept(length: int) -> int:
        total = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.untyped_storage().nbytes()
            return tensor

        block, kernel = torch.randn(1, 4, length, requires_grad=True), torch.randn(4, length, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            long_convolution([block], kernel, torch.randn(4))
        return total

    assert kept(512) == 2 * 4 * 4 * 512 + 4 * 4  # input, filter and skip in float32, no spectra
    assert kept(4096) == 2 * 4 * 4 * 4096 + 4 * 4


def test_the_short_convolution_reads_the_token_and_those_before_it():
    short = ShortConvolution(2, 3)
    x = torch.randn(1, 2, 9)
    expected = short.bias[:, None] + short.weight[:, :, 2] * x
    expected = expected + torch.nn.functional.pad(short.weight[:, :, 1] * x[..., :-1], (1, 0))
    expected = expected + torch.nn.functional.pad(short.weight[:, :, 0] * x[..., :-2], (2, 0))
    torch.testing.assert_close(short(x), expected)


@pytest.mark.parametrize("length", [1, 2, 10, 46, 257, 1000])
def test_powers_in_two_steps_equal_the_sum_of_waves(length):
    torch.manual_seed(length)
    radius, phase = torch.empty(5, 8).uniform_(0.5, 0.999), torch.empty(5, 8).uniform_(-3.14, 3.14)
    poles, residues = torch.polar(radius, phase), torch.randn(5, 8, dtype=torch.complex64)
    exact = plain_sum_of_waves(poles.to(torch.complex128), residues.to(torch.complex128), length)
    results = []
    for formula in (sum_of_waves, plain_sum_of_waves):
        leaves = poles.clone().requires_grad_(), residues.clone().requires_grad_()
        values = formula(*leaves, length)
        (values * torch.arange(length).cos()).sum().backward()
        results.append((values.detach(), *(leaf.grad for leaf in leaves)))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-3, rtol=1e-3)
    errors = [float((values.double() - exact).abs().max()) for values, *_ in results]
    assert errors[0] <= 2 * errors[1] + 1e-6  # as close to the truth as the formula itself


def build(**options) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel.build(SETTINGS, HyenaOptions(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def mixture(lengths: list[int]) -> PackedBatch:
    torch.manual_seed(sum(lengths))
    return PackedBatch.pack(torch.randint(7, 12, (sum(lengths),)), lengths)


def test_a_sequence_gives_the_same_alone_and_packed_with_others():
    lengths = [40, 7, 39, 64, 1, 40]
    batch, model = mixture(lengths), build()
    with torch.no_grad():
        together = model(batch).split(lengths)
        for ids, found in zip(batch.input_ids.split(lengths), together, strict=True):
            torch.testing.assert_close(model(PackedBatch.pack(ids, [len(ids)])), found, atol=2e-5, rtol=0)


def test_no_token_sees_those_after_it():
    batch, model = mixture([64]), build()
    changed = batch.input_ids.clone()
    changed[40:] = 7
    with torch.no_grad():
        first, second = model(batch), model(PackedBatch.pack(changed, [64]))
    torch.testing.assert_close(first[:40], second[:40], atol=2e-5, rtol=0)
    assert not torch.allclose(first[40:], second[40:], atol=1e-2)


def test_recomputed_layers_give_the_same_gradients():
    found = []
    for recompute in (False, True):
        model = build(checkpoint_activations=recompute)
        model(mixture([30, 12])).logsumexp(1).sum().backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


def test_an_evaluation_leaves_nothing_that_training_cannot_use():
    position_features.cache_clear()
    model, batch = build(), mixture([30, 12])
    with torch.inference_mode():
        model(batch)
    model(mixture([30, 12])).sum().backward()
    assert torch.isfinite(model.encoder.layers[0].mixer.filter.input.weight.grad).all()


def test_hidden_states_stay_float32_in_a_run_of_bfloat16():
    model, batch = build(), mixture([30, 12])
    with torch.autocast("cpu", torch.bfloat16):
        output = model.encoder(batch, return_states=True)
    assert {state.dtype for state in output.states[:-1]} == {torch.float32}
    halves = model.bfloat16()
    assert halves.encoder(batch, return_states=True).states[-2].dtype == torch.float32
    assert halves.encoder.layers[0].mixer.filter(64).dtype == torch.float32
