"""Micro-batches of real corpora: the same samples with the same masks whoever makes them and wherever a run stands."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from pretrain.batches.collate import MicroBatch, MicroBatchBuilder
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.training.components import RunComponents, build_components
from tests.training.corpora import config

MICRO_BATCHES = 5
STEPS = 12

MIXTURES = {
    "one corpus": {},
    "several corpora and objectives": {
        "model__family": "mutbert",
        "masking": {"strategy": "variant_first"},
        "objectives": {"mlm": {}, "soft_label": {}, "structure": {}, "mfe": {}, "rna_type": {}},
        "corpus__window": 30,
        "corpus__reverse_complement": 0.5,
    },
    "a genome beside sequences, lengths measured, some letters weigh less": {
        "model__tokenizer": "kmer6_nonoverlapping",
        "model__pairing_bias": False,
        "model__max_position_embeddings": 12,
        "corpus__sampling": {"draw": "chunks", "overlap": 9, "random_start": True},
        "corpus__window": 60,
        "corpus__soft_mask_weight": 0.25,
        "corpus__reverse_complement": 0.5,
    },
}
EXTRA = {"a genome beside sequences, lengths measured, some letters weigh less": ("genome", "other")}


@pytest.fixture(scope="module", params=MIXTURES)
def parts(request, corpora, tmp_path_factory) -> RunComponents:
    changes = dict(MIXTURES[request.param])
    if changes:
        changes["corpus__extra"] = [
            {"path": str(corpora[name]), "weight": weight}
            for name, weight in zip(EXTRA.get(request.param, ("alleles", "other")), (0.5, 2.0), strict=True)
        ]
    return build_components(config(tmp_path_factory.mktemp("run"), corpora["labeled"], **changes))


@pytest.fixture(scope="module")
def maker(parts) -> MicroBatchBuilder:
    return parts.batches("train")


@pytest.fixture
def plan(maker) -> Plan:
    return Plan(maker.lengths_at, Bounds(tokens=150), MICRO_BATCHES)


def flat(batch: MicroBatch) -> dict[str, torch.Tensor]:
    """Every tensor of a micro-batch by name."""
    packed = {name: value for name, value in vars(batch.packed).items() if isinstance(value, torch.Tensor)}
    if batch.packed.soft_rows is not None:
        packed |= {"soft positions": batch.packed.soft_rows.positions, "soft freq": batch.packed.soft_rows.freq}
    targets = {f"{name}.{key}": t for name, arrays in batch.targets.items() for key, t in arrays.items()}
    return packed | targets


def assert_same(first: MicroBatch, second: MicroBatch) -> None:
    ours, theirs = flat(first), flat(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert (first.counts, first.digest, first.dropout_seed) == (second.counts, second.digest, second.dropout_seed)


def global_steps(plan, maker, world_size, workers=0, position=0, count=STEPS) -> list[list[MicroBatch]]:
    """The micro-batches of each step as all ranks together make them, in the order of the stream."""
    ranks = [load_steps(plan, position, maker.make, rank, world_size, workers) for rank in range(world_size)]
    result = []
    for shares in islice(zip(*ranks, strict=True), count):
        assert len({share.end for share in shares}) == 1
        turns = [share.micro_batches[turn] for turn in range(len(shares[0].micro_batches)) for share in shares]
        result.append([batch for batch in turns if batch is not None])
    return result


def test_global_batches_do_not_depend_on_the_number_of_ranks(plan, maker):
    alone = global_steps(plan, maker, 1)
    for world_size in (2, 3):
        together = global_steps(plan, maker, world_size)
        assert [len(step) for step in together] == [MICRO_BATCHES] * STEPS
        for ours, theirs in zip(alone, together, strict=True):
            for first, second in zip(ours, theirs, strict=True):
                assert_same(first, second)


def test_worker_processes_change_nothing(plan, maker):
    for ours, theirs in zip(global_steps(plan, maker, 2), global_steps(plan, maker, 2, workers=2), strict=True):
        for first, second in zip(ours, theirs, strict=True):
            assert_same(first, second)


@pytest.mark.parametrize("stopped_at", [1, 7])
@pytest.mark.parametrize("world_size", [1, 3])
def test_a_run_goes_on_from_a_position_on_any_number_of_ranks(plan, maker, stopped_at, world_size):
    straight = list(islice(load_steps(plan, 0, maker.make, 0, 1, 0), STEPS))
    rest = global_steps(plan, maker, world_size, position=straight[stopped_at - 1].end, count=STEPS - stopped_at)
    for ours, theirs in zip(straight[stopped_at:], rest, strict=True):
        for first, second in zip(ours.micro_batches, theirs, strict=True):
            assert_same(first, second)


def test_a_sample_is_the_same_whatever_batch_it_comes_in(maker):
    whole = maker.make(100, 130)
    edges = whole.packed.cu_seqlens.tolist()
    soft = whole.packed.soft_rows
    for place in (0, 1, 17, 29):
        alone = maker.make(100 + place, 101 + place)
        own = slice(edges[place], edges[place + 1])
        assert torch.equal(alone.packed.input_ids, whole.packed.input_ids[own])
        assert torch.equal(alone.packed.position_ids, whole.packed.position_ids[own])
        for name, values in whole.packed.side.items():
            assert torch.equal(alone.packed.side[name], values[own])
        if soft is not None:
            mine = (soft.positions >= own.start) & (soft.positions < own.stop)
            rows = alone.packed.soft_rows
            assert torch.equal(soft.freq[mine], rows.freq if rows else torch.zeros(0, 4))
            assert torch.equal(soft.positions[mine] - own.start, rows.positions if rows else torch.zeros(0))
        for name, arrays in whole.targets.items():
            index = arrays["index"]
            mine = (index >= own.start) & (index < own.stop)
            if alone.counts[name]:
                assert torch.equal(index[mine] - own.start, alone.targets[name]["index"])
                assert torch.equal(arrays["target"][mine], alone.targets[name]["target"])
            else:
                assert not mine.any()


def test_lengths_that_the_plan_counts_are_those_of_the_batch(maker):
    assert maker.make(40, 90).packed.lengths == maker.lengths_at(np.arange(40, 90)).tolist()


def test_an_epoch_holds_every_sample_once_and_masks_it_anew(corpora, tmp_path):
    parts = build_components(config(tmp_path, corpora["plain"]))
    maker = parts.batches("train")
    (size,) = (source.size for source in maker.sources)
    table = parts.corpora[0].split("train")
    everything = parts.tokenizer.encode(table.gather(np.arange(len(table))))
    known = {everything.ids[a:b].tobytes() for a, b in zip(everything.offsets, everything.offsets[1:], strict=False)}
    masks, seen = [], []
    for epoch in (0, 1):
        batch = maker.make(epoch * size, (epoch + 1) * size)
        original = batch.packed.input_ids.clone()
        original[batch.targets["mlm"]["index"]] = batch.targets["mlm"]["target"]
        rows = [row.to(torch.int32).numpy().tobytes() for row in original.split(batch.packed.lengths)]
        assert set(rows) == known
        seen.append(rows)
        masks.append(dict(zip(rows, batch.packed.input_ids.split(batch.packed.lengths), strict=True)))
    assert seen[0] != seen[1]
    assert sum(torch.equal(masks[0][row], masks[1][row]) for row in known) < len(known) / 10


def test_every_micro_batch_has_dropout_of_its_own(plan, maker):
    seeds = [batch.dropout_seed for step in global_steps(plan, maker, 1) for batch in step]
    assert len(set(seeds)) == len(seeds)


def test_seeds_change_order_and_masks(parts, corpora):
    other = parts.config.model_copy(update={"run": parts.config.run.model_copy(update={"seed": 4})})
    ours, theirs = (p.batches("train").make(0, 20) for p in (parts, replace(parts, config=other)))
    assert ours.packed.lengths != theirs.packed.lengths


def test_held_out_samples_are_masked_unlike_training_ones_and_always_alike(corpora, tmp_path):
    parts = build_components(config(tmp_path, corpora["plain"]))
    first, second = (parts.batches("validation").make(0, 10) for _ in range(2))
    assert_same(first, second)
    assert first.packed.lengths != parts.batches("train").make(0, 10).packed.lengths
