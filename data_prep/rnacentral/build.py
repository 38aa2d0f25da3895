"""RNAcentral records on their way into a corpus: letters, containment, length, duplicates, types."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.corpus import SequenceWriter
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown_name
from data_prep.filters.clustering import Clusterer
from data_prep.filters.dedup import YOUNG_KEYS, RepeatedIds, SeenKeys, sequence_keys
from data_prep.filters.holdout import is_held_out
from data_prep.filters.records import AmbiguityFilter, LengthFilter, LetterFilter, RecordBatch, drop_duplicates
from data_prep.formats.fasta import read_fasta
from data_prep.nucleotides import ALPHABETS, Alphabet, count_ambiguous
from data_prep.rnacentral.type_table import TypeTable
from data_prep.rnacentral.types import RNA_TYPES, type_of_header
from data_prep.runtime.console import progress, warn


@dataclass(frozen=True)
class RnaPolicy:
    """What may enter; the filters run in this order. Lengths are nucleotides."""

    alphabet: str = "rna"
    letters: str = "iupac"  # or "acgun"
    max_ambiguous: float = 1.0  # share of ambiguity codes; records without any known letter never enter
    duplicates: str = "drop"  # or "containment", "keep"
    min_length: int = 1
    max_length: int | None = None
    validation: float = 0.01


# recipes/ernie_rna.md#data: clustered before the length filter, 1022 nt, 10 % held out. recipes/rnaernie.md#data:
# at most 512 nt, no validation set published; RNAErnie2 at most 2048 nt, letters A, C, G, U, T, N, 1 % held out.
PRESETS = {
    "plain": RnaPolicy(),
    "ernie_rna": RnaPolicy(duplicates="containment", max_length=1022, validation=0.1),
    "rnaernie": RnaPolicy(max_length=512),
    "rnaernie2": RnaPolicy(letters="acgun", max_length=2048),
}


def find_contained(
    file: str, policy: RnaPolicy, program: Clusterer, writer: SequenceWriter, threads: int
) -> np.ndarray:
    """Run the program and return which records that pass the letter filter lie in no other one, bool (R,)."""
    fasta = writer.scratch / "clusterable.fa"
    shortest, rows = program.shortest_nt, 0
    keep: list[np.ndarray] = [np.empty(0, bool)]
    with open(fasta, "wb") as handle:
        for records in read_records(file, policy, Tally()):
            short = records.lengths < shortest
            keep.append(short)
            numbers = np.flatnonzero(~short) + rows
            sequences = records.sequences.where(~short).rows()
            handle.writelines(b">%d\n%s\n" % row for row in zip(numbers.tolist(), sequences, strict=True))
            rows += len(records)
    mask = np.concatenate(keep)
    if not mask.all():
        mask[list(program.representatives(fasta, writer.scratch, threads))] = True
    return mask


def fill(
    writer: SequenceWriter,
    file: str,
    policy: RnaPolicy,
    types: TypeTable | None,
    wanted: np.ndarray | None,
    tally: Tally,
) -> None:
    """Write every record of the file that the policy admits; `wanted` as from `find_contained`."""
    length = LengthFilter(policy.min_length, policy.max_length, "drop")
    seen = SeenKeys(writer.scratch)
    repeated = RepeatedIds(writer.scratch, YOUNG_KEYS // 4)  # ids of RNAcentral hardly repeat: less memory will do
    row = 0
    for records in read_records(file, policy, tally):
        if wanted is not None:
            mask = wanted[row : row + len(records)]
            row += len(records)
            tally.keep("containment", int(mask.sum()))
            tally.drop("containment", "inside_another_sequence", int((~mask).sum()))
            records = records.where(mask)
        kept = length(records, tally)
        keys = sequence_keys(kept.sequences.slices())
        held_out = is_held_out(keys, policy.validation)
        first = np.ones(len(kept), bool)
        if policy.duplicates != "keep":
            first = drop_duplicates(kept, keys, seen, tally)
        for split, chosen in (("train", first & ~held_out), ("validation", first & held_out)):
            rows = kept.where(chosen)
            headers = rows.columns["header"]
            repeated.look_at(rows.ids)
            writer.append(split, rows.ids, rows.sequences, rna_type=_types(rows.ids, headers, types, tally))
    if types is not None:
        types.refuse_no_match(file)
    if repeated.count:
        warn(
            f"{file}: {repeated.count:,} ids are there again with another sequence, {shown_name(repeated.first)} first"
        )


def read_records(file: str, policy: RnaPolicy, tally: Tally) -> Iterator[RecordBatch]:
    """Blocks of records that pass the letter filter, with the column `header`."""
    alphabet = ALPHABETS[policy.alphabet]
    letters, ambiguity = LetterFilter(alphabet), AmbiguityFilter(alphabet, policy.max_ambiguous)
    with progress(description=file, unit="B") as bar:
        for block in read_fasta(file, alphabet.spell):
            bar.update(len(block.text))
            if not all(block.ids):
                raise DataPrepError(
                    f"{block.name(block.ids.index(b''))}: no id in the header; is it RNAcentral's FASTA?"
                )
            if not b"".join(block.ids).isascii():
                row = next(row for row, name in enumerate(block.ids) if not name.isascii())
                raise DataPrepError(f"{block.name(row)}: an id with letters outside ASCII; is it RNAcentral's FASTA?")
            filled = block.sequences.lengths > 0
            tally.keep("records", int(filled.sum()))
            tally.drop("records", "record_without_sequence", int((~filled).sum()))
            records = RecordBatch(block.ids, block.sequences, {"header": block.headers.rows()}).where(filled)
            records = letters(records, tally)
            if policy.letters == "acgun":
                records = _without_codes(records, alphabet.letters + b"N", tally)
            yield ambiguity(_with_known_letters(records, alphabet, tally), tally)


def _with_known_letters(records: RecordBatch, alphabet: Alphabet, tally: Tally) -> RecordBatch:
    mask = count_ambiguous(alphabet, records.sequences) < records.lengths
    tally.keep("known_letters", int(mask.sum()))
    tally.drop("known_letters", "only_ambiguous_letters", int((~mask).sum()))
    return records.where(mask)


def _without_codes(records: RecordBatch, allowed: bytes, tally: Tally) -> RecordBatch:
    mask = np.array([not sequence.translate(None, allowed) for sequence in records.sequences.rows()], bool)
    tally.keep("letters_acgun", int(mask.sum()))
    tally.drop("letters_acgun", "ambiguity_code_other_than_N", int((~mask).sum()))
    return records.where(mask)


def _types(ids: Sequence[bytes], headers: Sequence[bytes], table: TypeTable | None, tally: Tally) -> list[str | None]:
    """Types (R,): from the table where it has one, else from the header; counted where none or none of the 28."""
    found = [type_of_header(header) for header in headers]
    tally.keep("rna_type", len(found))
    if table:
        listed = table.look_up(ids)
        tally.change("rna_type", "from_the_table", len(ids) - listed.count(None))
        found = [one or told for one, told in zip(listed, found, strict=True)]
    tally.change("rna_type", "without_a_type", found.count(None))
    tally.change("rna_type", "type_outside_the_28_of_rnaernie", sum(kind not in RNA_TYPES for kind in found if kind))
    return found
