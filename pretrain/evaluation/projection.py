"""Embeddings in two dimensions, to look at: principal components, or UMAP where its package is installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class Projection:
    """S points in a plane.

    Attributes:
        method: ``pca`` or ``umap``.
        points: float64 (S, 2).
        axes: what the two axes are, in words.
    """

    method: str
    points: np.ndarray
    axes: tuple[str, str]


def check_method(method: str) -> None:
    """Raise PolymeraseError where the package of a method is not installed."""
    if method == "umap" and find_spec("umap") is None:
        raise PolymeraseError("--map umap needs the package umap-learn; pip install umap-learn, or take --map pca")


def project(values: np.ndarray, method: str = "pca", seed: int = 0) -> Projection:
    """Project embeddings (S, D).

    Raises:
        PolymeraseError: fewer than three embeddings (UMAP: four), or UMAP is asked for and not installed.
    """
    check_method(method)
    fewest = {"pca": 3, "umap": 4}[method]
    if len(values) < fewest:
        raise PolymeraseError(f"--map {method} needs {fewest} or more embeddings, got {len(values)}; give more records")
    if method == "umap":
        import umap

        neighbors = min(15, len(values) - 1)  # its default, where there are so many
        points = umap.UMAP(neighbors, n_components=2, random_state=seed, n_jobs=1).fit_transform(values)
        return Projection(method, np.asarray(points, np.float64), ("UMAP 1", "UMAP 2"))
    centered = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    left, singular, right = np.linalg.svd(centered, full_matrices=False)
    points = left[:, :2] * singular[:2]
    largest = np.abs(right[:2]).argmax(axis=1)
    points *= np.sign(right[[0, 1], largest])  # the sign of an axis means nothing, so it is fixed
    share = singular**2 / max(float((singular**2).sum()), 1e-300)
    return Projection(method, points, (f"component 1 ({share[0]:.1%})", f"component 2 ({share[1]:.1%})"))
