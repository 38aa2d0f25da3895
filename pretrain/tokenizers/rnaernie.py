"""RNAErnie (39 ids, with the RNA types of RNAcentral) and RNAErnie2 (11 ids)."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

# The INSDC type names without underscores, in the order of the published vocabulary.
# fmt: off
RNA_TYPES = (
    "RNaseMRPRNA", "RNasePRNA", "SRPRNA", "YRNA", "antisenseRNA", "autocatalyticallysplicedintron", "guideRNA",
    "hammerheadribozyme", "lncRNA", "miRNA", "miscRNA", "ncRNA", "other", "piRNA", "premiRNA", "precursorRNA", "rRNA",
    "ribozyme", "sRNA", "scRNA", "scaRNA", "siRNA", "snRNA", "snoRNA", "tRNA", "telomeraseRNA", "tmRNA", "vaultRNA",
)
# fmt: on
RNAERNIE_VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEL]", "[IND]", *RNA_TYPES, *"ATCG")
RNAERNIE2_VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[EOS]", "[SEP]", "[MASK]", *"AUCGN")


def rnaernie(*, label_slot: bool = False) -> LetterTokenizer:
    """Build RNAErnie's tokenizer: DNA letters; N and every other letter is ``[UNK]`` (recipes/rnaernie.md#tokens).

    Args:
        label_slot: lay corpora out as ``[CLS] letters [IND] TYPE [SEP]``, the PROMPT form of pretraining; otherwise as
            ``[CLS] letters [SEP]``, the form of inference. Texts always take the latter.
    """
    return LetterTokenizer(
        "rnaernie",
        RNAERNIE_VOCAB,
        "ATCG",
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        ("[DEL]", "[IND]"),
        rna_types=RNA_TYPES,
        indicator="[IND]" if label_slot else None,
    )


def rnaernie2() -> LetterTokenizer:
    """Build RNAErnie2's tokenizer: RNA letters, N with an id of its own (recipes/rnaernie.md#tokens)."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[EOS]", "[MASK]")
    return LetterTokenizer("rnaernie2", RNAERNIE2_VOCAB, "AUCGN", special, ("[SEP]",))
