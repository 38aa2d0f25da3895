"""The model side: packed batch, encoder, heads. No distributed code, no losses.

Whole pretraining models keep the parts under ``encoder``, ``mlm_head`` and ``heads.<objective>``; the key maps of
``pretrain.families`` name tensors accordingly. Names are found when they are asked for, because families and their
command line need the settings alone, and torch takes a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretrain.models.batch import PackedBatch, SoftRows
    from pretrain.models.heads import MfeHead, MlmHead, StructureHead, TypeHead
    from pretrain.models.transformer.encoder import Encoder, EncoderOutput
    from pretrain.models.transformer.recurrent.pairing import pair_class_table, pair_classes
    from pretrain.models.transformer.settings import RopeScaling, TransformerSettings

__all__ = [
    "Encoder",
    "EncoderOutput",
    "MfeHead",
    "MlmHead",
    "PackedBatch",
    "RopeScaling",
    "SoftRows",
    "StructureHead",
    "TransformerSettings",
    "TypeHead",
    "pair_class_table",
    "pair_classes",
]
_FILES = {
    "batch": ("PackedBatch", "SoftRows"),
    "transformer.encoder": ("Encoder", "EncoderOutput"),
    "heads": ("MfeHead", "MlmHead", "StructureHead", "TypeHead"),
    "transformer.recurrent.pairing": ("pair_class_table", "pair_classes"),
    "transformer.settings": ("TransformerSettings", "RopeScaling"),
}


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
