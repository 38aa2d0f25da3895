"""Fine-tuning: a published head on the encoder, which is frozen, trained along, or trained by LoRA."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from data_prep.corpus import Ragged
from pretrain.data.ragged import take
from pretrain.errors import RunError
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.evaluation.probing.heads import HEADS, Head, pooled
from pretrain.evaluation.probing.lora import add_lora
from pretrain.evaluation.probing.masters import Masters, Precision
from pretrain.evaluation.probing.metrics import LOWER_IS_BETTER, measure
from pretrain.evaluation.probing.probe import folds_of, mean_and_deviation, score
from pretrain.evaluation.probing.table import LabeledSequences
from pretrain.evaluation.probing.windows import windows_of
from pretrain.tokenizers.batch import TokenBatch

T = TypeVar("T", bound="Tuned")


@dataclass(frozen=True)
class Tuning:
    """How to fine-tune.

    Attributes:
        head: of :data:`probing.heads.HEADS`.
        lr: peak, after a warm-up of a tenth, decaying linearly; a head on a frozen encoder takes ten times as much.
        frozen: whether only the head is trained.
        lora: rank of the adapters that are trained instead of the encoder's weights, 0 for none.
        patience: epochs without gain on dev rows after which training ends.
        precision: what the encoder computes in; weights and optimizer stay float32.
    """

    head: str
    epochs: int
    lr: float
    batch: int
    frozen: bool = False
    lora: int = 0
    patience: int = 3
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Dev:
    """Rows that decide when to stop, and their metric."""

    rows: np.ndarray
    metric: str


def tune(model: TrainedModel, table: LabeledSequences, tuning: Tuning, folds: int, seed: int) -> dict[str, Any]:
    """Return mean and deviation over folds of the metrics of :func:`probing.probe.probe`, with the same folds.

    Each fold starts from the model's weights. Values are standardized within the training folds.
    """
    results = []
    for number, (train, test) in enumerate(folds_of(table, folds, seed)):
        tuned = tuned_on(model, table, tuning, train, seed + number)
        results.append(score(table.labels[test], tuned.scores(test)))
    return mean_and_deviation(results)


def tuned_on(
    model: TrainedModel, table: LabeledSequences, tuning: Tuning, train: np.ndarray, seed: int, dev: Dev | None = None
) -> Tuned:
    """Fine-tune a copy of the model on rows of a table; with ``dev`` keep the best epoch and stop early.

    Equal seeds give equal trainings on one machine.
    """
    return fitted(partial(Tuned, model, table, tuning), train, seed, dev)


def fitted(build: Callable[[], T], train: np.ndarray, seed: int, dev: Dev | None = None) -> T:
    """Draw a head and train it, under a seed of its own: the caller's random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuned = build()
        tuned.fit(train, np.random.default_rng(seed), dev)
    return tuned


