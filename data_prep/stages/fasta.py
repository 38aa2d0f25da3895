"""Any FASTA to a corpus: one or more files, compressed or not (gz, bgz, bz2, xz, zst), or `-` for standard input.

Sequences are stored in upper case and in one spelling (T becomes U, or the reverse with --alphabet dna). Then, in this
order, records are dropped or changed by their letters, by their length, by their share of ambiguity codes (of what is
left after cropping or cutting), and if they were seen before; every drop is counted by reason in manifest.json. Of a
Stockholm alignment the sequences are read, gaps removed; `source` keeps the family. A sequence goes to the validation
split if a hash of it says so, so that a rerun gives the same corpus and a duplicate never straddles the splits.

example:
  python -m data_prep fasta rnas.fa.gz --out corpora/rnas --max-length 1022 --long crop
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.corpus import Ragged, SequenceWriter, describe_source
from data_prep.corpus.spans import soft_mask_column
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown_name
from data_prep.filters.coding import CodingFilter
from data_prep.filters.dedup import RepeatedIds, SeenKeys, sequence_keys
from data_prep.filters.holdout import is_held_out
from data_prep.filters.records import (
    GAPPED,
    PROTEIN,
    STRUCTURED,
    AmbiguityFilter,
    LengthFilter,
    LetterFilter,
    RecordBatch,
    drop_duplicates,
)
from data_prep.formats.fasta import FastaBlock, is_stockholm, read_fasta
from data_prep.formats.file_names import distinct_names, refuse_repeated_files
from data_prep.formats.header_labels import COLUMNS, utr_lm_labels
from data_prep.nucleotides import ALPHABETS
from data_prep.runtime.console import add_output_arguments, already_complete, progress, report, warn

# What makes the corpus, hence what its manifest records and what a rerun must repeat.
PARAMETERS = (
    "alphabet", "gaps", "max_ambiguous", "min_length", "max_length", "long", "duplicates", "validation",
    "bad_records", "type_field", "header_labels", "keep_case", "codons",
)  # fmt: skip

HELD_OUT = 0.05  # share of validation, unless asked for
ENOUGH_RECORDS = 1000  # to judge a file by its beginning
UNMEANT = {
    PROTEIN: "letters of amino acids; this is a protein FASTA, give nucleotides",
    STRUCTURED: "a structure below the letters: take its lines out, and fold the corpus (the stage fold)",
    GAPPED: "gaps (- . ~): this is an alignment; give --gaps remove to take them out, or sequences without gaps",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="FASTA files; - reads standard input")
    add_output_arguments(parser)
    parser.add_argument("--alphabet", choices=ALPHABETS, default="rna", help="store U (rna, default) or T (dna)")
    parser.add_argument(
        "--gaps", choices=("drop", "remove"), default="drop",
        help="records with the gaps of an alignment (- . ~): drop them (default), or take the gaps out",
    )  # fmt: skip
    parser.add_argument(
        "--max-ambiguous", type=float, default=0.1, metavar="FRACTION",
        help="drop what has a larger share of N, R, Y, …, after cropping or cutting (default 0.1)",
    )  # fmt: skip
    parser.add_argument("--min-length", type=int, default=1, metavar="NT", help="drop shorter records (default 1)")
    parser.add_argument("--max-length", type=int, metavar="NT", help="longest record (default: no limit)")
    parser.add_argument(
        "--long", choices=("drop", "crop", "pieces"), default="drop",
        help="records above --max-length: drop them (default), keep their start, or cut them into pieces",
    )  # fmt: skip
    parser.add_argument(
        "--duplicates", choices=("drop", "keep"), default="drop", help="records whose stored sequence was seen before"
    )
    parser.add_argument(
        "--validation", type=float, metavar="FRACTION", help=f"share of held-out sequences (default {HELD_OUT})"
    )
    parser.add_argument(
        "--bad-records", choices=("fail", "drop"), default="fail",
        help="records without name or sequence, or with one that is not UTF-8 text: fail (default), or drop and count",
    )  # fmt: skip
    parser.add_argument(
        "--type-field",
        type=int,
        metavar="N",
        help="take the RNA type from the N-th word of the header (2: after the id)",
    )
    parser.add_argument(
        "--keep-case", action="store_true",
        help="remember which letters are lower case (soft-masked); sequences are stored in upper case all the same",
    )  # fmt: skip
    parser.add_argument(
        "--codons", choices=("error", "drop", "crop"),
        help="coding sequences in frame: what to do with partial codons at the end; stop codons inside: error, or drop",
    )  # fmt: skip
    parser.add_argument(
        "--header-labels", choices=("utr_lm",),
        help="headers are `MFE|dot-bracket|source|species|normalized MFE`: keep structure, energy and source",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    asked = args.validation is not None
    args.validation = args.validation if asked else HELD_OUT
    _check(args)
    parameters = {name: getattr(args, name) for name in PARAMETERS}
    # Standard input has no checksum before it was read: it is never taken for the input of an earlier run.
    sources = [{"name": "-"} if file == "-" else describe_source(file) for file in args.files]
    columns = ["rna_type"] if args.type_field else []
    columns += ["source"] if len(args.files) > 1 or any(map(is_stockholm, args.files)) else []
    columns += COLUMNS if args.header_labels else []
    columns += ["soft_mask"] if args.keep_case else []
    with SequenceWriter(
        args.out, stage="fasta", parameters=parameters, sources=sources, columns=columns, alphabet=args.alphabet,
        overwrite=args.overwrite, repeatable="-" not in args.files,
    ) as writer:  # fmt: skip
        if writer.complete:
            return already_complete(writer.out)
        tally = Tally()
        _fill(writer, args, tally)
        report(writer.finish(tally, tools=["numpy"], held_out_asked=asked), writer.out)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.min_length < 1:
        raise DataPrepError(f"--min-length must be 1 or more, got {args.min_length}")
    if args.max_length is not None and args.max_length < args.min_length:
        raise DataPrepError(f"--max-length {args.max_length} is below --min-length {args.min_length}")
    if args.long != "drop" and args.max_length is None:
        raise DataPrepError(f"--long {args.long} needs --max-length")
    if not 0 <= args.max_ambiguous <= 1:
        raise DataPrepError(f"--max-ambiguous must lie between 0 and 1, got {args.max_ambiguous}")
    if not 0 <= args.validation < 1:
        raise DataPrepError(
            f"--validation must lie between 0 and 1, got {args.validation}; below 1, or nothing is left to train on"
        )
    for name in ("long", "codons", "gaps"):
        if args.header_labels and getattr(args, name) in ("crop", "pieces", "remove"):
            raise DataPrepError(
                f"--{name} {getattr(args, name)}: a structure in the header is that of the whole sequence; take "
                f"--{name} drop, or leave --header-labels out"
            )
    if args.type_field is not None and args.type_field < 2:
        raise DataPrepError("--type-field counts words of the header from 1, and the first is the id: give 2 or more")
    refuse_repeated_files(args.files)


def _fill(writer: SequenceWriter, args: argparse.Namespace, tally: Tally) -> None:
    letters = LetterFilter(ALPHABETS[args.alphabet], args.gaps)
    length = LengthFilter(args.min_length, args.max_length, args.long)
    ambiguity = AmbiguityFilter(ALPHABETS[args.alphabet], args.max_ambiguous)
    seen = SeenKeys(writer.scratch)
    names = RepeatedIds(writer.scratch)
    sources = dict(zip(args.files, distinct_names(args.files), strict=True))
    typed = 0
    for file, block in _blocks(args, tally):
        records = _well_formed(block, args, sources[file], tally)
        if args.type_field:
            untyped = list(records.columns["rna_type"]).count(None)
            typed += len(records) - untyped
            if untyped:
                tally.change("records", "without_a_type", untyped)
        names.look_at(records.ids)
        kept = length(letters(records, tally), tally)
        kept = ambiguity(CodingFilter(args.codons, file)(kept, tally) if args.codons else kept, tally)
        keys = sequence_keys(kept.sequences.slices())
        held_out = is_held_out(keys, args.validation)
        first = drop_duplicates(kept, keys, seen, tally) if args.duplicates == "drop" else np.ones(len(kept), bool)
        for split, mask in (("train", first & ~held_out), ("validation", first & held_out)):
            rows = kept.where(mask)
            columns = dict(rows.columns)
            if rows.soft_mask is not None:
                columns["soft_mask"] = soft_mask_column(rows.soft_mask)
                tally.change("letters", "soft_masked_nucleotides", int(np.count_nonzero(rows.soft_mask.values)))
            writer.append(split, rows.ids, rows.sequences, **columns)
    if args.type_field and not typed:
        raise DataPrepError(f"--type-field {args.type_field}: no header has so many words; give the number of another")
    if names.count:
        tally.change("records", "id_seen_before", names.count)
        warn(
            f"{names.count:,} records have an id that an earlier one has (the first: {shown_name(names.first)}); the "
            "corpus keeps them under one id, so tables of ids (split --clusters) cannot tell them apart"
        )


def _blocks(args: argparse.Namespace, tally: Tally) -> Iterator[tuple[str, FastaBlock]]:
    """The blocks of all files, unless a file turns out to be of proteins."""
    spell = (lambda letters: letters) if args.keep_case else ALPHABETS[args.alphabet].spell
    for file in args.files:
        records, before = 0, tally.dropped()
        with progress(description=file, unit="B") as bar:
            for block in read_fasta(file, spell):
                yield file, block
                bar.update(len(block.text))
                records += len(block.ids)
                if records >= ENOUGH_RECORDS:
                    _refuse_other_kinds(file, tally.dropped() - before, records)
            _refuse_other_kinds(file, tally.dropped() - before, records)


def _refuse_other_kinds(file: str, dropped: Counter[str], records: int) -> None:
    """A file whose records are mostly dropped for one of these reasons was not meant for this stage as it is."""
    for reason, meaning in UNMEANT.items():
        if dropped[reason] > records / 2:
            raise DataPrepError(f"{file}: {dropped[reason]} of the first {records} records have {meaning}")


def _well_formed(block: FastaBlock, args: argparse.Namespace, source: str, tally: Tally) -> RecordBatch:
    bad = np.zeros(len(block.ids), bool)
    types = _types(block, args.type_field) if args.type_field else None
    labels = utr_lm_labels(block) if args.header_labels else None
    for reason, rows in {**_defects(block, types or []), **(labels.defects if labels else {})}.items():
        rows = [row for row in rows if not bad[row]]
        if rows and args.bad_records == "fail":
            raise DataPrepError(
                f"{block.name(rows[0])}: {reason}; fix it, or drop and count such records with --bad-records drop"
            )
        bad[rows] = True
        tally.drop("records", reason.replace(" ", "_"), len(rows))
    tally.keep("records", int((~bad).sum()))
    tally.change("records", "comment_lines_left_out", block.comment_lines)
    columns: dict[str, Any] = {}
    if types is not None:
        columns["rna_type"] = types
    if len(args.files) > 1 or block.is_stockholm:
        columns["source"] = _sources(block, source, several=len(args.files) > 1)
    ids = block.ids
    if labels:  # such headers have no name
        columns |= labels.columns
        ids = [b"%d" % (block.first_record + row) for row in range(len(block.ids))]
    sequences, soft_mask = block.sequences, None
    if args.keep_case:
        soft_mask = Ragged((sequences.values >= ord("a")).view(np.uint8), sequences.offsets)
        sequences = Ragged(ALPHABETS[args.alphabet].spell(sequences.values), sequences.offsets)
    return RecordBatch(ids, sequences, columns, soft_mask).where(~bad)


def _sources(block: FastaBlock, file: str, *, several: bool) -> list[bytes]:
    """What each record (R,) comes from: the file where there are several, the family of an alignment, or both."""
    parts = [[file.encode()] * len(block.ids)] if several else []
    if block.is_stockholm:
        parts.append([header.partition(b" ")[2] for header in block.headers.rows()])
    return [b"|".join(filter(None, words)) for words in zip(*parts, strict=True)]


def _types(block: FastaBlock, field: int) -> list[bytes | None]:
    """The word of each header (R,) that is the type, None where there are fewer."""
    words = [header.split() for header in block.headers.rows()]
    return [fields[field - 1] if len(fields) >= field else None for fields in words]


def _defects(block: FastaBlock, types: list[bytes | None]) -> dict[str, list[int]]:
    """Rows of malformed records by what is wrong with them."""
    defects: dict[str, list[int]] = {}
    if not all(block.ids):
        defects["record without name"] = [row for row, name in enumerate(block.ids) if not name]
    if not block.sequences.lengths.all():
        defects["record without sequence"] = np.flatnonzero(block.sequences.lengths == 0).tolist()
    if not b"".join(block.ids).isascii():
        defects["name is not UTF-8"] = [row for row, name in enumerate(block.ids) if not _is_utf8(name)]
    if odd := [row for row, kind in enumerate(types) if kind and not _is_utf8(kind)]:
        defects["type is not UTF-8"] = odd
    return defects


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
