"""Secondary structure: base pairs of consensus structures, read off frozen states, on clans that were not trained on.

One sequence of each family of a Stockholm file stands with the pairs of its consensus. A logistic regression tells
pairs from other places where letters can pair, by the letters around both (the bar ``letters``), or by these and the
products of both states (a model, or its random twin); the likeliest pairs are taken, each base once. ViennaRNA's
structure of minimum free energy is the bar that a physical model sets. Figures are means over test sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from data_prep.formats.text import numbered_lines
from pretrain.errors import PolymeraseError
from pretrain.evaluation.base_pairs import canonical_pairs
from pretrain.evaluation.bench.figures import Answers, weights_of
from pretrain.evaluation.bench.files import Split
from pretrain.evaluation.bench.run import Options, Row, TaskResult, compared, facts_of
from pretrain.evaluation.bench.splits import draw, same
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.dotbracket import Pairs, parse_dot_bracket
from pretrain.evaluation.embeddings import embed
from pretrain.evaluation.model import TrainedModel, random_twin
from pretrain.evaluation.probing.linear import logistic, standardized
from pretrain.evaluation.probing.table import LabeledSequences

KIND, METRIC = "structure", "pair_f1"
_REACH = 3  # pairs on either side, inwards and outwards, whose letters are seen
_HAIRPIN = 3  # letters between a pair at least
_OTHERS = 4  # places that are no pairs, for each pair in training
_MOST_PLACES = 20_000
_STRENGTH = 0.1  # inverse, of the logistic penalty
_LEAST = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # probabilities from which pairs are taken: chosen on dev
_PAIRS = ("AU", "UA", "GC", "CG", "GU", "UG")


@dataclass(frozen=True)
class Known:
    """A sequence with its pairs.

    Attributes:
        group: clan of its family, or the family where it has none.
    """

    family: str
    group: str
    sequence: str
    pairs: Pairs


@dataclass(frozen=True)
class StructureTask:
    """Sequences with their pairs, divided into splits.

    Attributes:
        task: one row per sequence.
        records: in the same order.
    """

    task: Task
    records: list[Known]

    def bars(self) -> dict[str, np.ndarray]:
        """Answers without a model; ViennaRNA's where it is installed."""
        folded = _minimum_free_energy(self)
        return {"letters": _scores(self, None)} | ({} if folded is None else {"vienna_mfe": folded})

    def split(self, name: str) -> list[int]:
        """Return the rows of a split."""
        return self.task.rows[name].tolist()


def read_structure_task(
    name: str, path: Path, longest: int, fewest: int, limit: int, split: Split, about: Mapping[str, str]
) -> StructureTask:
    """Read one sequence per family: the first of at most ``longest`` nt with ``fewest`` pairs or more, without N.

    Raises:
        PolymeraseError: no Stockholm, or too few sequences for three splits.
    """
    found = list(_families(path, longest, fewest))
    if len(found) > limit:
        found = [found[at] for at in np.linspace(0, len(found) - 1, limit).astype(int)]
    if len(found) < 20:
        raise PolymeraseError(f"{name}: expected 20 families or more with a structure in {path}, got {len(found)}")
    groups = same([one.group for one in found])
    rows = draw(groups, {"dev": split.dev, "test": split.test}, split.seed)
    sequences = Ragged.from_rows([one.sequence.encode() for one in found])
    table = LabeledSequences([one.family for one in found], sequences, np.zeros(len(found)), ())
    facts = {"other_letters": 0, "drawn": f"dev and test clans, seed {split.seed}"}
    return StructureTask(Task(name, table, rows, METRIC, facts, about, kind=KIND, measured=_means), found)


def run_structures(models: list[TrainedModel], asked: StructureTask, options: Options) -> TaskResult:
    """Compare every model with the bars."""
    task = asked.task
    weights = weights_of(len(task.rows["test"]))
    shared = {name: Row(task, Answers([scores]), weights) for name, scores in asked.bars().items()}
    found: dict[str, Any] = {}
    for model in models:
        twins = [pairs_of(asked, random_twin(model, seed), options) for seed in range(options.seeds)]
        bars = shared | {"random_weights": Row(task, Answers(twins, {"seeds": len(twins)}), weights)}
        own = {"frozen": Row(task, Answers([pairs_of(asked, model, options)]), weights)}
        found[model.source] = compared(task, own, bars, None)
        if options.pretrained:
            found[model.source]["leak"]["pretraining"] = options.pretrained(model.source, task.sequences("test"))
    result = found[models[0].source] | facts_of(task)
    return TaskResult(result | ({"models": found} if len(models) > 1 else {}), {})


