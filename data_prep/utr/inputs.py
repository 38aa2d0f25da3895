"""Several genomes in one corpus: which input a transcript is from, and ids that two inputs share."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.utr.candidates import Candidate

SUFFIXES = re.compile(r"(?:\.(?:gz|bgz|bz2|xz|zst|gtf|gff3?|fa|fasta|fna|txt))+$", re.IGNORECASE)


def labels_of(paths: Sequence[str]) -> list[str]:
    """A short name for each path that no other one has: its file name without suffix, with folders where needed."""
    parts = [Path(path).resolve().parts for path in paths]
    depth = 1
    while depth < max(map(len, parts)) and len({_label(part, depth) for part in parts}) < len(set(parts)):
        depth += 1
    labels = [_label(part, depth) for part in parts]
    return [f"{label}#{number}" if labels.count(label) > 1 else label for number, label in enumerate(labels, 1)]


def _label(parts: tuple[str, ...], depth: int) -> str:
    *folders, name = parts[-depth:]
    return "/".join([*folders, SUFFIXES.sub("", name) or name])


def keep_apart(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with ids that are unique over all inputs: one that two inputs share is led by its input.

    Transcript and gene ids are looked at apart; where one collides, all of its kind get the name of their input.
    """
    if _collide((one.transcript_id, one.input) for one in candidates):
        candidates = [replace(one, transcript_id=f"{one.input}/{one.transcript_id}") for one in candidates]
    if _collide((one.gene_id, one.input) for one in candidates):
        candidates = [replace(one, gene_id=f"{one.input}/{one.gene_id}") for one in candidates]
    return list(candidates)


def _collide(ids: Iterable[tuple[str, str]]) -> bool:
    """Whether an id is of two inputs."""
    owner: dict[str, str] = {}
    return any(owner.setdefault(name, given) != given for name, given in ids)
