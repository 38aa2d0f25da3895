"""Writing a corpus of kind `sequences`: rows in, shards out, a folder that `datasets.load_from_disk` opens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from data_prep.corpus.files import pretty_json
from data_prep.corpus.manifest import tool_versions
from data_prep.corpus.ragged import Ragged
from data_prep.corpus.reader import Corpus
from data_prep.corpus.sequences import check_structures
from data_prep.corpus.staging import StagedFolder
from data_prep.corpus.statistics import merge_statistics, shard_statistics, summarize
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError

SPLITS = ("train", "validation")
COLUMNS = {
    "id": pa.string(),
    "sequence": pa.string(),
    "length": pa.int32(),
    "rna_type": pa.string(),
    "structure": pa.string(),
    "mfe_kcal_per_mol": pa.float32(),
    "source": pa.string(),
    "gene": pa.string(),
    "cluster": pa.string(),  # of relatives, or of a table: `split`
    "soft_mask": pa.binary(),  # uint32 pairs start, end of what was lower case in the source
}
REQUIRED = ("id", "sequence", "length")

# A shard is full with the row that reaches one of these. It is one record batch, held in memory while it fills.
SHARD_NUCLEOTIDES = 1 << 24
SHARD_ROWS = 1 << 17


class SequenceWriter:
    """A streaming writer of sequences; use as a context manager, then `finish`.

    Args:
        out: the folder to make.
        stage: name of the stage that makes the corpus.
        parameters: of the stage; a rerun with equal stage, parameters and sources keeps shards that are finished.
        sources: of the corpus, see `describe_source`.
        columns: optional columns beside id, sequence, length (names of COLUMNS).
        alphabet: ``rna`` or ``dna``.
        parent: the corpus this one was made from; its sources and stages are carried on.
        overwrite: replace a corpus of other input.
        repeatable: False if the sources do not identify the input (standard input): nothing earlier is kept.

    Attributes:
        complete: the output folder already holds exactly this; do nothing.

    Raises:
        DataPrepError: see StagedFolder.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        stage: str,
        parameters: dict[str, Any],
        sources: Sequence[dict[str, Any]] = (),
        columns: Sequence[str] = (),
        alphabet: str = "rna",
        parent: Corpus | None = None,
        overwrite: bool = False,
        repeatable: bool = True,
    ):
        self.schema = pa.schema([(name, COLUMNS[name]) for name in COLUMNS if name in REQUIRED or name in columns])
        self.alphabet = alphabet
        self.sources = [*(parent.manifest["sources"] if parent else []), *sources]
        self.stages = [*(parent.manifest["stages"] if parent else []), {"stage": stage, "parameters": parameters}]
        recipe = {"stages": self.stages, "sources": self.sources, "parent": parent.fingerprint if parent else None}
        self._folder = StagedFolder(out, recipe if repeatable else None, overwrite=overwrite)
        self.complete = self._folder.complete
        self._open = {split: _OpenShard() for split in SPLITS}
        self._shards: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}

    def __enter__(self) -> "SequenceWriter":
        self._folder.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._folder.__exit__(*error)

    @property
    def out(self) -> Path:
        """The final folder."""
        return self._folder.out

    @property
    def scratch(self) -> Path:
        """A folder for temporary files; what is left in it is not published."""
        return self._folder.path

    def append(self, split: str, ids: Sequence[Any], sequences: Ragged | Sequence[bytes], **columns: Any) -> None:
        """Add S rows: ids as str or UTF-8 bytes, sequences of ASCII bytes, optional columns with None = no value."""
        rows = sequences if isinstance(sequences, Ragged) else Ragged.from_rows(sequences)
        self._append(split, rows, {"id": ids, "sequence": _text_array(rows), "length": rows.lengths, **columns})

    def append_batch(self, split: str, batch: pa.RecordBatch) -> None:
        """Add rows that are Arrow columns already (those of `schema`)."""
        columns = {name: batch.column(name) for name in self.schema.names}
        self._append(split, Ragged.from_arrow(batch.column("sequence")), columns)

    def _append(self, split: str, sequences: Ragged, values: dict[str, Any]) -> None:
        first, lengths = 0, sequences.lengths
        while first < len(lengths):
            last = first + self._open[split].room(lengths[first:])
            fitting = sequences if last - first == len(lengths) else sequences.part(first, last)
            self._open[split].add(fitting, {name: column[first:last] for name, column in values.items()})
            if self._open[split].full:
                self._close(split)
            first = last

    def shard_is_finished(self, split: str, number: int) -> bool:
        """Tell whether an earlier run of the same recipe left this shard; then call `keep_shard` for it."""
        return _shard_name(split, number) in self._folder.finished

    def keep_shard(self, split: str, number: int) -> dict[str, Any]:
        """Take over a finished shard; returns its facts."""
        name = _shard_name(split, number)
        self._shards[split].append({"file": name, **self._folder.finished[name]})
        return self._shards[split][-1]

    def write_shard(self, split: str, number: int, batch: pa.RecordBatch, **facts: Any) -> dict[str, Any]:
        """Write one whole shard (for stages that work shard by shard); columns must equal `schema`.

        facts: what a rerun must know of a shard that it keeps; returned with the other facts.
        """
        return self._write(split, number, batch, Ragged.from_arrow(batch.column("sequence")).letter_counts, **facts)

    def _write(
        self, split: str, number: int, batch: pa.RecordBatch, letter_counts: np.ndarray, **facts: Any
    ) -> dict[str, Any]:
        def write(file: BinaryIO) -> None:
            with pa.ipc.new_stream(file, self.schema) as stream:
                stream.write_batch(batch)

        name = _shard_name(split, number)
        check_structures(batch, f"{self.out}/{name}")
        nucleotides = int(batch.column("length").to_numpy().sum(dtype=np.int64))
        statistics = shard_statistics(batch, letter_counts)
        facts = self._folder.add(name, write, rows=len(batch), nucleotides=nucleotides, statistics=statistics, **facts)
        self._shards[split].append({"file": name, **facts})
        return self._shards[split][-1]

    def finish(
        self, tally: Tally, *, tools: Sequence[str] = (), held_out_asked: bool = False, **notes: Any
    ) -> dict[str, Any]:
        """Write the last shards and the manifest, move the folder to its place; returns the manifest.

        tools: distributions whose versions shaped the data; held_out_asked: the user gave the share of validation, so
        that an empty one is an error (with a default it is a warning of `report`: a file of one record is no mistake);
        notes: further facts of this stage for the manifest.
        """
        for split in SPLITS:
            if self._open[split].rows or not self._shards[split]:
                self._close(split)
        if not any(shard["rows"] for shard in self._shards["train"]):
            dropped = ", ".join(f"{reason} {count}" for reason, count in tally.dropped().most_common())
            held_out = sum(shard["rows"] for shard in self._shards["validation"])
            advice = f"; all {held_out:,} others are held out, lower --validation" if held_out else ""
            raise DataPrepError(
                f"{self.out}: no training sequence is left (dropped: {dropped or 'none'}){advice}; nothing written"
            )
        asked = self.stages[-1]["parameters"].get("validation")
        if asked and held_out_asked and not any(shard["rows"] for shard in self._shards["validation"]):
            none = "" if self.stages[-1]["stage"] == "split" else ", or ask for none with --validation 0"
            raise DataPrepError(
                f"{self.out}: the validation split is empty, so no run on this corpus could be judged: expected "
                f"sequences with --validation {asked:g}, got none; raise it{none}; nothing written"
            )
        self.stages[-1] |= {"filters": tally.to_json(), **notes}
        for split in SPLITS:
            self._add_dataset_files(split)
        self._folder.add("dataset_dict.json", pretty_json({"splits": list(SPLITS)}))
        return self._folder.publish(
            "sequences",
            {
                "alphabet": self.alphabet,
                "columns": self._column_types(),
                "sources": self.sources,
                "tools": tool_versions(*tools),
                "stages": self.stages,
                "splits": {split: self._describe(split) for split in SPLITS},
            },
        )

    def _close(self, split: str) -> None:
        shard = self._open[split]
        self._write(split, len(self._shards[split]), shard.as_batch(self.schema), shard.letter_counts)
        self._open[split] = _OpenShard()

    def _describe(self, split: str) -> dict[str, Any]:
        shards = self._shards[split]
        summary = summarize(merge_statistics([shard["statistics"] for shard in shards]))
        return {**summary, "shards": [{key: shard[key] for key in ("file", "rows", "nucleotides")} for shard in shards]}

    def _column_types(self) -> dict[str, str]:
        # Arrow prints float32 as "float", which `datasets` and numpy read as another type.
        return {field.name: str(field.type).replace("float", "float32") for field in self.schema}

    def _add_dataset_files(self, split: str) -> None:
        """The two small files that `datasets` wants beside its Arrow files."""
        features = {name: {"dtype": kind, "_type": "Value"} for name, kind in self._column_types().items()}
        info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
        state = {
            "_data_files": [{"filename": shard["file"].split("/")[1]} for shard in self._shards[split]],
            "_fingerprint": self._shards[split][0]["sha256"][:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        self._folder.add(f"{split}/dataset_info.json", pretty_json(info))
        self._folder.add(f"{split}/state.json", pretty_json(state))


class _OpenShard:
    """Rows waiting for their shard to be full."""

    def __init__(self) -> None:
        self.rows = 0
        self.nucleotides = 0
        self.letter_counts = np.zeros(256, np.int64)
        self._columns: dict[str, list[pa.Array]] = {}

    @property
    def full(self) -> bool:
        return self.rows >= SHARD_ROWS or self.nucleotides >= SHARD_NUCLEOTIDES

    def room(self, lengths: np.ndarray) -> int:
        """How many of the next rows belong to this shard; depends on the rows alone, not on how they arrive."""
        by_nucleotides = int(np.searchsorted(np.cumsum(lengths), SHARD_NUCLEOTIDES - self.nucleotides)) + 1
        return min(len(lengths), by_nucleotides, SHARD_ROWS - self.rows)

    def add(self, sequences: Ragged, columns: dict[str, Any]) -> None:
        # Arrow arrays and counts at once, while the strings are still in the processor's cache.
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(_array(values, COLUMNS[name]))
        self.rows += len(sequences)
        self.nucleotides += len(sequences.values)
        self.letter_counts += sequences.letter_counts

    def as_batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """Everything as one record batch."""
        if not self.rows:
            return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
        return pa.record_batch([pa.concat_arrays(self._columns[name]) for name in schema.names], schema=schema)


def _shard_name(split: str, number: int) -> str:
    return f"{split}/shard-{number:05d}.arrow"


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    """An Arrow column of n values; NaN and None both mean: no value."""
    if isinstance(values, pa.Array):
        return values
    if kind == pa.binary():
        return pa.array(values, kind)
    if kind == pa.int32():
        return pa.array(np.asarray(values, np.int32))
    if kind == pa.float32():
        return pa.array(np.array(values, np.float32), kind, from_pandas=True)
    try:
        rows = Ragged.from_rows(values)
    except TypeError:  # text, or rows without value
        return pa.array(values, kind)
    # Most texts are ASCII bytes: then the buffers are made at once; pa.array would look at every string.
    return _text_array(rows) if rows.values.max(initial=0) < 128 else pa.array(values, kind)


def _text_array(rows: Ragged) -> pa.StringArray:
    offsets = pa.py_buffer(rows.offsets.astype(np.int32))
    return pa.StringArray.from_buffers(len(rows), offsets, pa.py_buffer(rows.values))
