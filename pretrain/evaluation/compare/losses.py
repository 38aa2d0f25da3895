"""Losses of two models on the same held-out records with the same masks, target by target."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pretrain.baselines.figures import mean_and_error
from pretrain.batches.collate import to_device
from pretrain.distributed.context import DistributedContext
from pretrain.errors import PolymeraseError
from pretrain.evaluation.held_out import load
from pretrain.evaluation.model import TrainedModel
from pretrain.training.evaluation_batches import evaluation_batches


def compare_losses(
    ours: TrainedModel, published: TrainedModel, corpus: str, settings: list[str], sequences: int
) -> dict[str, Any]:
    """Cross-entropy of the original token at the positions that the masking of ``ours`` selects.

    Returns:
        targets; loss and accuracy of both; difference (ours - published) with its standard error over sequences; share
        of targets for which both predict the same token.
    """
    ours.require_output_head()
    published.require_output_head()
    parts, _ = load(ours.source, corpus, [*settings, f"train.eval_sequences={sequences}"], ours.step)
    if not parts.sources("validation"):
        raise PolymeraseError(f"{corpus}: has no held-out records; make a validation split (python -m data_prep split)")
    objective = next((name for name, one in parts.objectives.items() if one.scope == "hidden_tokens"), None)
    if objective is None:
        raise PolymeraseError(f"{corpus}: the config of {ours.source} has no objective over masked tokens")
    place = DistributedContext(0, 0, 1, ours.device)
    builder = parts.batches("validation")
    wanted = min(sequences, sum(source.size for source in builder.sources))
    losses: list[list[np.ndarray]] = [[], []]
    guesses: list[list[np.ndarray]] = [[], []]
    truth, sequence = [], []
    for batch in evaluation_batches(parts, builder, wanted, place):
        if not batch.counts[objective]:
            continue
        packed, targets = to_device(batch, place.device)
        index, true = targets[objective]["index"], targets[objective]["target"]
        truth.append(true.cpu().numpy())
        offsets = batch.packed.cu_seqlens.numpy()
        sequence.append(batch.start + np.searchsorted(offsets, batch.targets[objective]["index"].numpy(), side="right"))
        for number, model in enumerate((ours, published)):
            with torch.no_grad():
                log_p = model.network.logits(model.network.encoder(packed).hidden[index]).float().log_softmax(-1)
            losses[number].append(-log_p.gather(1, true[:, None])[:, 0].double().cpu().numpy())
            guesses[number].append(log_p.argmax(dim=-1).cpu().numpy())
    if not truth:
        raise PolymeraseError(f"{corpus}: no masked token among its held-out records")
    a, b = (np.concatenate(part) for part in losses)
    guess_a, guess_b = (np.concatenate(part) for part in guesses)
    true_ids = np.concatenate(truth)
    difference, error = mean_and_error(a - b, np.ones(len(a)), np.concatenate(sequence))
    return {
        "corpus": corpus,
        "sequences": wanted,
        "targets": len(a),
        "loss": [float(a.mean()), float(b.mean())],
        "accuracy": [float((guess == true_ids).mean()) for guess in (guess_a, guess_b)],
        "difference": difference,
        "standard_error": error,
        "same_prediction": float((guess_a == guess_b).mean()),
    }
