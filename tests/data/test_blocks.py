"""A micro-batch in one block, with its layout, is the same micro-batch."""

import pickle

import pytest
import torch

from pretrain.batches.block import Prepared, gathered, viewed
from pretrain.models import PackedBatch
from pretrain.models.batch import GROUPING
from pretrain.models.layout import Layout
from pretrain.training.components import build_components
from tests.training.corpora import config

RECIPES = {
    "plain": {"model__family": "ernie_rna"},
    "labeled": {"model__family": "utr_lm", "objectives": {"mlm": {}, "structure": {}, "mfe": {}, "rna_type": {}}},
    "alleles": {
        "model__family": "mutbert", "masking__strategy": "variant_first", "objectives__mlm": None,
        "objectives__soft_label": {}, "corpus__window": 60, "batch__tokens": None, "batch__sequences": 7,
    },
}  # fmt: skip


def tensors_of(batch) -> list[torch.Tensor]:
    found = []
    batch.map(lambda tensor: found.append(tensor) or tensor)
    return found


@pytest.fixture(scope="module", params=RECIPES)
def builder(request, corpora, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    return build_components(config(run, corpora[request.param], **RECIPES[request.param])).batches("train")


def test_a_block_holds_every_tensor_and_a_copy_of_it_is_the_batch(builder):
    batch = builder.make(0, 7)
    one = gathered(batch, pin=False)
    assert {tensor.untyped_storage().data_ptr() for tensor in tensors_of(one)} == {one.block.data_ptr()}
    copy = viewed(one, one.block.clone())
    for before, after in zip(tensors_of(batch), tensors_of(copy), strict=True):
        assert before.dtype == after.dtype
        assert torch.equal(before, after)
    assert {tensor.untyped_storage().data_ptr() for tensor in tensors_of(copy)} == {copy.block.data_ptr()}


def test_a_loader_process_sends_one_piece_of_memory(builder):
    made = Prepared(builder.make, "cuda", (16,), pin=False)(0, 7)
    there = pickle.loads(pickle.dumps(made))
    for before, after in zip(tensors_of(made), tensors_of(there), strict=True):
        assert torch.equal(before, after)


def test_a_layout_worked_out_ahead_is_the_layout(builder):
    made = Prepared(builder.make, "cuda", (16, 64), pin=False)(0, 7).packed
    asked = Layout.build(made.lengths, device="cpu", **GROUPING["cuda"])
    ahead = made.layout
    assert ahead.sequences == asked.sequences
    assert torch.equal(ahead.cu_seqlens, asked.cu_seqlens)
    assert [group.lengths for group in ahead.groups] == [group.lengths for group in asked.groups]
    for one, other in zip(ahead.groups, asked.groups, strict=True):
        for name in ("index", "real", "key_mask"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) == (theirs is None)
            assert mine is None or torch.equal(mine, theirs)
    for rows in (16, 64, 32):  # the last one is not in the plan
        assert all(map(torch.equal, ahead.tiles(rows), asked.tiles(rows)))
    assert ahead.tiles(64)[0].data_ptr() >= made.plan.numbers.data_ptr()


def test_tiles_cover_every_token_once_and_begin_with_the_longest_sequences():
    layout = PackedBatch.pack(torch.zeros(150, dtype=torch.int64), [10, 100, 40]).planned("cuda", (32,)).layout
    tiles, spans = layout.tiles(32)
    length = spans[1][tiles[0]]
    assert length.tolist() == sorted(length.tolist(), reverse=True)
    covered = [(int(s), t) for s, row in tiles.T.tolist() for t in range(row, min(row + 32, int(spans[1][s])))]
    assert sorted(covered) == [(s, t) for s in range(3) for t in range(int(spans[1][s]))]
