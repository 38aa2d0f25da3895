"""The interface of every objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pretrain.objectives.view import SampleView, Targets

if TYPE_CHECKING:
    from pretrain.config import Config

IGNORE = -100  # class target that contributes nothing

# What one target is: a token that was hidden, the token that follows, a place in a sequence, or a sequence. It decides
# which statistical readers a loss is compared with (pretrain/baselines).
Scope = Literal["hidden_tokens", "next_tokens", "positions", "sequences"]
TOKEN_SCOPES: tuple[Scope, ...] = ("hidden_tokens", "next_tokens")


@dataclass(frozen=True)
class Needs:
    """Requirements of an objective, without which it has no targets.

    Attributes:
        column: of the corpus, that the targets come from.
        kind: of the corpus (``allele_frequencies``).
        masking: True: tokens must be hidden; False: none may be; None: either.
        causal: True: each token may see only those before it; False: all others; None: either.
        advice: how to get the column or the kind; ``{corpus}`` stands for the folders.
    """

    column: str | None = None
    kind: str | None = None
    masking: bool | None = None
    causal: bool | None = None
    advice: str = ""

    def found_in(self, columns: set[str], kinds: set[str]) -> bool:
        """Tell whether corpora with these columns and of these kinds hold targets."""
        return (self.column is None or self.column in columns) and (self.kind is None or self.kind in kinds)


@dataclass(frozen=True)
class ObjectiveContext:
    """Facts of the run that objectives need."""

    hidden_size: int
    strategies: tuple[str, ...] = ("base",)  # masking strategies, in the order of the mixture
    base_ids: tuple[int, int, int, int] = (0, 0, 0, 0)  # token ids of A, C, G, T/U
    mask_id: int = -1  # the token that stands where one is hidden
    vocabulary: tuple[str, ...] = ()  # token of each id
    train_splits: tuple[Mapping[str, Any], ...] = ()  # what the manifests say of the training split of each corpus


@dataclass(frozen=True)
class Outputs:
    """Output of the encoder, as objectives read it."""

    hidden: Tensor  # (N, D)
    token_logits: Callable[[Tensor], Tensor]  # flat positions (M,) -> logits (M, V) of the model's own output head

    def at(self, index: Tensor) -> Tensor:
        """Hidden states (M, D) at flat positions (M,); the gradient of this form of indexing needs no sorting."""
        return self.hidden.index_select(0, index)


@dataclass(frozen=True)
class LossSums:
    """A loss summed over its targets, and sums of metrics, all on the device.

    Attributes:
        loss: scalar, which is trained.
        metrics: each float32 (G,) by group of targets, or (1,).
        losses: float32 (M,), the loss of each target, detached; None if only the sum exists.
        hits: bool (M,), whether the likeliest answer is right; None if answers are not classes.
    """

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    losses: Tensor | None = None
    hits: Tensor | None = None


class Objective:
    """A loss with its head, its targets and its metrics; it declares its properties, and all other code reads them.

    Registered in ``pretrain/objectives/__init__.py``; its settings are a section of ``objectives:``.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    scope: Scope
    baseline: ClassVar[str]  # what the best constant answer is called
    unit: ClassVar[str] = "nats per target"
    is_likelihood: ClassVar[bool] = True  # exp(loss) is a perplexity
    head_reads: ClassVar[str] = ""  # of objectives with a head: which tokens it reads and what it gives
    uses_output_head: bool = False  # reads ``Outputs.token_logits``

    weight: float
    metrics: dict[str, int]  # what it sums besides its loss, and how many sums (one per group, or 1)
    groups: tuple[tuple[str, ...], ...] = ((),)  # labels of each group of targets

    def __init__(self, settings: Any, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {}

    @classmethod
    def needs_of(cls, settings: Any) -> Needs:
        """Return the requirements under these settings; the corpus requirements are those of ``needs``."""
        return cls.needs

    @classmethod
    def misfit(cls, settings: Any, config: Config) -> str | None:
        """Say in one line what is wrong with the settings in this run; None if nothing is."""
        return None

    @classmethod
    def card_notes(cls, settings: Any, facts: Mapping[str, Any]) -> list[str]:
        """Return sentences for the card of an exported model. ``facts``: of the checkpoint."""
        return []

    def facts(self) -> dict[str, Any]:
        """Return what users of the head must know; kept in the checkpoint."""
        return {}

    def head(self, context: ObjectiveContext) -> nn.Module | None:
        """Build the objective's own parameters; None if it has none."""
        return None

    def claims(self, view: SampleView) -> np.ndarray | None:
        """Mark the selected positions, bool (M,), that are targets of this objective only; None: none."""
        return None

    def targets(self, view: SampleView) -> Targets:
        """Return the labels of a micro-batch, on the host."""
        raise NotImplementedError

    def loss(self, outputs: Outputs, head: nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Return the sum of the loss over the targets (never a mean)."""
        raise NotImplementedError


def targets_of_all(objectives: Mapping[str, Objective], view: SampleView) -> dict[str, Targets]:
    """Return the targets of each objective; a position that one claims is a target of no other."""
    claimed: dict[str, np.ndarray] = {}
    for name, objective in objectives.items():
        if (claim := objective.claims(view)) is not None:
            claimed[name] = claim
    found = {}
    for name, objective in objectives.items():
        others = [claim for owner, claim in claimed.items() if owner != name]
        found[name] = objective.targets(view.without(np.logical_or.reduce(others)) if others else view)
    return found


def class_targets(
    positions: np.ndarray,
    classes: np.ndarray,
    group: np.ndarray | None = None,
    groups: int = 1,
    weight: np.ndarray | None = None,
) -> Targets:
    """Build targets at flat positions int64 (M,) with one class each.

    Args:
        positions: flat token positions.
        classes: the right answers (M,).
        group: group of each target, int64 (M,); None: one group.
        groups: G, their number.
        weight: float32 (M,), weight of each; None: one.
    """
    group = np.zeros(len(positions), np.int64) if group is None else group
    by_group = np.bincount(group, weight, minlength=groups).astype(np.float64)
    if not len(positions):
        positions, classes, group = np.zeros(1, np.int64), np.full(1, IGNORE), np.zeros(1, np.int64)
        weight = None if weight is None else np.zeros(1, np.float32)
    arrays = {
        "index": positions.astype(np.int64),
        "target": classes.astype(np.int64),
        "group": group.astype(np.int64),
    }
    if weight is not None:
        arrays["weight"] = weight.astype(np.float32)
    return Targets(arrays, float(by_group.sum()), by_group)


def class_loss(logits: Tensor, targets: dict[str, Tensor], groups: int = 1) -> LossSums:
    """Compute cross-entropy in float32, summed, each target by its weight if there are weights. Metrics by group."""
    target, weight = targets["target"], targets.get("weight")
    log_probability = F.log_softmax(logits.float(), dim=-1)
    losses = F.nll_loss(log_probability.detach(), target, ignore_index=IGNORE, reduction="none")
    if weight is None:
        loss = F.nll_loss(log_probability, target, ignore_index=IGNORE, reduction="sum")
    else:
        loss = (F.nll_loss(log_probability, target, ignore_index=IGNORE, reduction="none") * weight).sum()
    hits = logits.detach().argmax(dim=-1) == target
    return LossSums(loss, metrics_by_group(losses, hits, targets, groups), losses, hits)


def metrics_by_group(losses: Tensor, hits: Tensor, targets: dict[str, Tensor], groups: int) -> dict[str, Tensor]:
    """Return ``accuracy`` (G,) and, if there are several groups, ``loss`` (G,)."""
    found = {"accuracy": sum_by_group(hits.float(), targets, groups)}
    return found | {"loss": sum_by_group(losses, targets, groups)} if groups > 1 else found


def sum_by_group(values: Tensor, targets: dict[str, Tensor], groups: int) -> Tensor:
    """Sum weighted values (M,) per group, float32 (G,)."""
    values = values if "weight" not in targets else values * targets["weight"]
    return torch.zeros(groups, device=values.device).index_add_(0, targets["group"], values)
