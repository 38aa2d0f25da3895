"""In-silico mutagenesis: every single-base substitution of a sequence, scored as a variant is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import is_causal, likelihood_ratios
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.variant_effects import Substitution, substitution_scores, window_width

LETTERS = "ACGT"


@dataclass(frozen=True)
class Mutagenesis:
    """All substitutions of one sequence of T nucleotides.

    Attributes:
        name: of the sequence.
        sequence: its letters, upper case.
        letters: what the columns of ``scores`` put in place: A, C, G, and T or U as in the sequence.
        scores: float32 (T, 4), log P(letter) - log P(the letter that is there) in nats; 0 for the letter that is
            there, NaN where another letter than A, C, G, T, U is in the way.
    """

    name: str
    sequence: str
    letters: str
    scores: np.ndarray

    @property
    def saliency(self) -> np.ndarray:
        """float32 (T,): mean loss in nats of the three substitutions; high where the model is sure of the letter."""
        return (-self.scores.sum(axis=1) / 3).astype(np.float32)


def mutate_sequence(model: TrainedModel, name: str, sequence: str, window: int | None = None) -> Mutagenesis:
    """One forward pass per nucleotide, around which the model reads ``window`` letters; three of causal models.

    Raises:
        PolymeraseError: the sequence or the window is too short or too long for the model.
    """
    model.require_output_head()
    text = sequence.upper().replace("U", "T").encode("ascii", "replace")
    if len(text) < model.tokenizer.min_nucleotides:
        raise PolymeraseError(f"{name}: {len(text)} nt, the model reads {model.tokenizer.min_nucleotides} or more")
    width = window_width(model, window)
    scores = np.full((len(text), 4), np.nan, np.float32)
    if is_causal(model):
        changes = [
            Substitution(pos0, ref, alt)
            for pos0, ref in enumerate(text.decode())
            if ref in LETTERS
            for alt in LETTERS
            if alt != ref
        ]
        for change, score in zip(changes, likelihood_ratios(model, text, changes, width), strict=True):
            scores[change.pos0, LETTERS.index(change.alt)] = np.nan if score is None else score
    else:
        for pos0, row in enumerate(substitution_scores(model, text, width)):
            scores[pos0] = row
    for pos0, ref in enumerate(text.decode()):
        if ref in LETTERS and np.isfinite(scores[pos0]).any():
            scores[pos0, LETTERS.index(ref)] = 0.0
    is_rna = "U" in sequence.upper()
    return Mutagenesis(name, sequence.upper(), "ACGU" if is_rna else LETTERS, scores)


def mutate_all(model: TrainedModel, ids: list[str], sequences: Ragged, window: int | None = None) -> list[Mutagenesis]:
    """The same of many sequences, with a bar on terminals."""
    from tqdm import tqdm

    rows = zip(ids, sequences.rows(), strict=True)
    bar = tqdm(rows, total=len(ids), desc="sequences", disable=None)
    return [mutate_sequence(model, name, row.decode("latin-1"), window) for name, row in bar]


def table(found: list[Mutagenesis]) -> str:
    """Tab-separated text, one substitution per line, positions counted from 1."""
    lines = ["record\tpos\tref\talt\tscore_nats"]
    for one in found:
        for pos0, ref in enumerate(one.sequence):
            for column, alt in enumerate(one.letters):
                score = float(one.scores[pos0, column])
                if alt != ref:
                    lines.append(f"{one.name}\t{pos0 + 1}\t{ref}\t{alt}\t{'' if np.isnan(score) else f'{score:.6g}'}")
    return "\n".join(lines) + "\n"


def summary(found: list[Mutagenesis]) -> list[dict[str, object]]:
    """Per record: its length, the mean score, and the substitution that the model likes least and most."""
    result: list[dict[str, object]] = []
    for one in found:
        known = np.isfinite(one.scores) & (np.array(list(one.sequence))[:, None] != np.array(list(one.letters)))
        row: dict[str, object] = {"id": one.name, "nucleotides": len(one.sequence), "substitutions": int(known.sum())}
        if known.any():
            row["mean_score_nats"] = float(one.scores[known].mean())
            for key, place in (
                ("least_liked", np.nanargmin(np.where(known, one.scores, np.nan))),
                ("most_liked", np.nanargmax(np.where(known, one.scores, np.nan))),
            ):
                pos0, column = divmod(int(place), 4)
                row[key] = f"{one.sequence[pos0]}{pos0 + 1}{one.letters[column]} {one.scores[pos0, column]:+.3f}"
        result.append(row)
    return result
