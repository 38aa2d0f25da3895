"""A step is counted without a GPU, and no layer launches more or waits oftener than is written down here."""

import pytest
import torch

from pretrain.config import load_config
from pretrain.errors import PolymeraseError
from pretrain.models.device_kind import counting
from pretrain.models.transformer.encoder import EncoderLayer
from pretrain.planning.costs import flops_per_token
from pretrain.planning.counted.cards import CARDS, find_card
from pretrain.planning.counted.estimate import estimate
from pretrain.training.initial_weights import settings_of
from tests.planning.counting import SMALL, counted, per_layer

NORMS, NORMS_BACK = {"triton::sum_norm[drop]": 2}, {"triton::sum_norm_backward[drop]": 2}
MLP, MLP_BACK = {"triton::activate[]": 1}, {"triton::activate_backward[]": 1}
# gradients of one input meet in the products; the six sums are of the biases of q, k and v, and of the strips of the
# three programs, whose results then get the dtype of the parameters
BACK = {"mm": 8, "addmm_": 4, "sum": 6, "_to_copy": 3}
ATTENTION_BACK = {"triton::delta": 1, "triton::backward_keys[drop]": 1, "triton::backward_queries[drop]": 1}
ALONE = {"triton::delta": 1, "triton::backward_keys[]": 1, "triton::backward_queries[]": 1}
RECURRENT_BACK = {
    "triton::delta": 1,
    "triton::backward_keys[has_scores+reverse+drop]": 1,
    "triton::backward_queries[has_scores+drop]": 1,
}
# recipe and settings -> kernels of one layer, forward and backward
LAYERS = {
    ("rnaernie2.yaml",): (
        {"addmm": 6, **NORMS, **MLP, "triton::forward[drop]": 1},
        {**BACK, **NORMS_BACK, **MLP_BACK, **ATTENTION_BACK},
    ),
    ("ernie.yaml",): (
        {"addmm": 6, **NORMS, **MLP, "triton::forward[has_before+drop]": 1},
        {**BACK, **NORMS_BACK, **MLP_BACK, **RECURRENT_BACK},
    ),
    ("mutbert.yaml",): (
        {"addmm": 6, **NORMS, **MLP, "fused::rotary": 1, "triton::forward[drop]": 1},
        {**BACK, **NORMS_BACK, **MLP_BACK, "fused::rotary_backward": 1, **ATTENTION_BACK},
    ),
    ("utr_lm.yaml",): (  # pre-norm: the norm after the MLP's sum is that of the next layer
        {
            "addmm": 6, "native_layer_norm": 1, "triton::sum_norm[]": 1, "add": 1, **MLP, "fused::rotary": 1,
            "triton::forward[]": 1,
        },
        {
            "mm": 10, "addmm_": 2, "sum": 6, "add": 1, "native_layer_norm_backward": 3,
            "triton::sum_norm_backward[has_dsum]": 1, **MLP_BACK, "fused::rotary_backward": 1, **ALONE,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("recipe", LAYERS)
@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_a_layer_launches_what_is_written_down(recipe, phase):
    """A difference names the operation that came or went; write down what is meant to stay."""
    assert per_layer(recipe[0], phase, *recipe[1:]) == LAYERS[recipe][phase == "backward"]


@pytest.mark.parametrize(
    ("settings", "bytes_per_score"),
    [
        (("model.pairing_memory=rebuild",), (4 + 4) + (4 + 2 + 2) + (4 + 2 + 4)),
        (("model.pairing_memory=store",), (4 + 4) + (4 + 2 + 2) + (4 + 2)),
        (("model.pairing_memory=store", "model.pairing_scores_dtype=float16"), (2 + 2) + (2 + 2 + 2) + (2 + 2)),
        (("engine.precision=fp32",), (4 + 4) + (4 + 4 + 4) + (4 + 4 + 4)),
    ],
)
def test_a_layer_moves_each_score_as_often_as_is_written_down(settings, bytes_per_score):
    """Forwards, over queries (scores, their gradient read and written), over keys."""
    more, less = (counted("ernie.yaml", layers, *settings) for layers in (4, 3))
    width, heads, size = 64, 4, 4 if "engine.precision=fp32" in settings else 2
    of_tokens = 15 * more.tokens * width * size  # queries, keys, values, outputs and their gradients, once per program
    pairs = sum(length * length for length in more.lengths)
    assert more.bytes_of("attention") - less.bytes_of("attention") == of_tokens + heads * pairs * bytes_per_score


@pytest.mark.parametrize("recipe", ["rnaernie2.yaml", "ernie.yaml", "mutbert.yaml", "utr_lm.yaml"])
def test_no_step_reads_a_value_on_the_host(recipe):
    assert counted(recipe, 3).ledger.host_reads == []


def test_one_launch_and_one_read_more_are_seen_with_their_names(monkeypatch):
    usual = EncoderLayer.forward

    def wasteful(self, x, bias, context):
        x.sum().item()
        return usual(self, x.relu(), bias, context)

    monkeypatch.setattr(EncoderLayer, "forward", wasteful)
    found = counted.__wrapped__("rnaernie2.yaml", 2)
    assert len(found.ledger.host_reads) == 2
    assert "_local_scalar_dense" in found.ledger.host_reads[0]
    names = [launch.name for launch in found.ledger.launches]
    assert names.count("relu") == 2


def test_products_of_the_count_are_those_of_the_formula():
    """The formula counts matrix products; an output head that reads 15 % of the tokens is a little of both."""
    step, config = counted("rnaernie2.yaml", 3), load_config("rnaernie2.yaml", [*SMALL, "model.num_hidden_layers=3"])
    settings = settings_of(config)[1]
    attention = step.flops_of("attention")  # ours computes scores again twice in the backward pass
    formula = flops_per_token(settings, 40, 0.15) * step.tokens
    without_scores = formula - 3 * 3 * 4.0 * 40 * settings.hidden_size * step.tokens
    assert step.flops_of("gemm") == pytest.approx(without_scores, rel=0.05)
    assert attention == (4 + 6 + 8) * 3 * 40 * settings.hidden_size * step.tokens


def test_memory_of_the_count_grows_with_the_batch_and_is_let_go():
    small, large = counted("rnaernie2.yaml", 3), counted("rnaernie2.yaml", 3, lengths=(40,) * 12)
    assert 3 < large.activation_bytes / small.activation_bytes < 4.1
    made = sum(launch.written for launch in large.ledger.launches if launch.phase == "forward")
    assert large.activation_bytes < made


def test_nothing_stays_behind_after_counting():
    counted.__wrapped__("ernie.yaml", 2)
    assert counting() is None
    from pretrain.models.constants import constant
    from pretrain.models.transformer.recurrent.pairing import PAIR_VALUES

    assert constant(PAIR_VALUES, torch.device("cpu"))[3, 2] == 3.0


@pytest.mark.parametrize("card", CARDS)
def test_an_estimate_is_never_faster_than_the_data_sheet(card):
    step, config = counted("rnaernie2.yaml", 3), load_config("rnaernie2.yaml")
    found, sheet = estimate(step, config, CARDS[card]), CARDS[card]
    moved = sum(launch.read + launch.written for launch in step.ledger.launches)
    flops = step.flops_of("gemm") + step.flops_of("attention")
    least = max(moved / (sheet.memory_gb_s * 1e9), flops / (sheet.half_tflops * 1e12))
    assert step.tokens / found.tokens_s > least


def test_a_card_is_found_however_it_is_spelled_and_an_unknown_one_is_one_line():
    assert find_card("rtx 4090") is CARDS["RTX4090"]
    with pytest.raises(PolymeraseError, match=r"--card V100: unknown card; choose from H100"):
        find_card("V100")
