"""Dilated convolutions on packed sequences: no sequence and no padding leaks into another one's windows."""

import pytest
import torch

from pretrain.errors import PolymeraseError
from pretrain.models import LanguageModel, PackedBatch, SoftRows
from pretrain.models.convnet.convolution import DilatedConv
from pretrain.models.convnet.settings import ConvNetOptions, ConvNetSettings

IDS = {"vocab_size": 7, "pad_token_id": 0, "mask_token_id": 1, "base_token_ids": (3, 4, 5, 6), "hidden_size": 16}
SETTINGS = {
    "post_norm": ConvNetSettings(**IDS, num_hidden_layers=6, block="post_norm", bias=True, head_bias=True),
    "pre_norm": ConvNetSettings(**IDS, num_hidden_layers=6, intermediate_size=24),
    "bytenet": ConvNetSettings(
        **IDS, num_hidden_layers=6, block="bytenet", intermediate_size=8, embedding="learned", head_transform="none"
    ),
}


@pytest.fixture(params=SETTINGS)
def settings(request) -> ConvNetSettings:
    return SETTINGS[request.param]


def build(settings: ConvNetSettings, **options) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel.build(settings, ConvNetOptions(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def mixture(lengths: list[int]) -> PackedBatch:
    torch.manual_seed(sum(lengths))
    return PackedBatch.pack(torch.randint(0, 7, (sum(lengths),)), lengths)


def test_a_sequence_gives_the_same_alone_and_packed_with_others(settings):
    lengths = [40, 39, 3, 38, 80, 1, 40]  # the layout pads the nearly equal ones to one block
    batch, model = mixture(lengths), build(settings)
    assert any(group.index is not None for group in batch.sequence_layout.groups)
    with torch.no_grad():
        together = model(batch).split(lengths)
        for ids, found in zip(batch.input_ids.split(lengths), together, strict=True):
            torch.testing.assert_close(model(PackedBatch.pack(ids, [len(ids)])), found, atol=2e-5, rtol=0)


def test_windows_of_one_length_are_blocks_without_padding(settings):
    layout = mixture([64] * 5).sequence_layout
    assert [(group.lengths, group.index) for group in layout.groups] == [((64,) * 5, None)]


def test_the_reach_is_what_a_token_can_change(settings):
    model, length = build(settings), 2 * settings.reach + 21
    ids, middle = mixture([length]).input_ids, length // 2
    changed = ids.clone()
    changed[middle] = 3 + (changed[middle] - 2) % 4
    with torch.no_grad():
        differs = (model(PackedBatch.pack(ids, [length])) != model(PackedBatch.pack(changed, [length]))).any(1)
    assert differs.nonzero().min() == middle - settings.reach
    assert differs.nonzero().max() == middle + settings.reach


def test_a_mixture_of_bases_that_is_one_base_equals_its_id(settings):
    model, batch = build(settings), mixture([30, 12])
    batch.input_ids[5], batch.input_ids[33] = 4, 6
    mixed = PackedBatch.pack(batch.input_ids.clone(), batch.lengths)
    mixed.input_ids[[5, 33]] = 2
    mixed.soft_rows = SoftRows(torch.tensor([5, 33]), torch.eye(4)[[1, 3]])
    with torch.no_grad():
        torch.testing.assert_close(model(mixed), model(batch), atol=1e-6, rtol=0)


def test_recomputed_blocks_give_the_same_gradients(settings):
    found = []
    for recompute in (False, True):
        model = build(settings, checkpoint_activations=recompute)
        model(mixture([30, 12])).logsumexp(1).sum().backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


def test_weights_in_bfloat16_compute(settings):
    assert build(settings).bfloat16()(mixture([30, 12])).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_size": None}, "takes a model.intermediate_size, got None"),
        ({"block": "post_norm"}, "takes no model.intermediate_size, got 24"),
        ({"kernel_size": 4}, "model.kernel_size: expected an odd number, got 4"),
        ({"hidden_size": 6}, "model.hidden_size >= model.vocab_size=7, got 6"),
        ({"head_tied": True}, "needs a table to share"),
    ],
)
def test_contradictions_are_one_line(changes, message):
    with pytest.raises(PolymeraseError, match=message):
        ConvNetSettings(**{**vars(SETTINGS["pre_norm"]), **changes})


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 4), (9, 128)])
def test_one_product_of_gathered_neighbors_is_torchs_convolution(kernel, dilation):
    lengths = [40, 1, 7, 90, 3, 40]
    layout = mixture(lengths).sequence_layout
    torch.manual_seed(1)
    settings = ConvNetSettings(
        **IDS, num_hidden_layers=2, intermediate_size=24, bias=True, kernel_size=kernel, dilation_base=dilation
    )
    conv = DilatedConv(5, settings, layer=1).double()
    assert (conv.kernel_size, conv.dilation) == ((kernel,), (dilation,))
    x = torch.randn(sum(lengths), 5, dtype=torch.float64, requires_grad=True)
    above = torch.randn_like(x)
    results = []
    for form in (conv.gathered, conv.blocks):
        y = form(x, layout)
        results.append((y, *torch.autograd.grad(y, (x, conv.weight, conv.bias), above)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    conv, x = conv.bfloat16(), x.bfloat16()
    assert torch.equal(conv(x, layout), conv.gathered(x, layout))  # the form for 16 bits
