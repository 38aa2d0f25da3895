"""GenBank and EMBL flat files as FASTA: accession with version, and the letters; features are left out."""

import re
from collections.abc import Iterable, Iterator

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.text import number_lines

FIRST_LINE = re.compile(rb"(?:LOCUS|ID) +([^\s;]+)(?:; SV (\w+);)?.*? (\d{1,18}) (?:bp|BP|aa|AA)\b")
VERSION = re.compile(rb"VERSION +([^\s]+)")
LETTERS = re.compile(rb"[A-Za-z*\-\s\d]*")  # with the numbers of the letters
NO_LETTERS = b" \t0123456789"


def flat_file_as_fasta(pieces: Iterable[bytes], file: str) -> Iterator[bytes]:
    """FASTA text, one piece a record.

    Raises:
        DataPrepError: A record without its first line, its end (`//`) or the number of letters that it tells of.
    """
    kind, name, told, parts, in_letters = "GenBank", b"", 0, list[bytes](), False
    for number, line in number_lines(pieces):
        if line.startswith(b"//"):
            letters = b"".join(parts)
            if not name or len(letters) != told:
                known = shown_name(name) or "without first line"
                raise _refused(file, kind, f"record {known}: {len(letters)} letters where it tells of {told}")
            yield b">%s\n%s\n" % (name, letters)
            name, parts, in_letters = b"", [], False
        elif in_letters:
            if not LETTERS.fullmatch(line):
                raise _refused(file, kind, f"line {number}: {shown(line)} where letters of a sequence were expected")
            parts.append(line.translate(None, NO_LETTERS))
        elif not name:
            if not line.strip():
                continue
            kind = "EMBL" if line.startswith(b"ID") else "GenBank"
            if not (first := FIRST_LINE.match(line)):
                raise _refused(
                    file, kind, f"line {number}: {shown(line)} where a first line with a length was expected"
                )
            name, told = first[1] + (b"." + first[2] if first[2] else b""), int(first[3])
        elif version := VERSION.match(line):
            name = version[1]
        else:
            in_letters = line.startswith((b"ORIGIN", b"SQ "))
    if name:
        raise _refused(file, kind, f"record {shown_name(name)} has no end (//)")


def _refused(file: str, kind: str, wrong: str) -> DataPrepError:
    return DataPrepError(
        f"{file}: this is {kind}, expected whole records: {wrong}; fetch it again with its sequences, or convert it to "
        "FASTA"
    )
