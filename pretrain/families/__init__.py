"""Published models, one file each: sizes and switches, tokenizer, tensor names, Hugging Face form, known oddities."""

from pretrain.errors import PolymeraseError, unknown_name
from pretrain.families.dnabert import DNABERT
from pretrain.families.dnabert2 import DNABERT2
from pretrain.families.ernie_rna import ERNIE_RNA
from pretrain.families.evo1 import EVO1
from pretrain.families.family import Family, HuggingFaceForm
from pretrain.families.gpn import GPN
from pretrain.families.helm import HELM
from pretrain.families.hyenadna import HYENADNA
from pretrain.families.keys import TRANSFORMS, KeyLayout, KeyRule
from pretrain.families.methylbert import METHYLBERT
from pretrain.families.mutbert import MUTBERT
from pretrain.families.nt import NT
from pretrain.families.rinalmo import RINALMO
from pretrain.families.rnaernie import RNAERNIE
from pretrain.families.rnaernie2 import RNAERNIE2
from pretrain.families.utr_lm import UTR_LM
from pretrain.families.utrbert import UTRBERT
from pretrain.plugins import plugins

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        ERNIE_RNA,
        RNAERNIE,
        RNAERNIE2,
        UTR_LM,
        *UTRBERT,
        *DNABERT,
        MUTBERT,
        *RINALMO,
        *NT,
        DNABERT2,
        *METHYLBERT,
        *HELM,
        *GPN,
        *HYENADNA,
        *EVO1,
    )
}
for _found in plugins("families").values():
    for _family in (_found,) if isinstance(_found, Family) else _found:
        if _family.name in FAMILIES:
            raise PolymeraseError(f"a plug-in brings the family {_family.name!r}, which there is already; rename it")
        FAMILIES[_family.name] = _family


def find_family(name: str) -> Family:
    """Look a family up by name.

    Raises:
        PolymeraseError: there is none of that name; the message gives the nearest one.
    """
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name]


__all__ = ["FAMILIES", "TRANSFORMS", "Family", "HuggingFaceForm", "KeyLayout", "KeyRule", "find_family"]
