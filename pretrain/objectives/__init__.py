"""Losses that combine freely. To add one: a file with the class, its settings section, and a line in OBJECTIVES."""

from pretrain.objectives.base import LossSums, Needs, Objective, ObjectiveContext, Outputs, targets_of_all
from pretrain.objectives.causal_lm import CausalLmObjective
from pretrain.objectives.hierarchical import HierarchicalObjective
from pretrain.objectives.mfe import MfeObjective
from pretrain.objectives.mlm import MlmObjective
from pretrain.objectives.rna_type import RnaTypeObjective
from pretrain.objectives.soft_label import SoftLabelObjective
from pretrain.objectives.structure import StructureObjective
from pretrain.objectives.view import SampleView, Targets
from pretrain.plugins import plugins

OBJECTIVES: dict[str, type[Objective]] = {
    "mlm": MlmObjective,
    "causal_lm": CausalLmObjective,
    "hierarchical": HierarchicalObjective,
    "soft_label": SoftLabelObjective,
    "structure": StructureObjective,
    "mfe": MfeObjective,
    "rna_type": RnaTypeObjective,
}
OBJECTIVES |= plugins("objectives", OBJECTIVES)


def default_objective(causal: bool) -> str:
    """Return the first objective that needs nothing of a corpus but letters, for a causal backbone or another."""
    return next(
        name
        for name, objective in OBJECTIVES.items()
        if objective.needs.found_in(set(), set()) and objective.needs.causal in (causal, None)
    )


__all__ = [
    "OBJECTIVES",
    "LossSums",
    "Needs",
    "Objective",
    "ObjectiveContext",
    "Outputs",
    "SampleView",
    "Targets",
    "default_objective",
    "targets_of_all",
]
