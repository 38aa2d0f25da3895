"""Published models, one file each: sizes and switches, tokenizer, tensor names, Hugging Face form, known oddities."""

from pretrain.families.ernie_rna import ERNIE_RNA
from pretrain.families.family import Family, HuggingFaceForm
from pretrain.families.keys import TRANSFORMS, KeyLayout, KeyRule

FAMILIES: dict[str, Family] = {family.name: family for family in (ERNIE_RNA,)}

__all__ = ["FAMILIES", "TRANSFORMS", "Family", "HuggingFaceForm", "KeyLayout", "KeyRule"]
