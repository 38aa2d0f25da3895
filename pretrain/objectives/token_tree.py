"""A tree whose leaves are the tokens of a vocabulary: codons under their amino acids, or whatever a file says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pretrain.errors import PolymeraseError

ROOT = "all_tokens"
_AMINO_ACIDS = (
    "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"  # of codons in the order of T, C, A, G
)


def codon_parents(vocabulary: Sequence[str]) -> dict[str, str]:
    """Return child -> parent: codons under amino acids, the start codon and the stop codons; special tokens alone."""
    letters = "TCAG"
    acids = {a + b + c: _AMINO_ACIDS[16 * i + 4 * j + k]
             for i, a in enumerate(letters) for j, b in enumerate(letters) for k, c in enumerate(letters)}  # fmt: skip
    parents = {"codons": ROOT, "start_codon": "codons", "aa_codons": "codons", "end_codon": "codons"}
    for token in vocabulary:
        acid = acids.get(token)
        if acid is None:
            parents |= {f"{token} token": ROOT, token: f"{token} token"}
        elif acid in "M*":
            parents[token] = "start_codon" if acid == "M" else "end_codon"
        else:
            parents |= {f"amino acid {acid}": "aa_codons", token: f"amino acid {acid}"}
    return parents


def read_parents(path: Path) -> dict[str, str]:
    """Read a JSON object of child -> parent.

    Raises:
        PolymeraseError: no such file, or another form.
    """
    try:
        parents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise PolymeraseError(f"{path}: cannot be read ({why.strerror})") from None
    except ValueError as why:
        raise PolymeraseError(
            f"{path}: expected a JSON object of child: parent, got text that is not JSON ({why})"
        ) from None
    if not isinstance(parents, dict) or not all(isinstance(parent, str) for parent in parents.values()):
        raise PolymeraseError(f"{path}: expected a JSON object of child: parent, both names")
    return parents


@dataclass(frozen=True)
class TokenTree:
    """A tree whose leaves are tokens, with its nodes numbered from the root, 0.

    Attributes:
        path: int64 (V, D), nodes from each token's own leaf upwards, without the root; padded with the root.
        depth: int64 (K,), edges from the root to each node.
        under: bool (K, V), whether each token lies under each node.
    """

    path: np.ndarray
    depth: np.ndarray
    under: np.ndarray

    @classmethod
    def build(cls, parents: Mapping[str, str], vocabulary: Sequence[str], where: str) -> TokenTree:
        """Number the nodes of a tree.

        Raises:
            PolymeraseError: a cycle, several roots, a leaf that is no token, or a token that is no leaf.
        """
        roots = sorted(set(parents.values()) - set(parents))
        chains = {token: _ancestors(token, parents, where) for token in vocabulary if token in parents}
        if missing := [token for token in vocabulary if token not in parents]:
            raise PolymeraseError(f"{where}: token {missing[0]!r} of the vocabulary is not a leaf; give it a parent")
        if len(roots) != 1:
            raise PolymeraseError(f"{where}: expected one root, got {len(roots)} ({', '.join(roots[:5]) or 'a cycle'})")
        for node in parents:  # cycles that no token leads into
            _ancestors(node, parents, where)
        inner = set(parents.values())
        if strange := sorted(set(parents) - inner - set(vocabulary)):
            raise PolymeraseError(f"{where}: leaf {strange[0]!r} is not a token of the vocabulary; leave it out")
        if both := [token for token in vocabulary if token in inner]:
            raise PolymeraseError(f"{where}: token {both[0]!r} has children; tokens are leaves")
        number = {name: place for place, name in enumerate([roots[0], *parents])}
        deepest = max(map(len, chains.values()))
        path = np.zeros((len(vocabulary), deepest), np.int64)
        under = np.zeros((len(number), len(vocabulary)), bool)
        under[0] = True
        for row, token in enumerate(vocabulary):
            nodes = [number[name] for name in chains[token]]
            path[row, : len(nodes)] = nodes
            under[nodes, row] = True
        depth = np.array([0, *(len(_ancestors(name, parents, where)) for name in parents)])
        return cls(path, depth, under)

    def edge_weights(self, alpha: float) -> np.ndarray:
        """Return exp(-alpha depth) over its sum over all nodes, for each edge of ``path``; float64 (V, D).

        It is 0 behind the last edge.
        """
        weight = np.exp(-alpha * self.depth)
        return np.where(self.path > 0, (weight / weight.sum())[self.path], 0.0)

    def distances(self) -> np.ndarray:
        """Return the depth of the deepest leaf minus that of the lowest common ancestor, int64 (V, V); 0 to itself."""
        lowest = np.zeros(2 * (self.under.shape[1],), np.int64)
        for node in np.argsort(self.depth):
            lowest[np.ix_(self.under[node], self.under[node])] = self.depth[node]
        distance = self.depth.max() - lowest
        np.fill_diagonal(distance, 0)
        return distance


def _ancestors(name: str, parents: Mapping[str, str], where: str) -> list[str]:
    """The node and all above it but the root."""
    chain: list[str] = []
    while name in parents:
        if name in chain:
            raise PolymeraseError(f"{where}: a cycle through {name!r} ({' -> '.join([*chain, name])}); break it")
        chain.append(name)
        name = parents[name]
    return chain
