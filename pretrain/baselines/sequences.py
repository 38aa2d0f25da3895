"""Baselines of whole sequences: a number by length and composition, a class by counts of k-mers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pretrain.baselines.fitting import read_targets
from pretrain.baselines.letters import OTHER, LetterTable, layout
from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective, ObjectiveContext
from pretrain.tokenizers import Tokenizer

_SEQUENCES = 16_384  # training sequences that are read
_K = 4  # longest k-mers whose counts tell classes apart


class SequenceBaselines:
    """Regressions on features of a sequence as the model sees it.

    Numbers: ridge regression on the length, then on length and counts of letters and pairs. Classes: logistic
    regression on k-mer counts up to k = 4.

    Args: see :class:`pretrain.baselines.tokens.TokenBaselines`.
    """

    def __init__(
        self,
        name: str,
        objectives: dict[str, Objective],
        tokenizer: Tokenizer,
        context: ObjectiveContext,
        train: Iterable[MicroBatch],
        sequences: int,
    ):
        self._name, self._table = name, LetterTable(tokenizer)
        found, targets = read_targets(name, train, self._features, _SEQUENCES)
        self._target = np.concatenate(targets) if targets else np.zeros(0, np.float32)
        self._is_number = np.issubdtype(self._target.dtype, np.floating)
        features = np.concatenate(found) if found else np.zeros((0, self._width()))
        self._models = {key: self._fit(features[:, columns]) for key, columns in self._readers().items()}

    @staticmethod
    def _width() -> int:
        return 2 + 2 * sum(4**k for k in range(1, _K + 1))

    def _readers(self) -> dict[str, list[int]]:
        """Name -> columns of the features."""
        total = sum(4**k for k in range(1, _K + 1))
        counts, shares = range(2, 2 + total), range(2 + total, 2 + 2 * total)
        if self._is_number:
            return {"length": [0, 1], "length_and_composition": [0, 1, *counts[:20], *shares[:20]]}
        return {"length": [0, 1], "kmer_counts": [0, 1, *shares]}

    def _features(self, batch: MicroBatch) -> np.ndarray:
        """Of each target's sequence, float64 (M, F): length, its logarithm, counts of k-mers, their shares."""
        offsets = batch.packed.cu_seqlens.numpy().astype(np.int64)
        symbols, place, letters = layout(batch.packed.input_ids.numpy(), offsets, self._table)
        index = batch.targets[self._name]["index"].numpy()
        sample = np.searchsorted(offsets, index, side="right") - 1
        owner = np.zeros(len(symbols), np.int64)
        owner[place[offsets[:-1]]] = 1  # each sequence begins where its first token does
        owner = np.cumsum(owner) - 1
        columns = [letters[:, None].astype(np.float64), np.log1p(letters)[:, None]]
        counts = []
        for k in range(1, _K + 1):
            word, known = np.zeros(len(symbols) - k + 1, np.int64), np.ones(len(symbols) - k + 1, bool)
            for j in range(k):
                part = symbols[j : len(symbols) - k + 1 + j]
                word, known = word * 4 + np.minimum(part, 3), known & (part < OTHER)
            where = np.flatnonzero(known)
            cells = np.bincount(owner[where] * 4**k + word[where], minlength=len(letters) * 4**k)
            counts.append(cells.reshape(len(letters), 4**k).astype(np.float64))
        shares = [part / np.maximum(part.sum(axis=1, keepdims=True), 1) for part in counts]
        return np.concatenate([*columns, *counts, *shares], axis=1)[sample]

    def _fit(self, features: np.ndarray) -> object:
        if len(self._target) < 2 or (not self._is_number and len(np.unique(self._target)) < 2):
            return None
        from sklearn.linear_model import LogisticRegression, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        last = RidgeCV(alphas=np.logspace(-3, 3, 13)) if self._is_number else LogisticRegression(C=0.1, max_iter=200)
        return make_pipeline(StandardScaler(), last).fit(features, self._target)

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Return name -> loss (M,) of each target of a held-out micro-batch. ``constant`` first."""
        target, features = batch.targets[self._name]["target"].numpy(), self._features(batch)
        result = {"constant": self._constant(target)}
        for key, columns in self._readers().items():
            model = self._models[key]
            if model is None:
                continue
            if self._is_number:
                result[key] = np.square(model.predict(features[:, columns]) - target)  # type: ignore[attr-defined]
            else:
                result[key] = self._of_classes(model, features[:, columns], target)
        return result

    def _constant(self, target: np.ndarray) -> np.ndarray:
        if self._is_number:
            return np.square(target.astype(np.float64) - self._target.mean(dtype=np.float64))
        trained: np.ndarray = self._target.astype(np.int64)
        size = int(np.concatenate((trained, target, [0])).max()) + 1
        counts = np.bincount(trained, minlength=size)
        share = (counts + 0.5) / (len(trained) + 0.5 * max(int(np.count_nonzero(counts)), 1))
        return -np.log(share[target])

    def _of_classes(self, model: object, features: np.ndarray, target: np.ndarray) -> np.ndarray:
        classes = model.classes_  # type: ignore[attr-defined]
        column = np.minimum(np.searchsorted(classes, target), len(classes) - 1)
        chance = np.take_along_axis(model.predict_proba(features), column[:, None], 1)[:, 0]  # type: ignore[attr-defined]
        return -np.log(np.maximum(np.where(classes[column] == target, chance, 0.0), 1e-6))
