"""Losses on a tree of tokens: hierarchical cross-entropy, or labels falling with distance (recipes/helm.md#losses)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import Hierarchical
from pretrain.objectives.base import (
    IGNORE,
    LossSums,
    Needs,
    Objective,
    ObjectiveContext,
    Outputs,
    Scope,
    class_targets,
    metrics_by_group,
)
from pretrain.objectives.causal_lm import next_token_positions
from pretrain.objectives.hidden_tokens import group_labels, groups_of
from pretrain.objectives.token_tree import TokenTree, codon_parents, read_parents
from pretrain.objectives.view import SampleView, Targets

if TYPE_CHECKING:
    from pretrain.config import Config

CODONS = "codons"


class HierarchicalObjective(Objective):
    """A loss on selected tokens, or on the next token.

    ``cross_entropy``: minus the sum, over the edges from a token's leaf to the root, of weight times the log of
    P(child) / P(parent); computed from log-probabilities, so that no term underflows. ``soft_labels``: divergence from
    a distribution that falls with the distance on the tree. Metrics ``accuracy`` and, of selected tokens, ``loss``, by
    group: hidden and shown targets.
    """

    name = "hierarchical"
    needs = Needs()
    scope: Scope = "hidden_tokens"
    baseline = "letter frequencies"
    is_likelihood = False
    uses_output_head = True

    def __init__(self, settings: Hierarchical, context: ObjectiveContext):
        self.weight, self._settings, self._context = settings.weight, settings, context
        if settings.predicts == "next":
            self.scope = "next_tokens"
        else:
            self.groups = group_labels(context)
        self.metrics = {"accuracy": len(self.groups)} | ({"loss": len(self.groups)} if len(self.groups) > 1 else {})
        vocabulary = context.vocabulary
        if settings.tree == CODONS:
            parents, where = codon_parents(vocabulary), "objectives.hierarchical.tree=codons"
        else:
            parents, where = read_parents(Path(settings.tree)), settings.tree
        if not vocabulary:  # only parameters are counted
            return
        tree = TokenTree.build(parents, vocabulary, where)
        self._tables = {
            "path": torch.from_numpy(tree.path),
            "weight": torch.from_numpy(tree.edge_weights(settings.alpha)).float(),
            "outside": torch.from_numpy(np.where(tree.under, 0.0, -np.inf)).float(),
            "labels": torch.from_numpy(_soft_labels(tree, settings.beta)).float(),
        }

    @classmethod
    def needs_of(cls, settings: Any) -> Needs:
        """Require a causal backbone for the next token."""
        return Needs(causal=settings.predicts == "next")

    @classmethod
    def misfit(cls, settings: Any, config: Config) -> str | None:
        """Require masking for selected tokens, and none for the next token."""
        hides = config.masking.strategy != "none"
        if settings.predicts == "masked" and not hides:
            return "objectives.hierarchical.predicts=masked needs a masking strategy; set masking.strategy, or next"
        if settings.predicts == "next" and hides:
            return (
                "objectives.hierarchical.predicts=next reads every token: expected masking.strategy=none, got "
                f"{config.masking.strategy}; set masking='{{strategy: none}}'"
            )
        if settings.loss == "cross_entropy" and settings.beta != Hierarchical.model_fields["beta"].default:
            return "objectives.hierarchical.beta has no effect with loss=cross_entropy"
        if settings.loss == "soft_labels" and settings.alpha != Hierarchical.model_fields["alpha"].default:
            return "objectives.hierarchical.alpha has no effect with loss=soft_labels"
        return None

    def targets(self, view: SampleView) -> Targets:
        """The tokens that stood at the selected positions, or that follow."""
        if self.scope == "next_tokens":
            positions = next_token_positions(view)
            return class_targets(positions, view.tokens.ids[positions + 1], weight=view.weight_at(positions + 1))
        positions = view.free_positions
        group = groups_of(view, positions, self._context)
        return class_targets(positions, view.tokens.ids[positions], group, len(self.groups), view.weight_at(positions))

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """The loss over the tree of the model's own output head."""
        logits = outputs.token_logits(targets["index"]).float()
        if self._tables["path"].device != logits.device:  # copied once: the host waits for that
            self._tables = {name: table.to(logits.device) for name, table in self._tables.items()}
        log_probability = logits.log_softmax(dim=-1)
        real = targets["target"] != IGNORE
        target = targets["target"].where(real, torch.zeros_like(targets["target"]))
        of_tree = self._cross_entropy if self._settings.loss == "cross_entropy" else self._divergence
        losses = of_tree(log_probability, target) * real
        weighted = losses * targets["weight"] if "weight" in targets else losses
        hits = (logits.detach().argmax(dim=-1) == target) & real
        metrics = metrics_by_group(losses.detach(), hits, targets, len(self.groups))
        return LossSums(weighted.sum(), metrics, losses.detach(), hits)

    def _cross_entropy(self, log_probability: Tensor, target: Tensor) -> Tensor:
        """(M, V) log-probabilities, (M,) tokens -> (M,)."""
        path, weight = self._tables["path"][target], self._tables["weight"][target]  # (M, D)
        levels = [
            (log_probability + self._tables["outside"][path[:, level]]).logsumexp(dim=-1)
            for level in range(path.shape[1])
        ]
        of_node = torch.stack([*levels, torch.zeros_like(levels[0])], dim=-1)  # (M, D+1), the root last
        return -(weight * (of_node[:, :-1] - of_node[:, 1:])).sum(dim=-1)

    def _divergence(self, log_probability: Tensor, target: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the label rows from the prediction, (M,)."""
        labels = self._tables["labels"][target]
        return (torch.special.xlogy(labels, labels) - labels * log_probability).sum(dim=-1)


def _soft_labels(tree: TokenTree, beta: float) -> np.ndarray:
    """Rows of probabilities exp(-beta d / deepest leaf), normalized; float64 (V, V)."""
    table = np.exp(-beta * tree.distances() / tree.depth.max())
    return table / table.sum(axis=1, keepdims=True)
