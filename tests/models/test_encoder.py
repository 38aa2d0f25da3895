"""Promises of the packed encoder that no published output covers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES
from pretrain.families.published import published_model
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.layout import Layout
from pretrain.models.transformer.encoder import Encoder
from pretrain.models.transformer.settings import TransformerOptions, TransformerSettings

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
LENGTHS = [9, 4, 9, 1, 12, 5, 11]
FOUR = pytest.mark.parametrize("name", ["ernie_rna", "rnaernie", "utr_lm", "mutbert"])


def batch_of(name: str, lengths: list[int] = LENGTHS, seed: int = 0) -> PackedBatch:
    random = torch.Generator().manual_seed(seed)
    count, settings = sum(lengths), FAMILIES[name].settings
    return PackedBatch.pack(
        torch.randint(0, settings.vocab_size, (count,), generator=random),
        lengths,
        side={"pair_class": torch.randint(0, 6, (count,), generator=random, dtype=torch.uint8)}
        if settings.pairing_bias
        else None,
    )


def build(name: str, **changes) -> LanguageModel:
    torch.manual_seed(1)
    settings = replace(FAMILIES[name].resized(TINY), initializer_range=0.3, **changes)
    return published_model(settings)


def with_padding(batch: PackedBatch, padding: float) -> PackedBatch:
    batch = replace(batch)
    batch.__dict__["layout"] = Layout.build(batch.lengths, padding=padding, device="cpu")
    return batch


def gradients(model: LanguageModel, batch: PackedBatch) -> dict[str, Tensor]:
    model.zero_grad()
    model(batch).square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("padding", [0.0, 0.2, 10.0])
def test_groups_hold_every_token_once_and_in_order(padding):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    x = torch.arange(sum(LENGTHS))
    entered = layout.to_layout_order(x)
    assert torch.equal(layout.to_batch_order(entered), x)
    rows = zip(layout.groups, layout.split(entered), strict=True)
    assert torch.equal(torch.cat([group.from_blocks(group.to_blocks(part)) for group, part in rows]), entered)
    sequence = torch.repeat_interleave(torch.tensor(layout.sequences), layout.cu_seqlens.diff().long())
    assert torch.equal(torch.tensor(layout.sequences)[layout.sequence_of], sequence)
    for group in layout.groups:
        assert len(group.lengths) * group.width <= (1 + padding) * sum(group.lengths)


@FOUR
def test_padded_groups_give_the_same_as_exact_groups(name):
    model, batch = build(name).eval(), batch_of(name)
    exact, padded = with_padding(batch, 0.0), with_padding(batch, 10.0)
    assert len(exact.layout.groups) == 6
    assert len(padded.layout.groups) == 1
    torch.testing.assert_close(model(padded), model(exact), atol=1e-5, rtol=1e-5)
    expected = gradients(model, exact)
    for key, gradient in gradients(model, padded).items():
        torch.testing.assert_close(gradient, expected[key], atol=1e-6, rtol=1e-4)


def test_groups_are_no_larger_than_asked():
    layout = Layout.build([8, 8, 8, 8, 8, 30], padding=0.0, pairs=150, device="cpu")
    assert [group.lengths for group in layout.groups] == [(8, 8), (8, 8), (8,), (30,)]
    assert [group.first_pair for group in layout.groups] == [0, 128, 256, 320]
    assert layout.pairs == 320 + 900


def train_twice(name: str, change: Callable[[Encoder], None]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients with dropout before and after a change of what is kept, which takes the same dropout masks."""
    dropout = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2, "num_hidden_layers": 5}
    model, batch = build(name, **dropout).train(), batch_of(name)
    if model.settings.pairing_bias:
        model.encoder.pairing.memory = "store"
    results = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        results.append(gradients(model, batch))
        change(model.encoder)
    before, after, other = results
    assert not all(torch.equal(before[key], other[key]) for key in before)
    return before, after


@FOUR
def test_checkpointed_activations_change_not_a_bit_dropout_included(name):
    before, after = train_twice(name, lambda encoder: setattr(encoder, "checkpoint_activations", True))
    for key, gradient in before.items():
        assert torch.equal(after[key], gradient), key


