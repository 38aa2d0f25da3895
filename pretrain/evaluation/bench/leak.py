"""Test rows that a model, or a bar, may simply remember."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import concatenate, evenly
from pretrain.evaluation.bench.task import Task

_AS_DNA = bytes.maketrans(b"acgtuU", b"ACGTTT")

Nearest = Callable[[Ragged, Ragged], tuple[np.ndarray, str]]  # known, asked (H) -> closest identity (H,), a sentence
Pretrained = Callable[[str, Ragged], dict[str, Any]]  # source of a model, asked -> counts of relatives it has seen
IDENTITIES = (1.0, 0.9, 0.8)
MOST_ASKED = 10_000  # test sequences whose relatives are looked up


@dataclass(frozen=True)
class Leak:
    """Test rows with a copy or a relative among training or dev rows.

    Attributes:
        counts: for ``--json``.
        leaked: bool (test rows,), whether the sequence stands letter by letter in training or dev rows.
        related: whether it has a relative there at the lowest identity; None if not all were looked up.
    """

    counts: dict[str, Any]
    leaked: np.ndarray
    related: np.ndarray | None


def leak_of(task: Task, nearest: Nearest | None = None) -> Leak:
    """Test sequences that stand letter by letter (U and T alike) in training or dev rows, or have relatives there.

    Counts: {"test", "identical_in_train", "identical_in_dev", "share", "labels_differ", "relatives", "sentence"}.
    ``labels_differ`` of those in training: no training row with this sequence has this label. ``relatives``: identity
    in percent -> test sequences with one so alike in training or dev rows, which ``sentence`` says in words.
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
    counts: dict[str, Any] = {
        "test": len(test),
        "identical_in_train": int(in_train.sum()),
        "identical_in_dev": int(in_dev.sum()),
        "share": float(leaked.mean()),
        "labels_differ": differ,
    }
    if nearest is None:
        return Leak(counts, leaked, None)
    known = concatenate([task.sequences("train"), task.sequences("dev")])
    asked = evenly(task.sequences("test"), MOST_ASKED)
    best, counts["sentence"] = nearest(known, asked)
    counts["relatives"] = {f"{100 * identity:g}": int((best >= identity).sum()) for identity in IDENTITIES}
    if len(asked) < len(test):
        counts["sentence"] += f" Searched {len(asked):,} of {len(test):,} sequences."
        return Leak(counts, leaked, None)
    return Leak(counts, leaked, leaked | (best >= IDENTITIES[-1]))


def _texts(sequences: Ragged) -> list[bytes]:
    return [text.translate(_AS_DNA) for text in sequences.rows()]
