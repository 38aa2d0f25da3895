"""Reading a split of kind `sequences` through the Arrow buffers, without copying them."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.corpus.ragged import Ragged, offsets_of
from data_prep.errors import DataPrepError


def open_split(folder: Path, manifest: dict[str, Any], split: str) -> "SequenceTable":
    """Open a split of kind `sequences`, for `Corpus.split`."""
    return SequenceTable(folder, [shard["file"] for shard in manifest["splits"][split]["shards"]])


class SequenceTable:
    """Rows of one split. Shards are memory-mapped: a corpus larger than memory costs no memory but 4 bytes a row."""

    def __init__(self, folder: Path, shards: list[str]):
        self._origin = (folder, shards)
        self._batches = [_map_shard(folder / name) for name in shards]
        self._first_row = offsets_of(np.array([len(batch) for batch in self._batches], np.int64))

    def __reduce__(self):
        # Workers that are spawned map the files themselves.
        return SequenceTable, self._origin

    def __len__(self) -> int:
        return int(self._first_row[-1])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Nucleotides of each row, int32 (rows,)."""
        columns = [batch.column("length").to_numpy() for batch in self._batches]
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    def has(self, column: str) -> bool:
        """Tell whether the corpus has an optional column (`rna_type`, `structure`, `mfe_kcal_per_mol`, `source`, …)."""
        return column in self.columns

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self._batches[0].schema.names

    def gather(self, indices: np.ndarray) -> Ragged:
        """Return the sequences of rows `indices` int64 (S,), in that order, as ASCII bytes."""
        return self.gather_text("sequence", indices)

    def gather_text(self, column: str, indices: np.ndarray) -> Ragged:
        """Return any text column of rows `indices` (S,); rows without a value have length 0."""
        shard, row = self._locate(indices)
        starts, stops = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
        buffers: dict[int, memoryview] = {}
        for number in np.unique(shard).tolist():
            array = self._batches[number].column(column)
            _, offset_buffer, value_buffer = array.buffers()
            offsets = np.frombuffer(offset_buffer, np.int32)
            buffers[number] = memoryview(value_buffer) if value_buffer else memoryview(b"")
            chosen = shard == number
            starts[chosen] = offsets[row[chosen]]
            stops[chosen] = offsets[row[chosen] + 1]
        # One slice per row and one join beat flat index arrays: no 8-byte index per letter.
        slices = zip(shard.tolist(), starts.tolist(), stops.tolist(), strict=True)
        flat = b"".join([buffers[number][start:stop] for number, start, stop in slices])
        return Ragged(np.frombuffer(flat, np.uint8), offsets_of(stops - starts))

    def mfe_kcal_per_mol(self, indices: np.ndarray) -> np.ndarray:
        """Return minimum free energies, float32 (S,), NaN if there is no label (or no such column)."""
        if not self.has("mfe_kcal_per_mol"):
            return np.full(len(indices), np.nan, np.float32)
        shard, row = self._locate(indices)
        energies = np.empty(len(row), np.float32)
        for number in np.unique(shard).tolist():
            chosen = shard == number
            column = self._batches[number].column("mfe_kcal_per_mol").take(pa.array(row[chosen]))
            energies[chosen] = column.to_numpy(zero_copy_only=False)
        return energies

    def rna_type(self, indices: np.ndarray) -> list[str | None]:
        """Return the type label of each row (S,), None if there is none."""
        if not self.has("rna_type"):
            return [None] * len(indices)
        return [text.decode() or None for text in self.gather_text("rna_type", indices).rows()]

    def codes(self, column: str) -> np.ndarray:
        """int64 (rows,): equal numbers where a text column is equal, from 0; -1 for rows without a value."""
        texts = pa.chunked_array([batch.column(column) for batch in self._batches])
        encoded = pc.if_else(pc.equal(texts, ""), None, texts).dictionary_encode().unify_dictionaries()
        chunks = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
        return np.concatenate(chunks).astype(np.int64)

    def ids(self, indices: np.ndarray) -> list[str]:
        """Return the id of each row (S,)."""
        return [text.decode() for text in self.gather_text("id", indices).rows()]

    def batches(self) -> list[pa.RecordBatch]:
        """Return the shards in order, memory-mapped: for stages that read the whole corpus."""
        return self._batches

    def check(self) -> None:
        """Raise DataPrepError if a structure is not as long as its sequence."""
        folder, names = self._origin
        for name, batch in zip(names, self._batches, strict=True):
            check_structures(batch, str(folder / name))

    def _locate(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers (S,) to shard numbers (S,) and rows inside the shards (S,)."""
        indices = np.asarray(indices, np.int64)
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"row indices must lie in [0, {len(self)}), got {indices.min()}..{indices.max()}")
        shard = np.searchsorted(self._first_row, indices, side="right") - 1
        return shard, indices - self._first_row[shard]


def check_structures(batch: pa.RecordBatch, place: str) -> None:
    """Raise DataPrepError, naming `place`, for the first row whose structure is not as long as its sequence.

    Rows without a structure (null or empty) are fine.
    """
    if "structure" not in batch.schema.names:
        return
    length = batch.column("length").to_numpy()
    symbols = pc.fill_null(pc.binary_length(batch.column("structure")), 0).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((symbols != 0) & (symbols != length))
    if len(wrong):
        row = int(wrong[0])
        raise DataPrepError(
            f"{place}: row {batch.column('id')[row].as_py()!r} has a structure of {symbols[row]} symbols and a "
            f"sequence of {length[row]} nucleotides ({len(wrong):,} such rows); fold the corpus again"
        )


def _map_shard(path: Path) -> pa.RecordBatch:
    """The one record batch of a shard file."""
    try:
        reader = pa.ipc.open_stream(pa.memory_map(str(path)))
        return reader.read_next_batch()
    except (OSError, pa.ArrowException, StopIteration) as error:
        raise DataPrepError(
            f"{path}: not a readable Arrow shard ({error}); copy it or build the corpus again"
        ) from None
