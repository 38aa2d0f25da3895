"""The models: packed batch, architectures, heads. There is no distributed code and no loss here.

Every model keeps its parts under ``encoder``, ``mlm_head`` and ``heads.<objective>``, whatever its architecture; the
key maps of ``pretrain.families`` name tensors accordingly. The names below are imported when they are first used:
families and their command line need only the settings, and importing torch takes a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretrain.models.architecture import ARCHITECTURES, architecture_of, find_architecture, side_inputs_of
    from pretrain.models.backbone import Backbone, BackboneOutput
    from pretrain.models.batch import PackedBatch, SoftRows
    from pretrain.models.entry import Architecture, SideInput
    from pretrain.models.heads import MfeHead, MlmHead, StructureHead, TypeHead
    from pretrain.models.language_model import LanguageModel, has_output_head, head_names
    from pretrain.models.model_settings import ModelSettings

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Backbone",
    "BackboneOutput",
    "LanguageModel",
    "MfeHead",
    "MlmHead",
    "ModelSettings",
    "PackedBatch",
    "SideInput",
    "SoftRows",
    "StructureHead",
    "TypeHead",
    "architecture_of",
    "find_architecture",
    "has_output_head",
    "head_names",
    "side_inputs_of",
]
_FILES = {
    "architecture": ("ARCHITECTURES", "architecture_of", "find_architecture", "side_inputs_of"),
    "backbone": ("Backbone", "BackboneOutput"),
    "batch": ("PackedBatch", "SoftRows"),
    "entry": ("Architecture", "SideInput"),
    "heads": ("MfeHead", "MlmHead", "StructureHead", "TypeHead"),
    "language_model": ("LanguageModel", "has_output_head", "head_names"),
    "model_settings": ("ModelSettings",),
}


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
