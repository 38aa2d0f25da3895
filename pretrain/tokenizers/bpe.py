"""Byte-pair tokens (DNABERT-2) from a ``tokenizer.json``: the `tokenizers` library merges."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.tokenizers.batch import TokenBatch, WithLengths
from pretrain.tokenizers.lengths import Measured
from pretrain.tokenizers.text import letter_table

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

_ROLES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
MAX_FILE_BYTES = 64 << 20  # a vocabulary of a few thousand tokens takes 200 kB


class BpeTokenizer(WithLengths):
    """Byte pairs as ``[CLS] tokens [SEP]``: the file's list merges letters; other characters are unknown, each alone.

    Corpora are upper-cased first, and T is read for U (or U for T) if the vocabulary has only the other. Texts are
    passed to the library as they are.

    Args:
        file: a ``tokenizer.json`` of the `tokenizers` library whose model is BPE, with the five special tokens of BERT.
    """

    min_nucleotides = leading = 1
    has_label_slot = False

    def __init__(self, file: str | Path):
        # Workers that are forked must not inherit the threads of the library.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer as FastTokenizer

        text = _checked_text(Path(file))
        try:
            self._fast = FastTokenizer.from_str(text)
        except Exception as error:
            raise PolymeraseError(f"{file}: the tokenizers library cannot read it ({error})") from None
        self._fast.no_truncation()
        self._fast.no_padding()
        self.name, self.file = "bpe", str(file)
        merges = json.loads(text)["model"]["merges"]  # written as "A C", or as a pair
        self.merges = tuple(tuple(one.split(" ") if isinstance(one, str) else one) for one in merges)
        ids = self._fast.get_vocab()
        self.vocab = tuple(sorted(ids, key=ids.__getitem__))
        missing = [token for token in _ROLES.values() if token not in ids]
        if missing or sorted(ids.values()) != list(range(len(ids))):
            what = f"no {', '.join(missing)}" if missing else "ids with gaps"
            raise PolymeraseError(
                f"{file}: expected the tokens {', '.join(_ROLES.values())} and ids from 0 without gaps, got {what}; "
                "train one with python -m data_prep bpe"
            )
        self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id = (ids[token] for token in _ROLES.values())
        if (around := self._fast.encode("A").ids)[:1] + around[-1:] != [self.cls_id, self.eos_id]:
            raise PolymeraseError(f"{file}: expected the template [CLS] $A [SEP], got ids {around} for A")
        self.special = {token: ids[token] for token in _ROLES.values()}
        self.special_ids = frozenset(self.special.values())
        bases = [base for base in "ACGUT" if base in ids]
        self.nucleotide_ids = np.array([i for i in range(len(ids)) if i not in self.special_ids], np.int32)
        self.nucleotides_per_token = max(len(self.vocab[i]) for i in self.nucleotide_ids.tolist())
        widths = np.array([len(token) for token in self.vocab], np.int64)
        widths[list(self.special_ids)] = 1  # an unknown token is one character
        self.advance = widths
        self.lengths = Measured(2, self.nucleotides_per_token, hashlib.sha256(text.encode()).hexdigest())
        upper = {chr(b): b for b in range(ord("A"), ord("Z") + 1)}
        if "T" not in bases or "U" not in bases:
            upper |= {"U": ord("T"), "T": ord("T")} if "T" in bases else {"U": ord("U"), "T": ord("U")}
        folded = letter_table(upper, 0, "case")
        # Blanks would vanish, special tokens be recognized, other bytes be no text: each is a letter nobody knows.
        plain = np.where(np.arange(256) < 128, np.arange(256), ord("?"))
        plain[[*range(33), ord("["), 127]] = ord("?")
        self._table = np.where(folded, folded, plain).astype(np.uint8).tobytes()

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences, see ``Tokenizer.encode``; there is no label slot."""
        encoded = self._encoded(sequences)
        counts = np.fromiter(map(len, encoded), np.int64, len(encoded)) + 2
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        first, last = [self.cls_id], [self.eos_id]
        ids = np.fromiter(
            chain.from_iterable(part for found in encoded for part in (first, found.ids, last)), np.int32, offsets[-1]
        )
        maskable = np.ones(len(ids), bool)
        maskable[offsets[:-1]] = maskable[offsets[1:] - 1] = False
        return TokenBatch(ids, offsets, maskable, None, 1, self.advance)

    def count(self, sequences: Ragged) -> np.ndarray:
        """Count the tokens of each sequence, specials included, int64 (S,)."""
        encoded = self._encoded(sequences)
        return np.fromiter(map(len, encoded), np.int64, len(encoded)) + 2

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text with the library, int32 (T,)."""
        return np.array(self._fast.encode(text).ids, np.int32)

    def save(self, path: Path) -> None:
        """Write the tokenizer as the library writes it."""
        self._fast.save(str(path))

    def _encoded(self, sequences: Ragged) -> list[Any]:
        base = sequences.offsets[0]
        text = sequences.values[base : sequences.offsets[-1]].tobytes().translate(self._table).decode("ascii")
        bounds = (sequences.offsets - base).tolist()
        rows = [text[a:b] for a, b in pairwise(bounds)]
        return self._fast.encode_batch_fast(rows, add_special_tokens=False)


def _checked_text(file: Path) -> str:
    """The JSON of a BPE file; PolymeraseError if the file is anything else."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise PolymeraseError(f"{file}: expected a tokenizer.json of at most {MAX_FILE_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8")
        tree = json.loads(text)
    except OSError as error:
        raise PolymeraseError(
            f"{file}: cannot be read ({error.strerror}); name the tokenizer.json of the weights as "
            "model.tokenizer_file, or train one with python -m data_prep bpe"
        ) from None
    except ValueError:
        raise PolymeraseError(
            f"{file}: expected a tokenizer.json of the tokenizers library, got a file that is not JSON; "
            "SentencePiece models and vocab.txt files have no merges"
        ) from None
    model = tree.get("model") if isinstance(tree, dict) else None
    kind = model.get("type") if isinstance(model, dict) else None
    if kind != "BPE":
        raise PolymeraseError(f"{file}: expected a tokenizer.json whose model.type is BPE, got {kind!r}")
    if tree.get("normalizer") is not None or (tree.get("pre_tokenizer") or {}).get("type") not in (None, "Whitespace"):
        raise PolymeraseError(
            f"{file}: expected no normalizer and Whitespace or no pre-tokenizer (letters stay themselves), got others"
        )
    assert isinstance(model, dict)
    wanted = {"unk_token": _ROLES["unk"], "fuse_unk": False, "dropout": None, "byte_fallback": False,
              "continuing_subword_prefix": None, "end_of_word_suffix": None}  # fmt: skip
    for key, value in wanted.items():
        if (model.get(key) or None) != (value or None):
            raise PolymeraseError(
                f"{file}: expected model.{key} to be {value!r} (each unknown letter one token, letters as they are), "
                f"got {model[key]!r}"
            )
    return text


def bpe(*, file: str | None = None) -> BpeTokenizer:
    """Load the tokenizer of a file: DNABERT-2's release, or one trained by ``python -m data_prep bpe``."""
    if file is None:
        raise PolymeraseError("tokenizer 'bpe' needs its file: give tokenizer_file, or train one (data_prep bpe)")
    return BpeTokenizer(file)
