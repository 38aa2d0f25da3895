"""What a loss has to beat: the best constant answer, fitted on training targets and scored on the held-out ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pretrain.batches.collate import MicroBatch

Targets = dict[str, np.ndarray]  # objective -> classes int64 (M,), energies float32 (M,), or label rows float64 (M, 4)

BASELINE = {  # what the trivial predictor of each objective is called
    "mlm": "unigram entropy",
    "soft_label": "mean label entropy",
    "structure": "class frequencies",
    "mfe": "mean energy",
    "rna_type": "type frequencies",
}


def trivial_losses(
    train: Iterable[MicroBatch], held_out: Iterable[MicroBatch], base_ids: tuple[int, ...]
) -> dict[str, float]:
    """Objective -> loss of its trivial predictor, in the objective's own unit.

    Classes (mlm, structure, rna_type) and soft labels: the frequencies among the training targets, so for mlm this is
    the unigram cross-entropy. Energies: the mean of the training targets.

    Args:
        base_ids: token ids of A, C, G, T, the columns of soft labels.
    """
    fitted, scored = _collect(train, base_ids), _collect(held_out, base_ids)
    return {name: _score(fitted[name], scored[name]) for name in scored if name in fitted}


def _collect(batches: Iterable[MicroBatch], base_ids: tuple[int, ...]) -> Targets:
    found: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, count in batch.counts.items():
            if count:
                arrays = {key: value.numpy() for key, value in batch.targets[name].items()}
                part = _label_rows(arrays, base_ids) if "soft_row" in arrays else arrays["target"]
                found.setdefault(name, []).append(part)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _label_rows(arrays: Targets, base_ids: tuple[int, ...]) -> np.ndarray:
    rows = (arrays["target"][:, None] == np.array(base_ids)).astype(np.float64)
    rows[arrays["soft_row"]] = arrays["soft_freq"]
    return rows


def _score(train: np.ndarray, held_out: np.ndarray) -> float:
    if held_out.ndim == 2:
        return float(-(held_out @ np.log(np.maximum(train.mean(axis=0), 1e-12))).mean())
    if np.issubdtype(held_out.dtype, np.floating):
        return float(np.square(held_out - train.mean()).mean())
    counts = np.bincount(train, minlength=int(max(train.max(), held_out.max())) + 1)
    share = (counts + 0.5) / (len(train) + 0.5 * np.count_nonzero(counts))  # a class never seen keeps a finite cost
    return float(-np.log(share[held_out]).mean())
