"""Test rows that a model, or a bar, may simply remember."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from pretrain.evaluation.bench.task import Task

_AS_DNA = bytes.maketrans(b"acgtuU", b"ACGTTT")


def leak_of(task: Task) -> tuple[dict[str, Any], np.ndarray]:
    """Counts of test sequences that stand letter by letter (U and T alike) in training or dev rows, and which.

    Returns:
        {"test", "identical_in_train", "identical_in_dev", "share", "labels_differ"} and bool (test rows,): leaked.
        ``labels_differ`` of those in training: no training row with this sequence has this label.
    """
    test = _texts(task.sequences("test"))
    labels: dict[bytes, set[Any]] = {}
    for text, label in zip(
        _texts(task.sequences("train")), task.table.labels[task.rows["train"]].tolist(), strict=True
    ):
        labels.setdefault(text, set()).add(label)
    dev = set(_texts(task.sequences("dev")))
    in_train = np.array([text in labels for text in test])
    in_dev = np.array([text in dev for text in test])
    differ = sum(label not in labels.get(text, {label}) for text, label in zip(test, task.true.tolist(), strict=True))
    leaked = in_train | in_dev
    counts = {
        "test": len(test),
        "identical_in_train": int(in_train.sum()),
        "identical_in_dev": int(in_dev.sum()),
        "share": float(leaked.mean()),
        "labels_differ": differ,
    }
    return counts, leaked


def _texts(sequences: Ragged) -> list[bytes]:
    return [text.translate(_AS_DNA) for text in sequences.rows()]