def pairs_of(asked: StructureTask, model: TrainedModel, options: Options) -> np.ndarray:
    """F1, precision and recall of test sequences by the states of a model, float64 (S, 3)."""
    return _scores(asked, _states(model, asked, options))


def _families(path: Path, longest: int, fewest: int) -> Iterator[Known]:
    facts: dict[str, str] = {}
    rows: dict[str, str] = {}
    for number, line in numbered_lines(path):
        text = line.decode("utf-8", "replace").rstrip()
        words = text.split()
        if text == "//" or text.startswith("//# STOCKHOLM"):  # joined without a line end between them
            if chosen := _first(facts, rows, longest, fewest, f"{path}: line {number}"):
                yield chosen
            facts, rows = {}, {}
        elif text.startswith("#=G") and len(words) > 2 and words[1] in ("AC", "CL", "SS_cons"):
            facts[words[1]] = facts.get(words[1], "") + words[2] if words[1] == "SS_cons" else words[2]
        elif words and not text.startswith("#"):
            rows[words[0]] = rows.get(words[0], "") + words[-1]


def _first(facts: dict[str, str], rows: dict[str, str], longest: int, fewest: int, where: str) -> Known | None:
    """The first sequence that fits, with the consensus pairs whose both letters it has and that can pair."""
    if "SS_cons" not in facts:
        return None
    consensus = parse_dot_bracket(facts["SS_cons"], where)
    for name, gapped in rows.items():
        if len(gapped) != len(facts["SS_cons"]):
            raise PolymeraseError(
                f"{where}: {name}: expected {len(facts['SS_cons']):,} columns, as its structure has, got "
                f"{len(gapped):,}; fetch the file again"
            )
        there = np.array([letter not in ".-~_" for letter in gapped])
        place = np.cumsum(there) - 1
        sequence = "".join(letter for letter in gapped if letter not in ".-~_").upper().replace("T", "U")
        pairs = {
            (int(place[i]), int(place[j])) for i, j in consensus
            if there[i] and there[j] and gapped[i].upper() + gapped[j].upper() in _PAIRS
        }  # fmt: skip
        if len(sequence) <= longest and len(pairs) >= fewest and not set(sequence) - set("ACGU"):
            family = facts.get("AC", where)
            return Known(family, facts.get("CL", family), sequence, pairs)
    return None


def _states(model: TrainedModel, asked: StructureTask, options: Options) -> list[np.ndarray]:
    """float32 (L, D) of every record."""
    table = asked.task.table
    longest = model.tokenizer.max_nucleotides(model.max_tokens)
    if int(table.sequences.lengths.max()) > longest:
        raise PolymeraseError(f"{asked.task.name}: {model.source} reads {longest:,} nt; set longest_nt in the suite")
    found = embed(model, table.ids, table.sequences, "token", options.layer)
    assert found.offsets is not None
    if not np.array_equal(np.diff(found.offsets), table.sequences.lengths):
        raise PolymeraseError(f"{asked.task.name}: {model.source} has no token for each letter, which pairs need")
    return np.split(found.values, found.offsets[1:-1])