def test_rebuilt_scores_change_nothing_but_the_rounding_of_subtraction():
    before, after = train_twice("ernie_rna", lambda encoder: setattr(encoder.pairing, "memory", "rebuild"))
    for key, gradient in before.items():
        torch.testing.assert_close(after[key], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_scores_stored_in_float16_change_gradients_by_their_rounding(checkpointed):
    """Eleven bits of each score, in each of five layers, forwards; the gradient of scores keeps its precision."""

    def change(encoder: Encoder) -> None:
        encoder.pairing.scores_dtype, encoder.checkpoint_activations = "float16", checkpointed

    before, after = train_twice("ernie_rna", change)
    exact, rounded = (torch.cat([x.flatten() for x in found.values()]) for found in (before, after))
    assert 0 < (rounded - exact).norm() < 1e-2 * exact.norm()


def test_scores_that_are_shown_are_float32_and_have_a_gradient_whatever_is_stored():
    model, batch = build("ernie_rna"), batch_of("ernie_rna")
    model.encoder.pairing.memory, model.encoder.pairing.scores_dtype = "store", "float16"
    scores = model.encoder(batch, return_extras=True).extras["scores"][0]
    assert scores.dtype == torch.float32
    scores.square().sum().backward()
    assert model.encoder.pairing.output.weight.grad.norm() > 0


def test_nothing_is_dropped_in_evaluation():
    model, batch = build("ernie_rna", hidden_dropout_prob=0.5).eval(), batch_of("ernie_rna")
    assert torch.equal(model(batch), model(batch))


def test_scores_are_kept_in_single_precision_whatever_that_of_the_weights():
    model = build("ernie_rna").eval().to(torch.bfloat16)
    output = model.encoder(batch_of("ernie_rna"), return_extras=True)
    assert output.hidden.dtype == torch.bfloat16
    assert output.extras["scores"][0].dtype == torch.float32


@FOUR
@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_half_precision_stays_close_to_single(name, how):
    model, batch = build(name).eval(), batch_of(name)
    with torch.no_grad():
        expected = model.encoder(batch).hidden
        if how == "weights":
            half = model.to(torch.bfloat16).encoder(batch).hidden
        else:
            with torch.autocast("cpu", torch.bfloat16):
                half = model.encoder(batch).hidden
    assert (half - expected).norm() < 0.05 * expected.norm()


@FOUR
def test_gradients_flow_under_autocast_with_checkpointed_activations(name):
    model, batch = build(name).train(), batch_of(name)
    model.encoder.checkpoint_activations = True
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(batch).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_too_long_for_learned_positions_is_one_clear_line():
    encoder = build("rnaernie").encoder
    with pytest.raises(PolymeraseError, match="65 tokens does not fit the 64 learned positions"):
        encoder(batch_of("rnaernie", [65]))


def test_soft_rows_need_single_base_tokens():
    from pretrain.models import SoftRows

    model, batch = build("utrbert_3mer"), batch_of("utrbert_3mer", [5])
    batch.soft_rows = SoftRows(torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    with pytest.raises(PolymeraseError, match="no token for each single base"):
        model(batch)


def test_impossible_settings_are_refused():
    with pytest.raises(PolymeraseError, match="not a multiple of"):
        FAMILIES["ernie_rna"].resized({"hidden_size": 30, "num_attention_heads": 4})


def spread(settings: TransformerSettings) -> tuple[Encoder, dict[str, float]]:
    torch.manual_seed(0)
    encoder = Encoder(settings, TransformerOptions())
    return encoder, {name: value.std().item() for name, value in encoder.named_parameters() if value.numel() > 999}


@pytest.mark.parametrize("name", ["ernie_rna", "rnaernie", "mutbert"])
def test_bert_initialization_is_normal_with_the_published_width(name):
    family = FAMILIES[name]
    encoder, widths = spread(family.resized({**TINY, "hidden_size": 128, "intermediate_size": 256}))
    for key, width in widths.items():
        assert width == pytest.approx(0.02, rel=0.1), key
    pad = encoder.embeddings.word.weight[family.settings.pad_token_id]
    assert bool((pad == 0).all()) == (name != "rnaernie")
    biases = [value for key, value in encoder.named_parameters() if key.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)


def test_esm_initialization_is_xavier_for_attention():
    encoder, widths = spread(FAMILIES["utr_lm"].resized({**TINY, "hidden_size": 128, "intermediate_size": 256}))
    xavier = (2 / (128 + 128)) ** 0.5  # standard deviation at gain 1
    assert widths["layers.0.attention.query.weight"] == pytest.approx(xavier / 2**0.5, rel=0.05)
    assert widths["layers.0.attention.output.weight"] == pytest.approx(xavier, rel=0.05)
    assert widths["layers.0.mlp.up.weight"] == pytest.approx((1 / 128 / 3) ** 0.5, rel=0.05)
    assert widths["embeddings.word.weight"] == pytest.approx(1.0, rel=0.1)
    assert (encoder.embeddings.word.weight[0] == 0).all()
    assert (encoder.layers[0].attention.output.bias == 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@FOUR
def test_gpu_gives_the_same_as_cpu(name):
    model, batch = build(name).eval(), batch_of(name)
    with torch.no_grad():
        expected = model(batch)
        got = model.cuda()(batch.to("cuda")).cpu()
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
