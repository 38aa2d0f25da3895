"""Training with the `tokenizers` library, in the form of DNABERT-2's released file."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from data_prep.bpe.text import Text
from data_prep.errors import DataPrepError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
MEASURED = 10_000  # sequences that tell coverage and length
# N and the other codes are part of no token: they end a word, as blanks do, and are unknown afterwards.
PLAIN = {letter: " " for letter in range(128) if chr(letter) not in "ACGTU "}


@dataclass(frozen=True)
class Measured:
    """coverage: share of letters that are part of a known token; nt_per_token: without special tokens."""

    coverage: float
    nt_per_token: float
    longest_nt: int


def train(text: Iterable[str], vocab_size: int, min_frequency: int = 2, max_token: int | None = None) -> "Tokenizer":
    """Byte pairs of A, C, G, T and U, `[CLS] tokens [SEP]` around; DataPrepError without any letter."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL),
        show_progress=sys.stderr.isatty(),
        max_token_length=max_token,
    )
    tokenizer.train_from_iterator((row.translate(PLAIN) for row in text), trainer)
    ids = tokenizer.get_vocab()
    if len(ids) == len(SPECIAL):
        raise DataPrepError("the corpus has no training sequence, so there is nothing to learn from")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def measure(tokenizer: "Tokenizer", text: Text) -> Measured:
    """What the first sequences become."""
    letters = tokens = unknown = 0
    for row in islice(text, MEASURED):
        ids = tokenizer.encode(row, add_special_tokens=False).ids
        # the unknown token is the first one
        letters, tokens, unknown = letters + len(row), tokens + len(ids), unknown + ids.count(0)
    longest = max(len(token) for token in tokenizer.get_vocab() if token not in SPECIAL)
    return Measured(1 - unknown / max(letters, 1), letters / max(tokens, 1), longest)
