"""Clusters of relatives: sequences per second, and what they say of families and clans that others drew up.

example:
  python -m data_prep.benchmarks.relatives seeds.fa.gz families.tsv --identity 0.8 [--table mmseqs_cluster.tsv]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import cpu_seconds, row
from data_prep.corpus.ragged import Ragged, offsets_of
from data_prep.filters.similarity import Relation, clusters
from data_prep.filters.similarity.cluster import unite
from data_prep.formats.fasta import read_fasta
from data_prep.formats.text import numbered_lines

SEQUENCES, NT = 100_000, 120
CHANGED = (0.0, 0.05, 0.1, 0.18)  # share of letters that differ from the parent, of the members of each family
WANTED_PER_SECOND = 1_000_000 / 600 / 2  # a million in ten minutes on two cores, for each core


def relative_rows(scratch: Path) -> list[dict[str, Any]]:
    """Sequences of 120 nt clustered per CPU second: families of four, and none related."""
    found = []
    for name, members in (("relatives", len(CHANGED)), ("strangers", 1)):
        sequences = made_up(SEQUENCES, members)
        start = cpu_seconds()
        clusters(sequences)
        rate = SEQUENCES / (cpu_seconds() - start)
        found.append(
            row(name, "sequences/CPU s", rate, "wanted", WANTED_PER_SECOND, "1 M of 120 nt in 10 min, 2 cores")
        )
    return found


def made_up(count: int, members: int) -> Ragged:
    """Random families in random order."""
    generator = np.random.default_rng(0)
    codes = np.repeat(generator.integers(0, 4, (count // members, NT)), members, axis=0)
    rate = np.tile(CHANGED[:members], count // members)[:, None]
    codes = (codes + (generator.random(codes.shape) < rate) * generator.integers(1, 4, codes.shape)) % 4
    letters = np.frombuffer(b"ACGU", np.uint8)[codes[generator.permutation(len(codes))]]
    return Ragged(letters.reshape(-1), offsets_of(np.full(len(letters), NT)))


def agreement(label: np.ndarray, family: np.ndarray, clan: np.ndarray) -> dict[str, Any]:
    """What clusters say of families: label, family, clan (S,) of each sequence."""
    sizes = _sizes(label)
    pairs, of_family = _pairs(label), _pairs(family)
    with_kin = _sizes(family) > 1
    in_family, in_clan = (_pairs(np.stack([label, names], axis=1)) for names in (family, clan))
    clans_of_cluster = np.unique(np.stack([label, clan], axis=1), axis=0)[:, 0]
    mixed = np.unique(clans_of_cluster, return_counts=True)
    mixed_clusters = mixed[0][mixed[1] > 1]
    return {
        "sequences": len(label),
        "clusters": len(np.unique(label)),
        "largest": int(sizes.max()),
        "pairs_within_families": of_family,
        "of_these_in_one_cluster": in_family,
        "sequences_of_families_with_a_relative_found": round(float((sizes[with_kin] > 1).mean()), 4),
        "pairs_across_clans_in_one_cluster": pairs - in_clan,
        "clusters_with_several_clans": len(mixed_clusters),
        "sequences_in_them": int(np.isin(label, mixed_clusters).sum()),
    }


def _sizes(names: np.ndarray) -> np.ndarray:
    """int64 (S,): how many share the name of each."""
    _, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    return counts[which]


def _pairs(names: np.ndarray) -> int:
    counts = np.unique(names, axis=0, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _of_table(path: str, ids: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of a table representative<TAB>member, and its pairs (P, 2) of different records."""
    number = {name: row for row, name in enumerate(ids)}
    lines = (line.split(b"\t") for _, line in numbered_lines(path) if line.strip())
    pairs = np.array([[number[one], number[other]] for one, other in lines])
    label = np.arange(len(ids))
    unite(label, pairs[:, 0], pairs[:, 1])
    return label, pairs[pairs[:, 0] != pairs[:, 1]]


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", help="headers `ID FAMILY`")
    parser.add_argument("families", help="table with a header and the columns family, id, type, clan")
    parser.add_argument("--identity", type=float, default=0.8)
    parser.add_argument("--table", help="representative<TAB>member of another program, compared too")
    args = parser.parse_args()
    blocks = list(read_fasta(args.fasta))
    headers = [header.split() for block in blocks for header in block.headers.rows()]
    table = [line.split(b"\t") for _, line in numbered_lines(args.families)][1:]
    clan_of = {fields[0]: fields[3] or fields[0] for fields in table}
    family = np.unique([header[1] for header in headers], return_inverse=True)[1]
    clan = np.unique([clan_of.get(header[1], header[1]) for header in headers], return_inverse=True)[1]
    start = cpu_seconds()
    label = clusters(
        Ragged.from_rows([row for block in blocks for row in block.sequences.rows()]), Relation(args.identity)
    )
    found = {"ours": {**agreement(label, family, clan), "cpu_seconds": round(cpu_seconds() - start, 1)}}
    if args.table:
        theirs, pairs = _of_table(args.table, [header[0] for header in headers])
        found["table"] = agreement(theirs, family, clan)
        together = label[pairs[:, 0]] == label[pairs[:, 1]]
        found["table"] |= {"pairs": len(pairs), "of_these_in_one_cluster_of_ours": int(together.sum())}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
