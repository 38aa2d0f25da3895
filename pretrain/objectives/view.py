"""What an objective sees of a micro-batch on the host, before anything becomes a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.data.raw_batch import RawBatch
from pretrain.masking import Masked
from pretrain.tokenizers import TokenBatch

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SampleView:
    """S samples of N tokens: what they are, and which of their positions were selected."""

    reads: RawBatch
    tokens: TokenBatch  # ids before corruption
    masked: Masked
    sample: np.ndarray  # int64 (N,): the sample of each token
    variant_token: np.ndarray  # int64 (R,): flat token position of each variant of ``reads``


@dataclass(frozen=True)
class Targets:
    """What one objective compares with: ``arrays["index"]`` are flat token positions (M,), the rest is its own.

    ``count`` is what its sum is divided by. An objective without a target in a batch still takes one position with a
    target that contributes nothing: every rank must use every parameter in every step, or collectives stop matching.
    """

    arrays: Arrays
    count: int
