"""Bytes as tokens (Evo): 512 ids, the first 256 of which are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, WithLengths
from pretrain.tokenizers.lengths import Lengths, PerNucleotide
from pretrain.tokenizers.letters import NONE, encode_letters
from pretrain.tokenizers.text import letter_table

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

END, PAD = 0, 1
_FIRST_PRINTED, _AFTER_PRINTED = 33, 127
VOCAB = (
    "<eod>",
    "<pad>",
    *(chr(b) if _FIRST_PRINTED <= b < _AFTER_PRINTED else f"<0x{b:02X}>" for b in range(2, 256)),
    *(f"<unused{i}>" for i in range(256, 512)),
)


class ByteTokenizer(WithLengths):
    """Bytes of the sequence after the end-of-document byte 0.

    A vocabulary for causal models: no mask token, no unknown one, nothing at the end.

    Args:
        case_sensitive: keep the lower case of a corpus; otherwise corpora are upper-cased and read with T for U.
    """

    name = "bytes"
    vocab: tuple[str, ...] = VOCAB
    pad_id, unk_id, cls_id, eos_id, mask_id = PAD, NONE, END, NONE, NONE
    special_ids = frozenset((END, PAD))
    nucleotide_ids = np.frombuffer(b"ACGT", np.uint8).astype(np.int32)
    lengths: Lengths = PerNucleotide(specials=1)
    leading = nucleotides_per_token = min_nucleotides = 1
    has_label_slot = False

    def __init__(self, *, case_sensitive: bool = False):
        table = np.arange(256, dtype=np.uint8)
        if not case_sensitive:
            upper = {chr(b): b for b in range(ord("A"), ord("Z") + 1)} | {"U": ord("T")}
            folded = letter_table(upper, 0, "case")
            table = np.where(folded, folded, table).astype(np.uint8)
        self._table = table.tobytes()

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences, see ``Tokenizer.encode``; there is no label slot."""
        return encode_letters(sequences, self._table, [END], [])

    def encode_text(self, text: str) -> np.ndarray:
        """Encode the bytes of one text as they are, int32 (T,)."""
        return np.concatenate(([END], np.frombuffer(text.encode(), np.uint8))).astype(np.int32)
