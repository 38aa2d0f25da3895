"""From chosen UTRs to corpus records: pieces, letters, training and validation."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from data_prep.tally import Tally
from data_prep.utr.candidates import Candidate
from data_prep.utr.policy import UtrPolicy


@dataclass(frozen=True, slots=True)
class Piece:
    """One row of the corpus; `start` and `end` are 0-based half-open positions in the spliced transcript."""

    candidate: Candidate
    number: int  # from 1, 5' to 3'
    start: int
    end: int
    sequence: bytes

    @property
    def id(self) -> str:
        return f"{self.candidate.transcript_id}:{self.number}"

    @property
    def source(self) -> str:
        """Gene name, contig, strand and 1-based closed coordinates in the spliced transcript, separated by `|`."""
        c = self.candidate
        return f"{c.gene_name}|{c.contig}|{c.strand}|{self.start + 1}-{self.end}"


def cut(candidates: Iterable[Candidate], policy: UtrPolicy, tally: Tally) -> Iterator[Piece]:
    """Non-overlapping pieces from the 5' end; the remainder is kept if it has the minimum length."""
    for candidate in candidates:
        sequence = candidate.sequence if policy.alphabet == "DNA" else candidate.sequence.replace(b"T", b"U")
        width = policy.piece_len or len(sequence)
        for number, start in enumerate(range(0, len(sequence), width), 1):
            letters = sequence[start : start + width]
            others = len(letters) - sum(letters.count(base) for base in b"ACGTU")
            if len(letters) < policy.min_len:
                tally.drop("pieces", "remainder_shorter_than_min_len")
            elif others > policy.max_other_fraction * len(letters):
                tally.drop("pieces", "other_letters")
            else:
                tally.keep("pieces")
                begin = candidate.offset + start
                yield Piece(candidate, number, begin, begin + len(letters), letters)


def split_by_gene(pieces: Iterable[Piece], val_fraction: float, tally: Tally) -> tuple[list[Piece], list[Piece]]:
    """Training and validation; validation pieces whose sequence is also in training are dropped."""
    train: list[Piece] = []
    held_out: list[Piece] = []
    for piece in pieces:
        (held_out if in_validation(piece.candidate.gene_id, val_fraction) else train).append(piece)
    seen = {piece.sequence for piece in train}
    validation = [piece for piece in held_out if piece.sequence not in seen]
    tally.keep("split", len(train) + len(validation))
    tally.drop("split", "validation_sequence_also_in_training", len(held_out) - len(validation))
    return train, validation


def in_validation(gene_id: str, fraction: float) -> bool:
    """A pure function of the gene id without its version, so that a gene stays put from release to release."""
    digest = hashlib.sha256(gene_id.partition(".")[0].encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
