"""Whole sequences under a causal model: likelihood and bits per nucleotide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from data_prep.corpus import Ragged
from data_prep.formats.genome import reverse_complement
from pretrain.evaluation.likelihood_summary import summarize
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import batches_of, pack
from pretrain.evaluation.sliding import Windows, letters_and_windows
from pretrain.evaluation.variant_effects import Strand, Substitution
from pretrain.models import architecture_of
from pretrain.tokenizers.batch import TokenBatch

_TOGETHER = 512  # variants whose windows are in memory at a time


def is_causal(model: TrainedModel) -> bool:
    """Tell whether each token sees only those before it."""
    return architecture_of(model.settings).is_causal(model.settings)


@dataclass(frozen=True)
class Likelihood:
    """Of one sequence. log_likelihood: nats, summed over all tokens that another one precedes."""

    nucleotides: int
    tokens: int
    log_likelihood: float

    @property
    def bits_per_nucleotide(self) -> float:
        """Bits per nucleotide; guessing among four letters costs 2. NaN for an empty sequence."""
        return -self.log_likelihood / (math.log(2) * self.nucleotides) if self.nucleotides else math.nan


def likelihoods(model: TrainedModel, sequences: Ragged | Windows, progress: str | None = None) -> list[Likelihood]:
    """Compute the likelihood of each sequence, in one forward pass per sequence or window.

    A layout without a token in front (HyenaDNA) gives its first token no probability, so it is not counted.

    Args:
        model: a causal model.
        sequences: ASCII, S rows that fit the model, or windows over S sequences of any length (``owner="first"``): a
            token then counts in the first window that has it, given what stands before it there.
        progress: label of a bar, on terminals only.
    """
    from tqdm import tqdm

    model.require_output_head()
    letters, windows = letters_and_windows(sequences)
    tokens = model.tokenizer.encode(letters)
    rows, counted = np.split(tokens.ids, tokens.offsets[1:-1]), _counted(tokens, windows)
    lengths, found, start = tokens.lengths, np.zeros(len(rows)), 0
    with tqdm(total=len(rows), desc=progress, disable=None if progress else True) as bar:
        for count in batches_of(model, lengths):
            part = slice(start, start + count)
            found[part] = _summed(model, rows[part], counted[part])
            start += count
            bar.update(count)
    numbers = np.array([one[1:].sum() for one in counted], np.int64)
    nucleotides = windows.stop - windows.first if windows else letters.lengths
    row = windows.row if windows else np.arange(len(rows))
    sums = (np.bincount(row, one) for one in (nucleotides, numbers, found))
    return [Likelihood(int(n), int(t), total) for n, t, total in zip(*(one.tolist() for one in sums), strict=True)]


def _counted(tokens: TokenBatch, windows: Windows | None) -> list[np.ndarray]:
    """Which tokens of each sequence count, bool (T,); a special token at the end counts with the last letter."""
    if windows is None:
        return [np.ones(length, bool) for length in tokens.lengths.tolist()]
    first, stop = (np.repeat(bound, tokens.lengths) for bound in (windows.first, windows.stop))
    is_last = np.append(windows.row[1:] != windows.row[:-1], True)
    ends = np.zeros(len(tokens.ids), bool)
    ends[tokens.offsets[1:][is_last] - 1] = True
    inner = tokens.maskable & (tokens.nucleotide >= first) & (tokens.nucleotide < stop)
    return np.split(inner | (ends & ~tokens.maskable), tokens.offsets[1:-1])


def _summed(model: TrainedModel, rows: list[np.ndarray], counted: list[np.ndarray]) -> np.ndarray:
    """Log-probability of the tokens of each row that count, but for its first token, float64 (S,)."""
    lengths = [len(ids) for ids in rows]
    ids = np.concatenate(rows).astype(np.int64)
    ends = np.cumsum(lengths)
    asked = np.ones(len(ids), bool)
    asked[ends[ends > 0] - 1] = False  # the last token of each predicts nothing
    places = torch.from_numpy(np.flatnonzero(asked)).to(model.device)
    with torch.no_grad():
        hidden = model.network.encoder(pack(model, ids, lengths)).hidden
        logits = model.network.logits(hidden[places]).float()
        following = torch.from_numpy(ids).to(model.device)[places + 1]
        picked = logits.log_softmax(dim=-1).gather(1, following[:, None])[:, 0].double().cpu().numpy()
    row = np.repeat(np.arange(len(rows)), lengths)[asked]
    follows = np.concatenate(counted)[np.flatnonzero(asked) + 1]
    return np.bincount(row, np.where(follows, picked, 0.0), minlength=len(rows))


def summary(ids: list[str], found: list[Likelihood]) -> dict[str, Any]:
    """Return bits per nucleotide per record and over all of them."""
    whole = Likelihood(*(sum(getattr(one, part.name) for one in found) for part in fields(Likelihood)))
    return summarize(ids, found, whole, "bits_per_nucleotide", lambda one: one.bits_per_nucleotide)


def likelihood_ratios(
    model: TrainedModel, contig: bytes, variants: Sequence[Substitution], width: int, strand: Strand = "plus"
) -> Iterator[float | None]:
    """Yield log P(window with alt) - log P(window with ref) of each variant, in nats; insertions and deletions too.

    Both windows have the same letters around the variant, ``width`` of them with the longer allele. None if a window
    has letters other than A, C, G, T, or an allele is longer than it.

    Args:
        model: a causal model.
        contig: upper-case letters of the whole contig.
        variants: on this contig.
        width: nucleotides of the longer window.
        strand: the one the model reads; ``both``: the mean of the two scores.
    """
    sides: tuple[Strand, ...] = ("plus", "minus") if strand == "both" else (strand,)
    for start in range(0, len(variants), _TOGETHER):
        windows = [_windows(contig, variant, width) for variant in variants[start : start + _TOGETHER]]
        known = [pair for pair in windows if pair is not None]
        totals = np.zeros(len(known))
        for side in sides:
            texts = [text if side == "plus" else reverse_complement(text) for pair in known for text in pair]
            logs = [one.log_likelihood for one in likelihoods(model, Ragged.from_rows(texts))] if texts else []
            totals += np.array(logs[1::2]) - np.array(logs[0::2])
        scores = iter((totals / len(sides)).tolist())
        yield from (None if pair is None else next(scores) for pair in windows)


def _windows(contig: bytes, variant: Substitution, width: int) -> tuple[bytes, bytes] | None:
    width -= max(0, len(variant.alt) - len(variant.ref))
    if width < len(variant.ref):
        return None
    start = min(max(0, variant.pos0 - width // 2), max(0, len(contig) - width))
    window, place = contig[start : start + width], variant.pos0 - start
    end = place + len(variant.ref)
    if end > len(window) or window.strip(b"ACGT"):
        return None
    return window, window[:place] + variant.alt.encode() + window[end:]
