"""Sharpening allele frequencies before they become inputs and labels (recipes/mutbert.md#objective)."""

from __future__ import annotations

import numpy as np


def tempered(freq: np.ndarray, temperature: float, mode: str) -> np.ndarray:
    """Sharpen allele frequencies: float32 (R, 4) rows summing to 1 -> the same shape.

    ``softmax_of_probs`` is the published recipe: a softmax of the probabilities themselves divided by the temperature,
    over the alleles that occur; at temperature 1 upstream leaves the rows as they are. ``power`` is the calibrated
    form, p^(1/temperature) normalized. ``none`` changes nothing.
    """
    if mode == "none" or temperature == 1.0 or not len(freq):
        return freq
    if mode == "power":
        weight = np.power(freq, 1.0 / temperature)
    elif mode == "softmax_of_probs":
        weight = np.where(freq > 0, np.exp(freq / temperature), 0.0)
    else:
        raise ValueError(f"unknown temperature mode {mode!r}")
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
