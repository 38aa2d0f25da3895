"""From chosen UTRs to corpus records: pieces, letters, training and validation."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress

import numpy as np

from data_prep.corpus.tally import Tally
from data_prep.filters.holdout import is_held_out, text_keys
from data_prep.nucleotides import ALPHABETS
from data_prep.utr.candidates import Candidate
from data_prep.utr.policy import UtrPolicy

ENSEMBL_GENE = re.compile(r"ENS[A-Z]*G\d+")


@dataclass(frozen=True, slots=True)
class UtrChunk:
    """One row of the corpus; `start` and `end` are 0-based half-open positions in the spliced transcript."""

    candidate: Candidate
    number: int  # from 1, 5' to 3'
    start: int
    end: int
    sequence: bytes  # as stored
    source_letters: bytes  # the same with the case of the source

    @property
    def id(self) -> str:
        """Transcript id and number of the piece."""
        return f"{self.candidate.transcript_id}:{self.number}"

    @property
    def source(self) -> str:
        """Gene name, contig, strand, 1-based closed coordinates in the spliced transcript, separated by `|`.

        Where there are several inputs, the name of the input follows.
        """
        c = self.candidate
        place = f"{c.gene_name}|{c.contig}|{c.strand}|{self.start + 1}-{self.end}"
        return f"{place}|{c.input}" if c.input else place


def cut(candidates: Iterable[Candidate], policy: UtrPolicy, tally: Tally) -> Iterator[UtrChunk]:
    """Non-overlapping pieces from the 5' end; the remainder is kept if it has the minimum length."""
    alphabet = ALPHABETS[policy.alphabet]
    for candidate in candidates:
        sequence = alphabet.spell(np.frombuffer(candidate.sequence, np.uint8)).tobytes()
        width = policy.piece_len or len(sequence)
        for number, start in enumerate(range(0, len(sequence), width), 1):
            letters = sequence[start : start + width]
            others = len(letters) - sum(letters.count(base) for base in alphabet.letters)
            if len(letters) < policy.min_length:
                tally.drop("pieces", "remainder_shorter_than_min_length")
            elif others > policy.max_ambiguous * len(letters):
                tally.drop("pieces", "other_letters")
            else:
                tally.keep("pieces")
                begin = candidate.offset + start
                cased = candidate.sequence[start : start + width]
                yield UtrChunk(candidate, number, begin, begin + len(letters), letters, cased)


def split_by_gene(
    pieces: Iterable[UtrChunk], validation_fraction: float, tally: Tally
) -> tuple[list[UtrChunk], list[UtrChunk]]:
    """Training and validation; validation pieces whose sequence is also in training are dropped.

    A gene is held out by its id, one of Ensembl by its id without version, so that it stays on its side from release to
    release. (`MSTRG.1` and `MSTRG.2` are two genes: a point alone is no version.)
    """
    pieces = list(pieces)
    held_out = is_held_out(text_keys([_stable(piece.candidate.gene_id) for piece in pieces]), validation_fraction)
    train = list(compress(pieces, ~held_out))
    candidates = list(compress(pieces, held_out))
    seen = {piece.sequence for piece in train}
    validation = [piece for piece in candidates if piece.sequence not in seen]
    tally.keep("split", len(train) + len(validation))
    tally.drop("split", "validation_sequence_also_in_training", len(candidates) - len(validation))
    return train, validation


def _stable(gene_id: str) -> str:
    known = ENSEMBL_GENE.match(gene_id)
    return known[0] if known else gene_id
