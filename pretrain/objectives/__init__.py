"""Losses that combine freely. To add one: a file with the class, its settings section, and a line in OBJECTIVES."""

from pretrain.objectives.base import LossSums, Objective, ObjectiveContext, Outputs
from pretrain.objectives.mfe import MfeObjective
from pretrain.objectives.mlm import MlmObjective
from pretrain.objectives.rna_type import RnaTypeObjective
from pretrain.objectives.soft_label import SoftLabelObjective
from pretrain.objectives.structure import StructureObjective
from pretrain.objectives.view import SampleView, Targets

OBJECTIVES = {
    "mlm": MlmObjective,
    "soft_label": SoftLabelObjective,
    "structure": StructureObjective,
    "mfe": MfeObjective,
    "rna_type": RnaTypeObjective,
}

__all__ = ["OBJECTIVES", "LossSums", "Objective", "ObjectiveContext", "Outputs", "SampleView", "Targets"]
