"""The 28 RNA types that RNAErnie knows, and where a type is written (recipes/rnaernie.md#types)."""

import re

# INSDC names without underscores, in the order of the RNAErnie vocabulary.
RNA_TYPES = (
    "RNaseMRPRNA", "RNasePRNA", "SRPRNA", "YRNA", "antisenseRNA", "autocatalyticallysplicedintron", "guideRNA",
    "hammerheadribozyme", "lncRNA", "miRNA", "miscRNA", "ncRNA", "other", "piRNA", "premiRNA", "precursorRNA", "rRNA",
    "ribozyme", "sRNA", "scRNA", "scaRNA", "siRNA", "snRNA", "snoRNA", "tRNA", "telomeraseRNA", "tmRNA", "vaultRNA",
)  # fmt: skip

# Species-specific headers hold a description in words. The first entry found decides: the longer name stands first.
PHRASES = (
    ("pre-microRNA", "premiRNA"),
    ("microRNA precursor", "premiRNA"),
    ("transfer-messenger RNA", "tmRNA"),
    ("ribosomal RNA", "rRNA"),
    ("transfer RNA", "tRNA"),
    ("microRNA", "miRNA"),
    ("long non-coding RNA", "lncRNA"),
    ("piwi-interacting RNA", "piRNA"),
    ("small Cajal body-specific RNA", "scaRNA"),
    ("small nucleolar RNA", "snoRNA"),
    ("small nuclear RNA", "snRNA"),
    ("small interfering RNA", "siRNA"),
    ("signal recognition particle RNA", "SRPRNA"),
    ("hammerhead ribozyme", "hammerheadribozyme"),
    ("RNase MRP", "RNaseMRPRNA"),
    ("RNase P", "RNasePRNA"),
    ("Y RNA", "YRNA"),
)
WORDS = {name: name for name in RNA_TYPES if name not in ("other", "ncRNA")} | {
    "antisense_RNA": "antisenseRNA", "guide_RNA": "guideRNA", "misc_RNA": "miscRNA", "pre_miRNA": "premiRNA",
    "precursor_RNA": "precursorRNA", "RNase_MRP_RNA": "RNaseMRPRNA", "RNase_P_RNA": "RNasePRNA", "SRP_RNA": "SRPRNA",
    "telomerase_RNA": "telomeraseRNA", "vault_RNA": "vaultRNA", "Y_RNA": "YRNA", "ncRNA": "ncRNA",
}  # fmt: skip
SPECIES_SPECIFIC = re.compile(rb"URS[0-9A-F]{10}_\d+$")
COUNTED = re.compile(r"(.+?) from [\d,]+ species")


def normalised_type(name: str) -> str:
    """`SRP_RNA` and `SRP RNA` to `SRPRNA`."""
    return re.sub(r"[\s_]", "", name)


def type_of_header(header: bytes) -> str | None:
    """The type that a FASTA header (without '>') tells.

    Active export, `URS0000000001 rRNA from 1 species`, and any other file: what stands after the id, up to
    `from N species` or else the second word. Species-specific export, `URS0000000001_9606 Homo sapiens …`: the type
    that the description names, if it names one; its second word is the genus.
    """
    identifier, _, rest = header.partition(b" ")
    description = rest.decode("utf-8", "replace").strip()
    if not description:
        return None
    if SPECIES_SPECIFIC.match(identifier):
        return _type_in_words(description)
    counted = COUNTED.match(description)
    return normalised_type(counted[1] if counted else description.split()[0])


def _type_in_words(description: str) -> str | None:
    for phrase, name in PHRASES:
        if phrase in description:
            return name
    return next((WORDS[word] for word in re.findall(r"\w+", description) if word in WORDS), None)