class Tuned:
    """A head and its encoder. best_epoch: the one that was kept, from 1; 0 before :meth:`fit`."""

    def __init__(self, model: TrainedModel, table: LabeledSequences, tuning: Tuning):
        self._model, self._table, self._tuning = model, table, tuning
        self.encoder = copy.deepcopy(model.network.encoder).requires_grad_(not (tuning.frozen or tuning.lora))
        if tuning.lora:
            add_lora(self.encoder, tuning.lora)
            self.encoder.to(model.device)
        self._masters = Masters(self.encoder, tuning.precision)
        self.head: Head = HEADS[tuning.head](model.settings.hidden_size, len(table.classes) or 1).to(model.device)
        if self.head.pool == "cls":
            model.require_first_token(f"--head {tuning.head}")
        self.best_epoch = 0
        self._longest = model.tokenizer.max_nucleotides(model.max_tokens)
        self._mean, self._deviation = 0.0, 1.0  # of training values

    def fit(self, train: np.ndarray, draw: np.random.Generator, dev: Dev | None) -> None:
        """Train on rows of the table; afterwards the weights are those of the best epoch on ``dev``, or the last."""
        from tqdm import tqdm

        tuning = self._tuning
        if not self._table.is_classification:
            values = self._table.labels[train]
            self._mean, self._deviation = float(values.mean()), float(max(values.std(), 1e-12))
        trained = [p for p in (*self.head.parameters(), *self.encoder.parameters()) if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=tuning.lr * (10 if tuning.frozen else 1), weight_decay=0.01)
        per_epoch = -(-len(train) // tuning.batch)
        steps = per_epoch * tuning.epochs
        warmup = max(1, steps // 10)
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
        )
        best, kept = -np.inf, [p.detach().clone() for p in trained] if dev else []
        with tqdm(total=steps, desc="frozen" if tuning.frozen else "fine-tuning", disable=None) as bar:
            for epoch in range(1, tuning.epochs + 1):
                self._train_mode()
                for rows in np.array_split(draw.permutation(train), per_epoch):
                    loss = self._loss(self._outputs(rows), rows)
                    optimizer.zero_grad()
                    loss.backward()
                    self._masters.take_gradients()
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    self._masters.write_copy()
                    rate.step()
                    bar.update()
                if dev is None:
                    self.best_epoch = epoch
                elif (quality := self._quality(dev)) > best:
                    best, kept, self.best_epoch = quality, [p.detach().clone() for p in trained], epoch
                elif epoch - self.best_epoch >= tuning.patience:
                    break
        with torch.no_grad():
            for parameter, value in zip(trained, kept, strict=dev is not None):
                parameter.copy_(value)
        self._masters.write_copy()

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (S, C) of classes, or values (S,) in their own unit.

        Raises:
            RunError: the training has diverged.
        """
        self._masters.computing.eval()
        self.head.eval()
        with torch.no_grad():
            parts = [self._outputs(part) for part in np.array_split(rows, -(-len(rows) // self._tuning.batch))]
        found = torch.cat(parts).double()
        if not found.isfinite().all():
            raise RunError(f"{self._model.source}: fine-tuning diverged (outputs are not finite); lower --lr")
        if self._table.is_classification:
            return found.softmax(dim=1).cpu().numpy()
        return found[:, 0].cpu().numpy() * self._deviation + self._mean

    @property
    def unit(self) -> tuple[float, float]:
        """Factor and offset that turn the head's output into values; 1 and 0 for classes."""
        return self._deviation, self._mean

    def _quality(self, dev: Dev) -> float:
        value = float(measure(self._true(dev.rows), self.scores(dev.rows))[dev.metric][0])
        return -np.inf if np.isnan(value) else value * (-1 if dev.metric in LOWER_IS_BETTER else 1)

    def _train_mode(self) -> None:
        self._masters.computing.train(not self._tuning.frozen)
        self.head.train()

    def _true(self, rows: np.ndarray) -> np.ndarray:
        """What answers for these rows are compared with."""
        return self._table.labels[rows]

    def _states(self, sequences: Ragged) -> tuple[Tensor, TokenBatch, Ragged, np.ndarray]:
        """Float32 states (N, D) of all tokens; the tokens, the windows that were read, and the row of each window."""
        windows, row = windows_of(sequences, self._longest)
        tokens = self._model.tokenizer.encode(windows)
        hidden = self._masters.computing(pack(self._model, tokens.ids, tokens.lengths.tolist())).hidden
        return hidden.float(), tokens, windows, row

    def _outputs(self, rows: np.ndarray) -> Tensor:
        """(S, outputs). Of longer sequences the pooled states of their windows are averaged."""
        states, tokens, windows, row = self._states(take(self._table.sequences, rows))
        letters = torch.from_numpy(tokens.maskable).to(states.device)
        states = pooled(states, tokens.lengths.tolist(), letters, self.head.pool)
        if len(row) > len(rows):
            share = windows.lengths / np.bincount(row, windows.lengths)[row]
            weight = torch.from_numpy(share).to(states)[:, None]
            place = torch.from_numpy(row).to(states.device)
            states = states.new_zeros(len(rows), states.shape[1]).index_add(0, place, states * weight)
        return self.head(states)

    def _loss(self, outputs: Tensor, rows: np.ndarray) -> Tensor:
        true = self._true(rows)
        if self._table.is_classification:
            return F.cross_entropy(outputs, torch.from_numpy(true).to(outputs.device))
        targets = torch.from_numpy((true - self._mean) / self._deviation)
        return F.mse_loss(outputs[:, 0], targets.to(outputs.device, torch.float32))
