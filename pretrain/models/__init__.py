"""The model side: packed batch, encoder, heads. No distributed code, no losses.

Whole pretraining models keep the parts under ``encoder``, ``mlm_head`` and ``heads.<objective>``; the key maps of
``pretrain.families`` name tensors accordingly.
"""

from pretrain.models.batch import PackedBatch, SoftRows
from pretrain.models.encoder import Encoder, EncoderOutput
from pretrain.models.heads import MfeHead, MlmHead, StructureHead, TypeHead
from pretrain.models.pairing import pair_class_table, pair_classes
from pretrain.models.settings import EncoderSettings, RopeScaling

__all__ = [
    "Encoder",
    "EncoderOutput",
    "EncoderSettings",
    "MfeHead",
    "MlmHead",
    "PackedBatch",
    "RopeScaling",
    "SoftRows",
    "StructureHead",
    "TypeHead",
    "pair_class_table",
    "pair_classes",
]
