"""From stream positions to a micro-batch: read, tokenize, mask, label, pack. On the host, in loader workers too."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pretrain.data.position_weights import token_weights
from pretrain.data.raw_batch import RawBatch, merge
from pretrain.data.sources import Source
from pretrain.data.stream import SampleStream
from pretrain.masking import MaskingStrategy, SideInformation
from pretrain.models import PackedBatch, SideInput, SoftRows
from pretrain.objectives import Objective, SampleView, targets_of_all
from pretrain.rng import SampleRng, derive_seed, sample_keys
from pretrain.tokenizers import Tokenizer


@dataclass(frozen=True)
class MicroBatch:
    """S samples of N tokens on the host, ready to be sent to a device.

    Attributes:
        packed: input of the encoder.
        targets: per objective, its arrays as tensors.
        counts: per objective, the number of targets.
        denominators: per objective, the divisor of its sum (the number of targets, or the sum of their weights).
        groups: per objective, the denominator of each group of its targets, float64 (G,).
        digest: a checksum of inputs and targets, for comparing runs.
        dropout_seed: dropout belongs to the micro-batch, not to the rank that computes it.
    """

    packed: PackedBatch
    targets: dict[str, dict[str, Tensor]]
    counts: dict[str, int]
    denominators: dict[str, float]
    groups: dict[str, np.ndarray]
    digest: int
    dropout_seed: int
    block: Tensor | None = None  # the memory that all tensors lie in, where they do, see ``batches/block.py``
    start: int = 0  # stream position of its first sample
    filler: bool = False  # stands in for a turn in which this rank has nothing to do

    def map(self, change: Callable[[Tensor], Tensor]) -> MicroBatch:
        """Return a micro-batch whose tensors are ``change`` of these."""
        targets = {
            name: {key: change(values) for key, values in arrays.items()} for name, arrays in self.targets.items()
        }
        return replace(self, packed=self.packed.map(change), targets=targets)

    @property
    def sequences(self) -> int:
        """Number S of sequences."""
        return 0 if self.filler else len(self.packed.real_lengths)

    @property
    def tokens(self) -> int:
        """Number of tokens, padding apart."""
        return 0 if self.filler else sum(self.packed.real_lengths)


class MicroBatchBuilder:
    """Builder of the micro-batch of any span of stream positions; a pure function of the run's seed and the span.

    Args:
        sources: the corpora of the stream.
        stream: the order of their samples.
        tokenizer: encodes the sequences.
        masking: selects and corrupts tokens.
        objectives: compute the targets.
        side_inputs: host functions of inputs that only this model reads, by name.
        seed: the run's seed.
    """

    def __init__(
        self,
        sources: list[Source],
        stream: SampleStream,
        tokenizer: Tokenizer,
        masking: MaskingStrategy,
        objectives: dict[str, Objective],
        side_inputs: Mapping[str, SideInput],
        seed: int,
    ):
        self.sources, self.stream, self.tokenizer = sources, stream, tokenizer
        self._masking, self._objectives = masking, objectives
        self._side_inputs, self._seed = side_inputs, seed
        self._seeds = [derive_seed("corpus", seed, number) for number in range(len(sources))]

    def lengths_at(self, positions: np.ndarray) -> np.ndarray:
        """Return the tokens of the samples at stream positions int64 (S,): int64 (S,)."""
        samples = self.stream.at(positions)
        lengths = np.empty(len(positions), np.int64)
        for number, source in enumerate(self.sources):
            rows = samples.corpus == number
            if rows.any():
                lengths[rows] = source.token_counts(samples.index[rows])
        return lengths

    def make(self, start: int, stop: int) -> MicroBatch:
        """Build the micro-batch of stream positions [start, stop)."""
        raw, rng = self._read(np.arange(start, stop, dtype=np.int64))
        tokens = self.tokenizer.encode(raw.sequences, raw.rna_type if self.tokenizer.has_label_slot else None)
        if raw.crop is not None:
            trailing = self.tokenizer.lengths.specials - self.tokenizer.leading
            tokens = tokens.cropped(raw.crop.limit, raw.crop.place, trailing)
        variant_token = tokens.first_token_of(raw.variants.row, raw.variants.column)
        masked = self._masking(tokens, SideInformation(variant_positions=variant_token), rng)
        weight = token_weights(raw, tokens, self.tokenizer)
        view = SampleView(raw, tokens, masked, tokens.sequence, variant_token, weight)
        targets = targets_of_all(self._objectives, view)
        return MicroBatch(
            packed=self._pack(view),
            targets={
                name: {key: torch.from_numpy(array) for key, array in target.arrays.items()}
                for name, target in targets.items()
            },
            counts={name: target.count for name, target in targets.items()},
            denominators={name: target.denominator for name, target in targets.items()},
            groups={name: target.denominators for name, target in targets.items()},
            digest=zlib.crc32(masked.positions.tobytes(), zlib.crc32(masked.input_ids.tobytes())),
            dropout_seed=derive_seed("dropout", self._seed, start),
            start=start,
        )

    def _read(self, positions: np.ndarray) -> tuple[RawBatch, SampleRng]:
        samples = self.stream.at(positions)
        keys = np.empty(len(positions), np.uint64)
        parts, rows_of_parts = [], []
        for number, source in enumerate(self.sources):
            rows = np.flatnonzero(samples.corpus == number)
            if rows.size:
                keys[rows] = sample_keys(self._seeds[number], samples.epoch[rows], samples.index[rows])
                parts.append(source.read(samples.index[rows], SampleRng(keys[rows])))
                rows_of_parts.append(rows)
        return merge(parts, np.argsort(np.concatenate(rows_of_parts))), SampleRng(keys)

    def _pack(self, view: SampleView) -> PackedBatch:
        tokens, masked = view.tokens, view.masked
        lengths = np.diff(tokens.offsets)
        positions = np.arange(len(tokens.ids)) - np.repeat(tokens.offsets[:-1], lengths)
        return PackedBatch(
            input_ids=torch.from_numpy(masked.input_ids.astype(np.int64)),
            cu_seqlens=torch.from_numpy(tokens.offsets.astype(np.int32)),
            position_ids=torch.from_numpy(positions),
            lengths=lengths.tolist(),
            side={
                name: torch.from_numpy(fill(tokens.ids, masked.positions)) for name, fill in self._side_inputs.items()
            },
            soft_rows=self._soft_rows(view),
        )

    @staticmethod
    def _soft_rows(view: SampleView) -> SoftRows | None:
        """Variants that the model still sees: those whose token was not replaced."""
        if not len(view.variant_token):
            return None
        hidden = np.zeros(len(view.tokens.ids), bool)
        hidden[view.masked.positions[view.masked.replaced]] = True
        seen = ~hidden[view.variant_token]
        return SoftRows(torch.from_numpy(view.variant_token[seen]), torch.from_numpy(view.reads.variants.freq[seen]))


def dummy_batch(batch: MicroBatch) -> MicroBatch:
    """Build the smallest batch that uses every parameter, for turns in which a rank has nothing to do."""
    length = batch.packed.lengths[0]
    packed = PackedBatch.pack(
        batch.packed.input_ids[:length],
        [length],
        side={name: values[:length] for name, values in batch.packed.side.items()},
    )
    return MicroBatch(
        packed=packed,
        targets={name: _nothing(arrays) for name, arrays in batch.targets.items()},
        counts=dict.fromkeys(batch.counts, 0),
        denominators=dict.fromkeys(batch.denominators, 0.0),
        groups={name: np.zeros_like(group) for name, group in batch.groups.items()},
        digest=0,
        dropout_seed=0,
        filler=True,
    )


def _nothing(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """One target at position 0; what it is does not matter, a filler's coefficients are 0."""
    result = {}
    for name, values in arrays.items():
        rows = 0 if name.startswith("soft_") else 1
        result[name] = torch.zeros((rows, *values.shape[1:]), dtype=values.dtype)
    return result


def to_device(batch: MicroBatch, device: torch.device) -> tuple[PackedBatch, dict[str, dict[str, Tensor]]]:
    """Send a micro-batch, without waiting for the copy."""
    if device.type == "cuda":
        from pretrain.batches.block import sent

        batch = sent(batch, device)
    return batch.packed, batch.targets
