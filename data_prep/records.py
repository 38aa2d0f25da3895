"""A whole FASTA in memory: for evaluations and probes, not for corpora."""

from pathlib import Path

import numpy as np

from data_prep.corpus import Ragged
from data_prep.errors import DataPrepError
from data_prep.formats.fasta import read_fasta


def read_records(path: str | Path, limit: int | None = None) -> tuple[list[str], list[str], Ragged]:
    """Ids (S,), header lines (S,) and upper-case sequences (S,) of the first `limit` records.

    Errors: DataPrepError for what is not FASTA, and for a record without a sequence.
    """
    ids: list[str] = []
    headers: list[str] = []
    sequences: list[bytes] = []
    for block in read_fasta(path):
        if not block.sequences.lengths.all():
            row = int(np.argmin(block.sequences.lengths))
            raise DataPrepError(f"{block.name(row)}: has no sequence; remove the record")
        ids += [name.decode("utf-8", "backslashreplace") for name in block.ids]
        headers += [header.decode("utf-8", "backslashreplace") for header in block.headers.rows()]
        sequences += block.sequences.rows()
        if limit is not None and len(ids) >= limit:
            break
    return ids[:limit], headers[:limit], Ragged.from_rows(sequences[:limit])
