"""Non-overlapping k-mers where N stands alone (Nucleotide Transformer): ``<cls> k-mers letters N k-mers letters``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, WithLengths, ragged_arange
from pretrain.tokenizers.lengths import Measured
from pretrain.tokenizers.letters import NONE
from pretrain.tokenizers.text import encode_text, letter_table
from pretrain.tokenizers.windows import window_numbers

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

_LETTERS = "ATCG"
_N = 4
_SPECIAL = {"v1": ("<unk>", "<pad>", "<mask>", "<cls>"), "v2": ("<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>")}


class BlockTokenizer(WithLengths):
    """Non-overlapping k-mers: a sequence is split at every N, each piece cut into k-mers from its left.

    Letters left over at the end of a piece are tokens of their own. A k-mer's id follows the product of A, T, C, G,
    last letter fastest, behind the special tokens; then come A, T, C, G and N. Every other letter is read as N;
    upstream stops at them.

    Args:
        name: key in TOKENIZERS.
        k: letters per k-mer.
        layout: ``v1`` has four special tokens, ``v2`` six.
    """

    min_nucleotides = leading = 1
    has_label_slot = False

    def __init__(self, name: str, k: int, layout: Literal["v1", "v2"] = "v2"):
        if layout not in _SPECIAL:
            raise TypeError(f"layout must be v1 or v2, got {layout!r}")
        special = _SPECIAL[layout]
        self.name, self.nucleotides_per_token = name, k
        kmers = ["".join(letters) for letters in product(_LETTERS, repeat=k)]
        self.vocab = (*special, *kmers, *_LETTERS, "N")
        self.special = {token: i for i, token in enumerate(special)}
        self.special_ids = frozenset(self.special.values())
        self.unk_id, self.pad_id, self.mask_id, self.cls_id = range(4)
        self.eos_id = NONE  # v2 has the token, no sequence ends with it
        self.nucleotide_ids = np.arange(len(special), len(special) + len(kmers), dtype=np.int32)
        self._first_kmer, self._first_letter = len(special), len(special) + len(kmers)
        digest = hashlib.sha256("\n".join((str(k), *self.vocab)).encode()).hexdigest()
        self.lengths = Measured(1, k, digest, rest_as_letters=True)
        widths = np.ones(len(self.vocab), np.int64)
        widths[self.nucleotide_ids] = k
        self.advance = widths
        self._digits = letter_table({c: i for i, c in enumerate(_LETTERS)}, _N).astype(np.uint8).tobytes()

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences, see ``Tokenizer.encode``; there is no label slot."""
        base, end = sequences.offsets[0], sequences.offsets[-1]
        digits = sequences.values[base:end].tobytes().translate(self._digits)
        bounds = sequences.offsets - base
        ids, offsets = self._blocks(digits, bounds)
        maskable = np.ones(len(ids), bool)
        maskable[offsets[:-1]] = False
        return TokenBatch(ids, offsets, maskable, None, 1, self.advance)

    def count(self, sequences: Ragged) -> np.ndarray:
        """Count the tokens of each sequence, ``<cls>`` included, int64 (S,)."""
        return self.encode(sequences).lengths

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text, int32 (T,): blanks are dropped, spelled-out special tokens are recognized."""

        def piece(letters: np.ndarray) -> np.ndarray:
            digits = letters.tobytes().translate(self._digits)
            return self._blocks(digits, np.array([0, len(digits)]))[0][1:]

        return encode_text(text, self.special, piece, [self.cls_id], [])

    def _blocks(self, digits: bytes, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids int32 (N,) with ``<cls>`` before each sequence, and offsets (S+1,), of digits; bounds int64 (S+1,)."""
        k, digit = self.nucleotides_per_token, np.frombuffer(digits, np.uint8)
        unknown = np.flatnonzero(digit == _N) if _N in digits else np.empty(0, np.int64)
        rows, starts, ends, before_n = _stretches(bounds, unknown)
        whole, rest = np.divmod(ends - starts, k)
        letters = rest + before_n
        before = np.zeros(len(rows) + 1, np.int64)  # tokens before each stretch, first tokens of sequences apart
        np.cumsum(whole + letters, out=before[1:])
        offsets = before[np.searchsorted(rows, np.arange(len(bounds)))] + np.arange(len(bounds))
        # Letters are few: they go to their places one by one. What is left are the places of the k-mers, in order.
        at = ragged_arange(before[:-1] + rows + 1 + whole, letters)
        is_kmer = np.ones(offsets[-1], bool)
        is_kmer[offsets[:-1]] = is_kmer[at] = False
        ids = np.full(offsets[-1], self.cls_id, np.int32)
        ids[at] = digit[ragged_arange(starts + whole * k, letters)].astype(np.int32) + self._first_letter
        kind = np.min_scalar_type(-len(digit) - 1)  # half the memory of int64, nearly always
        kmers = np.cumsum(whole)
        place = np.arange(kmers[-1] if len(kmers) else 0, dtype=kind)
        place *= k
        place += np.repeat((starts - (kmers - whole) * k).astype(kind), whole)
        ids[is_kmer] = window_numbers(digit, k)[place] + np.int32(self._first_kmer)
        return ids, offsets


def _stretches(bounds: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stretches without N, possibly empty: one from the beginning of each sequence, and one from behind each N.

    Args:
        bounds: int64 (S+1,) of the sequences.
        unknown: int64 (U,), where each N is, ascending.

    Returns:
        Sequence, beginning and end of each stretch, int64 (S+U,), and whether an N follows, bool (S+U,).
    """
    rows, starts = np.arange(len(bounds) - 1), bounds[:-1]
    if not len(unknown):
        return rows, starts, bounds[1:], np.zeros(len(rows), bool)
    rows = np.concatenate((rows, np.searchsorted(bounds, unknown, side="right") - 1))
    starts = np.concatenate((starts, unknown + 1))
    order = np.lexsort((starts, rows))
    rows, starts = rows[order], starts[order]
    before_n = np.append(rows[1:] == rows[:-1], False)
    return rows, starts, np.where(before_n, np.append(starts[1:], 0) - 1, bounds[rows + 1]), before_n


def nonoverlapping(k: int, layout: Literal["v1", "v2"] = "v2") -> BlockTokenizer:
    """Build Nucleotide Transformer's tokenizer (k = 6; 3 for its codon model)."""
    suffix = "" if layout == "v2" else f"_{layout}"
    return BlockTokenizer(f"kmer{k}_nonoverlapping{suffix}", k, layout)
