"""The variants of a VCF with their scores: contig by contig, against the reference, as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_prep.corpus.files import write_atomic
from data_prep.formats.contig_names import NamesInTurn
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import is_causal, likelihood_ratios
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.variant_effects import Strand, Substitution, variant_scores, window_width

_MOST_MISMATCHES = 0.1  # of the variants of the file: more means another assembly
_COLUMNS = ("contig", "pos", "id", "ref", "alt", "frequency", "score")


class Variant(Protocol):
    """A variant of a VCF (``data_prep.variants.snvs.Snv``)."""

    @property
    def contig(self) -> str:
        """Name of the contig in the VCF."""

    @property
    def pos0(self) -> int:
        """0-based position."""

    @property
    def id(self) -> str:
        """Id in the VCF."""

    @property
    def ref(self) -> str:
        """Reference allele."""

    @property
    def alt(self) -> str:
        """Alternative allele."""

    @property
    def frequency(self) -> float | None:
        """Frequency of the alternative allele; None if unknown."""


class VariantTable:
    """Variants (V,) in file order, scored contig by contig.

    Args:
        dropped: alleles that are not single-base substitutions, by reason.
        genome: name of the file of the contigs, for messages.
    """

    def __init__(self, variants: Sequence[Variant], dropped: Counter[str], genome: str):
        self._variants, self._dropped = variants, Counter(dropped)
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row, variant in enumerate(variants):
            self._rows[variant.contig].append(row)
        self.names = NamesInTurn(self._rows, genome)
        self.scores = np.full(len(variants), np.nan)
        self._mismatched = 0
        self._example = ""

    def score(
        self, model: TrainedModel, contig: str, sequence: bytes, window: int | None, strand: Strand = "plus"
    ) -> None:
        """Score the variants that lie on a contig by one of its names in the VCF, given its upper-case letters."""
        width = window_width(model, window)
        rows = [row for row in self._rows[contig] if self._agrees(self._variants[row], sequence)]
        substitutions = [Substitution(v.pos0, v.ref, v.alt) for v in (self._variants[row] for row in rows)]
        from tqdm import tqdm

        scores = likelihood_ratios if is_causal(model) else variant_scores
        answers = scores(model, sequence, substitutions, width, strand)
        for row, score in zip(rows, tqdm(answers, total=len(rows), desc=contig, disable=None), strict=True):
            if score is None:
                self._dropped["ambiguous letters around it, or longer than the window"] += 1
            else:
                self.scores[row] = score

    def _agrees(self, variant: Variant, sequence: bytes) -> bool:
        there = sequence[variant.pos0 : variant.pos0 + len(variant.ref)].decode("latin-1")
        if there == variant.ref:
            return True
        self._dropped["reference mismatch"] += 1
        self._mismatched += 1
        self._example = self._example or (
            f"{variant.contig}:{variant.pos0 + 1} has REF {variant.ref}, but the genome has {there or 'nothing'}"
        )
        return False

    def summary(self) -> dict[str, Any]:
        """Return counts, mean score, and the correlation of scores with frequencies (Spearman).

        Raises:
            PolymeraseError: no variant could be scored, or too many disagree with the genome.
        """
        absent = [row for name in self.names.missing for row in self._rows[name]]
        if absent:
            self._dropped["contig not in the genome"] = len(absent)
        if self._mismatched > max(1.0, _MOST_MISMATCHES * (len(self._variants) - len(absent))):
            raise PolymeraseError(
                f"{self._mismatched} of {len(self._variants)} variants disagree with the genome ({self._example}); "
                "use files of the same assembly"
            )
        scored = ~np.isnan(self.scores)
        if not scored.any():
            reasons = ", ".join(f"{why} {count}" for why, count in self._dropped.items())
            raise PolymeraseError(f"no variant could be scored ({reasons or 'the file has no substitution'})")
        frequency = np.array([np.nan if v.frequency is None else v.frequency for v in self._variants])
        both = scored & ~np.isnan(frequency)
        return {
            "variants": len(self._variants),
            "scored": int(scored.sum()),
            "left_out": dict(self._dropped),
            "mean_score": float(self.scores[scored].mean()),
            "share_alt_preferred": float((self.scores[scored] > 0).mean()),
            "with_frequency": int(both.sum()),
            "spearman_score_frequency": _spearman(self.scores[both], frequency[both]),
        }

    def write(self, path: Path) -> None:
        """Write all variants as tab-separated text, atomically; the score is empty for variants without one."""
        lines = ["\t".join(_COLUMNS)]
        for variant, score in zip(self._variants, self.scores.tolist(), strict=True):
            frequency = "" if variant.frequency is None else f"{variant.frequency:g}"
            cells = (variant.contig, str(variant.pos0 + 1), variant.id, variant.ref, variant.alt, frequency)
            lines.append("\t".join([*cells, "" if np.isnan(score) else f"{score:.6g}"]))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, ("\n".join(lines) + "\n").encode())
        except OSError as error:
            raise PolymeraseError(f"{path}: not written: {error.strerror}") from None


def _spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
