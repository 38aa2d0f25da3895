"""Fine-tuning by k-fold cross-validation: a published head on the encoder, which is kept as it is or trained along."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pretrain.data.ragged import take
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.evaluation.probing.heads import HEADS, Head, pooled
from pretrain.evaluation.probing.probe import folds_of, mean_and_deviation, score
from pretrain.evaluation.probing.table import LabelledSequences


@dataclass(frozen=True)
class Tuning:
    """head: of :data:`probing.heads.HEADS`. lr: peak, after a warm-up of a tenth, decaying linearly;
    a head on a frozen encoder takes ten times as much. frozen: only the head is trained."""

    head: str
    epochs: int
    lr: float
    batch: int
    frozen: bool = False


def tune(model: TrainedModel, table: LabelledSequences, tuning: Tuning, folds: int, seed: int) -> dict[str, Any]:
    """Mean and deviation over folds of the metrics of :func:`probing.probe.probe`, with the same folds.

    Each fold starts from the model's weights. Values are standardised within the training folds.
    """
    from tqdm import tqdm

    results = []
    steps = tuning.epochs * -(-len(table.labels) * (folds - 1) // (folds * tuning.batch)) * folds
    with tqdm(total=steps, desc="frozen" if tuning.frozen else "fine-tuning", disable=None) as bar:
        for number, (train, test) in enumerate(folds_of(table, folds, seed)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + number)
                results.append(_Fold(model, table, tuning).run(train, test, bar, np.random.default_rng(seed + number)))
    return mean_and_deviation(results)


class _Fold:
    """One training and its held-out figures."""

    def __init__(self, model: TrainedModel, table: LabelledSequences, tuning: Tuning):
        self._model, self._table, self._tuning = model, table, tuning
        outputs = len(table.classes) or 1
        self._encoder = copy.deepcopy(model.network.encoder).requires_grad_(not tuning.frozen)
        self._head: Head = HEADS[tuning.head](model.settings.hidden_size, outputs).to(model.device)

    def run(self, train: np.ndarray, test: np.ndarray, bar: Any, draw: np.random.Generator) -> dict[str, float]:
        """Train on rows, figures on others."""
        labels, tuning = self._table.labels, self._tuning
        mean, deviation = (0.0, 1.0) if self._table.is_classification else (labels[train].mean(), labels[train].std())
        targets = labels if self._table.is_classification else (labels - mean) / max(deviation, 1e-12)
        trained = [*self._head.parameters(), *(p for p in self._encoder.parameters() if p.requires_grad)]
        optimizer = torch.optim.AdamW(trained, lr=tuning.lr * (10 if tuning.frozen else 1), weight_decay=0.01)
        batches = [
            rows
            for _ in range(tuning.epochs)
            for rows in np.array_split(draw.permutation(train), -(-len(train) // tuning.batch))
        ]
        warmup = max(1, len(batches) // 10)
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warmup, (len(batches) - step) / max(1, len(batches) - warmup))
        )
        self._encoder.train(not tuning.frozen)
        self._head.train()
        for rows in batches:
            loss = self._loss(self._outputs(rows), torch.from_numpy(targets[rows]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            rate.step()
            bar.update()
        return score(self._table, labels[test], self._predict(test) * (deviation or 1.0) + mean)

    def _outputs(self, rows: np.ndarray) -> Tensor:
        """(S, outputs)."""
        tokens = self._model.tokenizer.encode(take(self._table.sequences, rows))
        lengths = tokens.lengths.tolist()
        states = self._encoder(pack(self._model, tokens.ids, lengths)).hidden
        letters = torch.from_numpy(tokens.maskable).to(states.device)
        return self._head(pooled(states.float(), lengths, letters, self._head.pool))

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self._table.is_classification:
            return F.cross_entropy(outputs, targets.to(outputs.device))
        return F.mse_loss(outputs[:, 0], targets.to(outputs.device, torch.float32))

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        self._encoder.eval()
        self._head.eval()
        with torch.no_grad():
            parts = [self._outputs(part) for part in np.array_split(rows, -(-len(rows) // self._tuning.batch))]
        found = torch.cat(parts)
        return (found.argmax(dim=1) if self._table.is_classification else found[:, 0].double()).cpu().numpy()