def _scores(asked: StructureTask, states: list[np.ndarray] | None) -> np.ndarray:
    """F1, precision and recall of the test sequences (S, 3)."""
    places = [_places(one.sequence) for one in asked.records]
    seen = [
        np.array([pair in one.pairs for pair in zip(*at.T.tolist(), strict=True)], bool)
        for one, at in zip(asked.records, places, strict=True)
    ]

    def features(row: int, chosen: np.ndarray) -> np.ndarray:
        at = places[row][chosen]
        around = _around(asked.records[row].sequence, at)
        if states is None:
            return around
        one, other = states[row][at[:, 0]], states[row][at[:, 1]]
        return np.concatenate([around, one * other, np.abs(one - other)], axis=1)

    random = np.random.default_rng(0)
    x, y = [], []
    train = asked.split("train")
    for row in train:
        true = np.flatnonzero(seen[row])
        false = np.flatnonzero(~seen[row])
        some = random.permutation(false)[: _OTHERS * len(true)]
        chosen = np.concatenate([true, some])
        x.append(features(row, chosen))
        y.append(seen[row][chosen])
    design, labels = np.concatenate(x), np.concatenate(y).astype(np.int64)
    kept = random.permutation(len(labels))[:_MOST_PLACES]
    (known,) = standardized(design[kept])
    mean, deviation = design[kept].mean(axis=0), design[kept].std(axis=0)
    model = logistic(_STRENGTH, known, labels[kept])

    def likely(row: int) -> np.ndarray:
        everything = features(row, np.arange(len(places[row])))
        return model.predict_proba((everything - mean) / np.where(deviation > 0, deviation, 1.0))[:, 1]

    def judged(rows: list[int], answers: list[np.ndarray], least: float) -> np.ndarray:
        chosen = [_taken(places[row], one, least) for row, one in zip(rows, answers, strict=True)]
        return np.array([_agreement(one, asked.records[row].pairs) for row, one in zip(rows, chosen, strict=True)])

    dev, test = asked.split("dev"), asked.split("test")
    on_dev = [likely(row) for row in dev]
    least = max(_LEAST, key=lambda one: judged(dev, on_dev, one)[:, 0].mean())
    return judged(test, [likely(row) for row in test], least)


def _places(sequence: str) -> np.ndarray:
    """int64 (P, 2): all places where two letters can pair."""
    return np.argwhere(np.triu(canonical_pairs(sequence), _HAIRPIN + 1) > 0)


def _around(sequence: str, at: np.ndarray) -> np.ndarray:
    """float32 (P, 7 x 7 + 1): which pair stands where a helix would go on, inwards and outwards; log distance."""
    letters = np.array(["ACGU".find(letter) for letter in sequence])
    kind = np.full((4, 4), len(_PAIRS))
    for number, pair in enumerate(_PAIRS):
        kind["ACGU".index(pair[0]), "ACGU".index(pair[1])] = number
    columns = []
    for step in range(-_REACH, _REACH + 1):
        i, j = at[:, 0] + step, at[:, 1] - step
        inside = (i >= 0) & (j < len(letters)) & (i < j)
        found = np.where(inside, kind[letters[i.clip(0, len(letters) - 1)], letters[j.clip(0, len(letters) - 1)]], 6)
        columns.append(found[:, None] == np.arange(7))
    distance = np.log(at[:, 1:] - at[:, :1])
    return np.concatenate([*columns, distance], axis=1).astype(np.float32)


def _taken(places: np.ndarray, likely: np.ndarray, least: float) -> Pairs:
    """The likeliest pairs from a probability on, each base once."""
    pairs: Pairs = set()
    used: set[int] = set()
    for number in np.argsort(-likely, kind="stable").tolist():
        if likely[number] < least:
            break
        i, j = places[number].tolist()
        if i not in used and j not in used:
            pairs.add((i, j))
            used |= {i, j}
    return pairs


def _agreement(found: Pairs, true: Pairs) -> tuple[float, float, float]:
    right = len(found & true)
    return 2 * right / (len(found) + len(true)), right / max(len(found), 1), right / len(true)


def _minimum_free_energy(asked: StructureTask) -> np.ndarray | None:
    try:
        import RNA
    except ImportError:
        return None
    records = [asked.records[row] for row in asked.split("test")]
    return np.array([_agreement(parse_dot_bracket(RNA.fold(one.sequence)[0]), one.pairs) for one in records])


def _means(true: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Means over sequences; (S, 3) -> pair_f1, precision, recall, (B,) each."""
    weights = np.ones((1, len(scores))) if weights is None else np.asarray(weights, np.float64)
    means = weights @ scores / weights.sum(axis=1, keepdims=True)
    return dict(zip((METRIC, "precision", "recall"), means.T, strict=True))
