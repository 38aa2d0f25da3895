"""The 28 RNA types that RNAErnie knows, and where a type is written (recipes/rnaernie.md#types)."""

import re
from functools import lru_cache

from data_prep.rnacentral.phrases import PHRASES

# INSDC names without underscores, in the order of the RNAErnie vocabulary.
RNA_TYPES = (
    "RNaseMRPRNA", "RNasePRNA", "SRPRNA", "YRNA", "antisenseRNA", "autocatalyticallysplicedintron", "guideRNA",
    "hammerheadribozyme", "lncRNA", "miRNA", "miscRNA", "ncRNA", "other", "piRNA", "premiRNA", "precursorRNA", "rRNA",
    "ribozyme", "sRNA", "scRNA", "scaRNA", "siRNA", "snRNA", "snoRNA", "tRNA", "telomeraseRNA", "tmRNA", "vaultRNA",
)  # fmt: skip
# Names that files of classes use beside them: further types of RNAcentral, classes of Rfam and of nRC.
OTHER_CLASSES = (
    "circRNA", "rasiRNA", "mRNA", "5SrRNA", "5.8SrRNA", "58SrRNA", "16SrRNA", "23SrRNA", "CD-box", "HACA-box",
    "CDbox", "HACAbox", "IRES", "IntrongpI", "IntrongpII", "leader", "riboswitch", "thermoregulator",
)  # fmt: skip

URS = re.compile(rb"URS[0-9A-F]{10}(?:[_/](\d+))?")
COUNTED = re.compile(r"(.+?) (?:found )?(?:from|in) [\d,]+ species")


def normalized_type(name: str) -> str:
    """`SRP_RNA` and `SRP RNA` to `SRPRNA`."""
    return re.sub(r"[\s_]", "", name)


KNOWN = {name.lower(): name for name in (*RNA_TYPES, *OTHER_CLASSES)}


def type_of_header(header: bytes) -> str | None:
    """The type that a FASTA header (without '>') tells, or None: never a word of the organism.

    Active export of RNAcentral, `URS0000000001 rRNA from 1 species`: what is counted. Files of classes, `id tRNA`: the
    second word, if it is the name of a class. Descriptions, as in RNAcentral's species-specific export,
    `URS0000000001_9606 Homo sapiens …`: the type that the words name, if they name one.
    """
    identifier, *rest = header.split(None, 1)[:2] or [b""]
    description = b"".join(rest).decode("utf-8", "replace").strip()
    if not description:
        return None
    if counted := COUNTED.match(description):
        named = counted[1].rpartition(" ")[2]
        return _known(counted[1]) or type_in_words(counted[1]) or (named if named.endswith("RNA") else None)
    if not URS.fullmatch(identifier) and (named_class := _known(description.split()[0])):
        return named_class
    return type_in_words(description)


@lru_cache(maxsize=1 << 16)  # millions of records have one description, such as that of a ribosomal RNA
def type_in_words(description: str) -> str | None:
    """The type that a description names; the first of PHRASES that fits decides."""
    found = next((kind for pattern, kind in PHRASES if pattern.search(description)), None)
    return found or next(filter(None, map(_known_word, re.findall(r"\w+", description))), None)


def _known(name: str) -> str | None:
    return KNOWN.get(normalized_type(name).lower())


def _known_word(word: str) -> str | None:
    """Types that are a word of their own in any text; `other` and `leader` are not."""
    return _known(word) if word.endswith(("RNA", "RNAs")) else None
