"""Zero-shot scores of labeled variants: does a model find the alleles of one kind likelier than those of the other?

Nothing is trained. The score is log P(alt) - log P(ref) at the hidden base; bars are transitions, what the bases around
it say (counts of 7-mers in the same genome), and the same encoder with random weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.corpus import Ragged
from data_prep.formats.contig_lengths import header_lengths, refuse_other_length
from data_prep.formats.contig_names import NamesInTurn
from data_prep.formats.genome import read_contigs
from data_prep.formats.text import numbered_lines
from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.figures import Answers, weights_of
from pretrain.evaluation.bench.run import Options, Row, TaskResult, compared, facts_of
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.causal import is_causal, likelihood_ratios
from pretrain.evaluation.model import TrainedModel, random_twin
from pretrain.evaluation.probing.metrics import measure
from pretrain.evaluation.probing.table import LabeledSequences
from pretrain.evaluation.variant_effects import Substitution, variant_scores

KIND, METRIC = "variants", "auroc"
_AROUND = 3  # bases on either side that the bar of contexts reads
_WINDOW = 512  # bases that a model reads at most
_TRANSITIONS = frozenset({"AG", "GA", "CT", "TC"})


@dataclass(frozen=True)
class Range:
    """What an INFO key says of one kind of variants: one of the values, or a number from at_least to at_most."""

    values: tuple[str, ...] = ()
    at_least: float = -np.inf
    at_most: float = np.inf

    def holds(self, text: str) -> bool:
        """Whether a value is of this kind."""
        if self.values:
            return text in self.values
        try:
            return self.at_least <= float(text) <= self.at_most
        except ValueError:
            return False


@dataclass(frozen=True)
class Kinds:
    """What tells the two kinds of variants apart.

    Attributes:
        label: INFO key.
        higher: the kind whose alleles are expected to be likelier, ``positive`` or ``negative``.
    """

    label: str
    positive: Range
    negative: Range
    higher: str = "positive"


@dataclass(frozen=True)
class VariantTask:
    """Labeled variants with the contigs they lie on.

    Attributes:
        task: one test row per variant; its sequence is the bases around it.
        places: contig and substitution of each.
        contigs: name -> upper-case letters.
        sign: of a score that speaks for the positive kind.
    """

    task: Task
    places: list[tuple[str, Substitution]]
    contigs: Mapping[str, bytes]
    sign: int

    def scores(self, model: TrainedModel) -> np.ndarray:
        """Scores of a model, float64 (S, 2): against and for the positive kind; 0 where it cannot tell."""
        model.require_output_head()
        width = min(model.tokenizer.max_nucleotides(model.max_tokens), _WINDOW)
        found, ask = np.zeros(len(self.places)), likelihood_ratios if is_causal(model) else variant_scores
        for name, sequence in self.contigs.items():
            rows = [row for row, (contig, _) in enumerate(self.places) if contig == name]
            answers = ask(model, sequence, [self.places[row][1] for row in rows], width, "plus")
            for row, score in zip(rows, answers, strict=True):
                found[row] = 0.0 if score is None else score
        return self._both(found)

    def bars(self) -> dict[str, np.ndarray]:
        """Score without a model; the same shape."""
        transition = [float(one.ref + one.alt in _TRANSITIONS) for _, one in self.places]
        return {"transition": self._both(np.array(transition)), "contexts": self._both(self._contexts())}

    def _contexts(self) -> np.ndarray:
        """Log ratio of how often the bases around occur with the alternative, and with the reference, in the genome."""
        size = 2 * _AROUND + 1
        counts: Counter[bytes] = Counter()
        for sequence in self.contigs.values():
            counts.update(sequence[start : start + size] for start in range(len(sequence) - size + 1))
        scores = []
        for contig, one in self.places:
            before = self.contigs[contig][max(one.pos0 - _AROUND, 0) : one.pos0]
            after = self.contigs[contig][one.pos0 + 1 : one.pos0 + 1 + _AROUND]
            alt, ref = (counts[before + letter.encode() + after] + 1 for letter in (one.alt, one.ref))
            scores.append(np.log(alt / ref))
        return np.array(scores)

    def _both(self, score: np.ndarray) -> np.ndarray:
        return self.sign * np.stack([-score, score], axis=1)


def read_variant_task(
    name: str, vcf: Path, genome: Path, kinds: Kinds, limit: int, about: Mapping[str, str]
) -> VariantTask:
    """Read single-base variants of both kinds, at most half of ``limit`` of each, evenly taken.

    Raises:
        PolymeraseError: the VCF cannot be read, one kind has no variant, or most disagree with the genome.
        DataPrepError: the genome cannot be read, has another length than the header says, or two contigs of one name.
    """
    left_out: Counter[str] = Counter()
    found = list(_labeled(vcf, kinds, left_out))
    names, lengths = NamesInTurn((one.contig for one in found), str(genome)), header_lengths(vcf)
    contigs = {}
    for contig in read_contigs(genome, names.means_any):
        for name_in_vcf in names.of(contig.name):
            refuse_other_length(vcf, name_in_vcf, lengths, len(contig.sequence))
            contigs[name_in_vcf] = bytes(contig.sequence).upper()
    known = [one for one in found if one.letters_of(contigs) == one.change.ref.encode()]
    left_out["reference mismatch, or contig not in the genome"] = len(found) - len(known)
    if len(known) * 2 < len(found):
        raise PolymeraseError(
            f"{name}: {len(found) - len(known):,} of {len(found):,} variants of {vcf} disagree with {genome}; both "
            "must mean the same assembly"
        )
    parts = [[one for one in known if one.positive is kind] for kind in (False, True)]
    for kind, part in zip(("negative", "positive"), parts, strict=True):
        if len(part) < 2:
            raise PolymeraseError(f"{name}: expected 2 variants or more with a {kind} {kinds.label}, got {len(part)}")
    rows = [part[at] for part in parts for at in np.unique(np.linspace(0, len(part) - 1, limit // 2).astype(int))]
    sequences = [contigs[one.contig][max(one.change.pos0 - 50, 0) : one.change.pos0 + 51] for one in rows]
    table = LabeledSequences(
        [f"{one.contig}:{one.change.pos0 + 1}" for one in rows], Ragged.from_rows(sequences),
        np.array([one.positive for one in rows], np.int64), ("negative", "positive"),
    )  # fmt: skip
    none = np.arange(0)
    facts = {f"left_out_{why.replace(' ', '_')}": count for why, count in left_out.items() if count}
    split = {"train": none, "dev": none, "test": np.arange(len(rows))}
    task = Task(name, table, split, METRIC, {"other_letters": 0, **facts}, about, kind=KIND, measured=_ranking)
    places = [(one.contig, one.change) for one in rows]
    return VariantTask(task, places, contigs, 1 if kinds.higher == "positive" else -1)


def run_variants(models: list[TrainedModel], asked: VariantTask, options: Options) -> TaskResult:
    """Compare every model with the bars."""
    task = asked.task
    weights = weights_of(len(task.true))
    shared = {name: Row(task, Answers([scores]), weights) for name, scores in asked.bars().items()}
    found = {}
    for model in models:
        twins = [asked.scores(random_twin(model, seed)) for seed in range(options.seeds)]
        bars = shared | {"random_weights": Row(task, Answers(twins, {"seeds": len(twins)}), weights)}
        own = {"frozen": Row(task, Answers([asked.scores(model)]), weights)}
        found[model.source] = compared(task, own, bars, None)
    result = found[models[0].source] | facts_of(task)
    return TaskResult(result | ({"models": found} if len(models) > 1 else {}), {})


@dataclass(frozen=True)
class _Variant:
    contig: str
    change: Substitution
    positive: bool

    def letters_of(self, contigs: Mapping[str, bytes]) -> bytes:
        sequence = contigs.get(self.contig, b"")
        return sequence[self.change.pos0 : self.change.pos0 + 1]


def _labeled(vcf: Path, kinds: Kinds, left_out: Counter[str]) -> Iterator[_Variant]:
    """Alleles of one kind or the other; the rest are counted by reason."""
    for number, line in numbered_lines(vcf):
        if line.startswith(b"#") or not line.strip():
            continue
        fields = line.decode("utf-8", "replace").split("\t", 8)
        if len(fields) < 8 or not fields[1].isdigit():
            raise PolymeraseError(f"{vcf}: line {number}: expected a VCF record of eight columns, got {len(fields)}")
        contig, position, _, ref, alternatives = fields[:5]
        info = dict(part.partition("=")[::2] for part in fields[7].split(";"))
        alleles, values = alternatives.upper().split(","), info.get(kinds.label, "").split(",")
        for place, alt in enumerate(alleles):
            if len(ref) != 1 or len(alt) != 1 or {ref.upper(), alt} - set("ACGT"):
                left_out["no single base"] += 1
                continue
            value = values[place] if len(values) == len(alleles) else info.get(kinds.label, "")
            positive = kinds.positive.holds(value)
            if positive == kinds.negative.holds(value):
                left_out["of neither kind"] += 1
                continue
            yield _Variant(contig, Substitution(int(position) - 1, ref.upper(), alt), positive)


def _ranking(true: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Of scores without a threshold only what orders them counts."""
    return {name: value for name, value in measure(true, scores, weights).items() if name in ("auroc", "aupr")}
