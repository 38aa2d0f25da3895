"""A checkpoint that every rank writes its part of, one tensor after the other: no rank ever holds it whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pretrain.distributed.context import DistributedContext, all_gather_object, broadcast_object
from pretrain.runs.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints
from pretrain.runs.tensor_files import deal_out, index_name, part_name, write_index, write_tensors
from pretrain.training.engine import Engine
from pretrain.training.zero_state import StoredTensor, gathered, stored_optimizer, stored_weights

Facts = dict[str, dict[str, Any]]  # file -> size and checksum


def save_sharded(
    engine: Engine, checkpoints: Checkpoints, step: int, state: dict[str, Any], dist_context: DistributedContext
) -> str | None:
    """Write and publish a checkpoint in parts. Collective.

    Tensors are gathered whole, so that any number of ranks can read them; each is written by one rank, and let go.

    Returns:
        Why it was not written, on every rank; nothing is published then, and nothing left behind.
    """
    problem = None
    if dist_context.is_first:
        try:
            checkpoints.begin(step)
        except OSError as error:
            problem = str(error)
    if (problem := broadcast_object(problem, dist_context)) is not None:
        return problem
    contents = {WEIGHTS: stored_weights(engine), OPTIMIZER: stored_optimizer(engine)}
    mine: Facts = {}
    for file, tensors in contents.items():
        try:
            mine |= _write_part(engine, checkpoints, step, file, tensors, dist_context)
        except OSError as error:
            problem = problem or str(error)
    found = all_gather_object((problem, mine), dist_context)
    problem = next((theirs for theirs, _ in found if theirs is not None), None)
    if dist_context.is_first:
        try:
            if problem is not None:
                raise OSError(problem)
            _publish(checkpoints, step, state, contents, [facts for _, facts in found])
        except OSError as error:
            problem = str(error)
            checkpoints.abandon(step)
    return broadcast_object(problem, dist_context)


def _write_part(
    engine: Engine,
    checkpoints: Checkpoints,
    step: int,
    file: str,
    tensors: Mapping[str, StoredTensor],
    dist_context: DistributedContext,
) -> Facts:
    """Gather every tensor with the others, and write those that are this rank's."""
    rank, ranks = dist_context.rank, dist_context.world_size
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    owners = deal_out(shapes, ranks)
    stream = gathered(engine, tensors.values())
    own = (value for name, value in zip(tensors, stream, strict=True) if owners[name] == rank)
    part = part_name(file, rank, ranks)
    try:
        own_shapes = {name: shapes[name] for name, owner in owners.items() if owner == rank}
        return {part: write_tensors(checkpoints.partial(step) / part, own_shapes, own)} if own_shapes else {}
    finally:
        for _ in stream:  # what other ranks still gather, also where this one's disk is full
            pass


def _publish(
    checkpoints: Checkpoints,
    step: int,
    state: dict[str, Any],
    contents: Mapping[str, Mapping[str, StoredTensor]],
    found: list[Facts],
) -> None:
    folder = checkpoints.partial(step)
    facts = {name: fact for of_rank in found for name, fact in of_rank.items()}
    for name, fact in facts.items():
        if (folder / name).stat().st_size != fact["bytes"]:
            raise OSError(f"{folder / name}: another rank wrote {fact['bytes']:,} bytes, this host sees others")
    for file, tensors in contents.items():
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        owners = deal_out(shapes, len(found))
        facts[index_name(file)] = write_index(folder, file, shapes, owners, len(found))
    checkpoints.finish(step, state, facts)
