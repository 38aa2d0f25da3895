"""``batch.static``: micro-batches of one shape train like those without padding; what is counted is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pretrain.batches.block import Prepared
from pretrain.batches.collate import dummy_batch
from pretrain.config import check
from pretrain.errors import PolymeraseError
from pretrain.models.fixed_shape import FixedShape
from pretrain.models.layout_plan import TILES
from pretrain.models.transformer import encoder
from pretrain.models.whole_rows import ROWS, whole_rows
from pretrain.planning.counted.step import count_step
from pretrain.training.components import build_components
from pretrain.training.static_shapes import padded_to
from tests.training.corpora import config, tree
from tests.training.ranks import Job, digests, finish, losses, start, steps
from tests.training.test_resume import assert_bitwise

STATIC = {"batch__static": True}
LABELED = {"objectives": {"mlm": {}, "structure": {}, "mfe": {}}}
FAMILIES = {  # what differs between transformers in what they do with tokens and sequences
    "rnaernie2": ("plain", {}),  # learned positions, dropout
    "utr_lm": ("labeled", LABELED),  # rotary, token dropout, losses of sequences
    "rinalmo_nano": ("plain", {"model__num_attention_heads": 4}),  # rotary, SwiGLU
    "helm_clm": (
        "plain", {
            "masking": {"strategy": "none"}, "objectives": {"mlm": None, "causal_lm": {}},
            "corpus__partial_codon": "crop",
        },
    ),
    "dnabert_3mer": ("plain", {"masking": {"strategy": "kmer"}}),
}  # fmt: skip


CONVNET = {
    "architecture": "convnet", "tokenizer": "gpn", "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip


def parts_of(tmp_path, corpora, family, **changes):
    corpus, of_family = FAMILIES[family]
    return build_components(
        config(tmp_path, corpora[corpus], **{"model__family": family, **of_family, **STATIC, **changes})
    )


WHOLE_ROWS = {"batch__static": False, "engine": {"precision": "bf16"}}  # what such a run on a CPU pads to


@pytest.mark.parametrize("changes", [{}, WHOLE_ROWS], ids=["one shape", "whole rows"])
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_neither_loss_nor_gradient_nor_count(tmp_path, corpora, family, changes):
    """With dropout: on a CPU its masks are the same too. Products of more rows may add in another order."""
    parts = parts_of(tmp_path, corpora, family, **changes)
    assert parts.settings.hidden_dropout_prob or family != "rnaernie2", "one of them drops"
    builder, model, found = parts.batches("train"), parts.model().train(), []
    maker = padded_to(parts, builder, "cpu")
    for make in (builder.make, maker):
        batch = make(3, 7)
        model.zero_grad()
        torch.manual_seed(batch.dropout_seed)
        loss, _ = model(batch.packed, batch.targets, dict.fromkeys(parts.objectives, 1.0))
        loss.backward()
        found.append((batch, loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    (batch, loss, gradients), (padded, same_loss, same) = found
    tokens = len(padded.packed.input_ids)
    assert tokens == (-(-len(batch.packed.input_ids) // ROWS) * ROWS if changes else 200)
    assert padded.packed.pads
    assert len(padded.packed.cu_seqlens) == padded.packed.fixed.sequences + 1
    for counted in ("counts", "denominators", "digest", "dropout_seed", "sequences", "tokens", "start"):
        assert getattr(padded, counted) == getattr(batch, counted), counted
    for name, arrays in batch.targets.items():
        assert all(torch.equal(arrays[key], padded.targets[name][key]) for key in arrays)
    torch.testing.assert_close(same_loss, loss, rtol=1e-6, atol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient, rtol=1e-4, atol=2e-6 * float(loss), msg=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora):
    """Folders of the same training without and with padding, and of one that was stopped half-way."""
    folder, jobs = tmp_path_factory.mktemp("static"), []
    for name, stops, changes in (
        ("as they come", (6,), {}), ("one shape", (6,), STATIC), ("stopped", (3, 6), STATIC),
    ):  # fmt: skip
        for stop in stops:
            job = tree(
                folder / name, corpora["plain"], model__family="rnaernie2", train__steps=stop, schedule__total_steps=6,
                engine__zero_stage=0, batch__accumulation=2, **changes,
            )  # fmt: skip
            jobs.append(Job(job))
    finish(start(1, jobs, folder / "ranks"), folder / "ranks")
    return folder


def test_a_run_of_one_shape_has_the_losses_of_one_without(runs):
    ours, without = runs / "one shape", runs / "as they come"
    assert digests(ours) == digests(without)
    assert losses(ours) == pytest.approx(losses(without), rel=1e-5)
    for one, other in zip(steps(ours), steps(without), strict=True):
        assert one["epoch"] == other["epoch"]
        assert one["mlm/accuracy"] == pytest.approx(other["mlm/accuracy"], abs=1e-6)


def test_it_is_resumed_bit_for_bit(runs):
    assert_bitwise(runs / "stopped", runs / "one shape", 6)


def test_a_turn_without_work_has_the_shape_of_all(tmp_path, corpora):
    parts = parts_of(tmp_path, corpora, "rnaernie2")
    maker = padded_to(parts, parts.batches("train"))
    idle = maker.filled(dummy_batch(maker.make(0, 1)))
    assert idle.packed.input_ids.shape == maker(0, 3).packed.input_ids.shape
    assert (idle.tokens, idle.sequences) == (0, 0)


def test_on_a_gpu_every_step_launches_the_same_and_moves_the_same(tmp_path, corpora):
    """Counted on tensors without content. Output head and losses work on hidden tokens, here equally many."""
    parts = parts_of(tmp_path, corpora, "utr_lm", objectives={"mlm": None, "structure": None, "mfe": {}})
    maker, found, sizes = padded_to(parts, parts.batches("train")), [], []
    for first in (0, 20):
        batch = maker(first, first + 3)
        sizes.append(batch.packed.real_lengths)
        arrays = {"index": torch.arange(3), "target": torch.zeros(3)}
        batch = replace(batch, targets={"mfe": {**batch.targets["mfe"], **arrays}})
        step = count_step(parts.config, parts.settings, parts.objectives, parts.context, batch)
        found.append([(x.phase, x.name, x.kernels, x.read, x.written) for x in step.ledger.launches])
    assert sizes[0] != sizes[1]
    assert found[0] == found[1]


def test_tables_for_the_attention_programs_have_one_size(tmp_path, corpora):
    parts = parts_of(tmp_path, corpora, "rnaernie2")
    prepared = Prepared(padded_to(parts, parts.batches("train")), "cuda", tuple(sorted(set(TILES.values()))), pin=False)
    shapes = []
    for first, stop in ((0, 3), (5, 9), (30, 31)):
        layout = prepared(first, stop).packed.layout
        tables = [table.shape for rows in (32, 64) for table in layout.tiles(rows)]
        shapes.append([layout.longest, layout.order.shape, layout.cu_seqlens.shape, layout.sequence_of.shape, *tables])
        tiles, spans = layout.tiles(32)
        covered = np.zeros(200, np.int64)
        for sequence, row in tiles.T.tolist():
            begin, length = int(spans[0][sequence]), int(spans[1][sequence])
            covered[begin + row : begin + min(row + 32, length)] += 1
        assert (covered == 1).all(), "every token, padding too, is in one tile"
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("longest", [7, 33, 64])
@pytest.mark.parametrize("shortest", [3, 7])
def test_a_shape_holds_whatever_fits_its_bounds(longest, shortest):
    draw, tokens = np.random.default_rng(0), 200
    for most in (None, 4):
        shape = FixedShape.holding(tokens, longest, shortest, most)
        for _ in range(200):
            lengths: list[int] = []
            while len(lengths) != most:
                lengths.append(int(draw.integers(shortest, longest + 1)))
                if sum(lengths) > tokens:
                    lengths.pop()
                    break
            pads = shape.padding(sum(lengths))
            assert sum(lengths) + sum(pads) == tokens
            assert max(pads, default=0) <= longest
            assert pads == sorted(pads)
            assert len(lengths) + len(pads) < shape.sequences, "one place stays empty"
            assert sum(-(-length // 16) for length in lengths + pads) <= shape.tiles(16)
    with pytest.raises(ValueError, match="201 tokens do not fit a shape of 200"):
        shape.padding(201)


@pytest.mark.parametrize(
    ("corpus", "changes", "reason"),
    [
        ("plain", {}, "its pairing bias keeps scores of all pairs of tokens"),
        (
            "plain", {"model": CONVNET},
            "it works on groups of sequences of similar length",
        ),
        (
            "alleles", {"model__family": "mutbert", "corpus__window": 40, "masking": {"strategy": "variant_first"}},
            "the number of variants differs from one micro-batch to the next",
        ),
    ],
)  # fmt: skip
def test_where_shapes_cannot_be_fixed_one_line_says_why(tmp_path, corpora, corpus, changes, reason):
    values = tree(tmp_path, corpora[corpus], **STATIC, **{key: x for key, x in changes.items() if key != "model"})
    values["model"] = changes.get("model", values["model"])
    with pytest.raises(PolymeraseError, match=f"batch.static=true cannot hold for this run: .*{reason}; leave the key"):
        build_components(check(values, "test"))


@pytest.mark.parametrize("static", [True, False])
def test_a_gpu_whose_attention_works_on_groups_is_refused(tmp_path, corpora, monkeypatch, static):
    parts = parts_of(tmp_path, corpora, "rnaernie2", batch__static=static)
    packed = padded_to(parts, parts.batches("train"))(0, 3).packed
    packed.layout  # noqa: B018 (as it is on a CPU, which stands in for the GPU)
    monkeypatch.setattr(encoder, "choose_backend", lambda *_: "grouped")
    monkeypatch.setattr(encoder, "kind_of", lambda device: "cuda")
    model = parts.model()
    if static:
        with pytest.raises(PolymeraseError, match=r"batch.static=true cannot hold on this GPU: without Triton"):
            model.encoder(packed)
    else:
        assert model.encoder(packed).hidden.shape[0] == sum(packed.lengths)


def test_rows_are_filled_up_where_products_are_compiled_for_their_number_and_nowhere_else(tmp_path, corpora):
    index = torch.tensor([7, 3, 5])
    assert whole_rows(index, torch.zeros(9, 4)).tolist() == [7, 3, 5]
    assert whole_rows(index, torch.zeros(9, 4, dtype=torch.bfloat16)).tolist() == [7, 3, 5] + [7] * (ROWS - 3)
    assert len(whole_rows(torch.arange(ROWS), torch.zeros(ROWS, 4, dtype=torch.bfloat16))) == ROWS
    assert len(whole_rows(index[:0], torch.zeros(9, 4, dtype=torch.bfloat16))) == 0
    with torch.autocast("cpu", torch.bfloat16):
        assert len(whole_rows(index, torch.zeros(9, 4))) == ROWS
    bf16 = parts_of(tmp_path, corpora, "rnaernie2", **WHOLE_ROWS)
    builder = bf16.batches("train")
    assert padded_to(bf16, builder, "cuda")(0, 3).packed.fixed is None
    single = parts_of(tmp_path, corpora, "rnaernie2", batch__static=False)
    assert padded_to(single, single.batches("train"), "cpu")(0, 3).packed.fixed is None
    pairing = build_components(config(tmp_path, corpora["plain"], engine={"precision": "bf16"}))
    assert padded_to(pairing, pairing.batches("train"), "cpu")(0, 3).packed.fixed is None


def test_the_head_gives_the_logits_of_the_rows_that_were_asked_for(tmp_path, corpora):
    model = parts_of(tmp_path, corpora, "rnaernie2", **WHOLE_ROWS).model().eval().bfloat16()
    hidden, index = torch.randn(90, model.settings.hidden_size).bfloat16(), torch.arange(2, 90, 3)
    torch.testing.assert_close(model.logits_at(hidden, index), model.logits(hidden)[index])
