"""Fine-tuning with a class for every letter: a linear head on the state of each token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from data_prep.corpus.ragged import offsets_of
from pretrain.data.ragged import take
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.probing.table import LabeledSequences
from pretrain.evaluation.probing.tuning import Tuned, Tuning

LETTERS_HEAD = "letters"  # of `probing.heads.HEADS`: what AutoModelForTokenClassification computes


@dataclass(frozen=True)
class LetterLabels:
    """Classes of letters, -1 where there is none: values int64 (letters,), offsets int64 (S+1,)."""

    values: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Letters of each sequence, int64 (S,)."""
        return np.diff(self.offsets)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Classes of these sequences one after another, int64 (N,)."""
        length = self.lengths[rows]
        offsets = offsets_of(length)
        return self.values[np.repeat(self.offsets[rows] - offsets[:-1], length) + np.arange(offsets[-1])]


class TunedLetters(Tuned):
    """A head for letters and its encoder."""

    def __init__(self, model: TrainedModel, table: LabeledSequences, tuning: Tuning, letters: LetterLabels):
        super().__init__(model, table, tuning)
        self._letters = letters

    def _true(self, rows: np.ndarray) -> np.ndarray:
        classes = self._letters.of(rows)
        return classes[classes >= 0]

    def _outputs(self, rows: np.ndarray) -> Tensor:
        """(M, C): of the labeled letters of these sequences, whose windows lie side by side."""
        states, tokens, _, _ = self._states(take(self._table.sequences, rows))
        letters = states[torch.from_numpy(tokens.maskable).to(states.device)]
        return self.head(letters[torch.from_numpy(self._letters.of(rows) >= 0).to(states.device)])

    def _loss(self, outputs: Tensor, rows: np.ndarray) -> Tensor:
        return F.cross_entropy(outputs, torch.from_numpy(self._true(rows)).to(outputs.device))
