"""What counts as FASTA, for every reader of it: `read_fasta` (blocks of records) and `read_contigs` (genomes).

Before the first `>` only blank and comment lines may stand; anything else is another format and is named. Lines that
begin with `;` or `#` are comments wherever they stand, and never letters. The id of a record is the first word of its
header, blanks after `>` left out. Line ends, blanks and tabs are no letters; every other byte is one, and the readers
see to it that it is a nucleotide. FASTQ, GenBank, EMBL and 2bit come as the FASTA that they hold.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from data_prep.formats.fastq import fastq_as_fasta
from data_prep.formats.flat_file import flat_file_as_fasta
from data_prep.formats.known import PIR, known_text, unexpected
from data_prep.formats.text import HEAD_BYTES, chunks
from data_prep.formats.two_bit import is_two_bit, two_bit_as_fasta

COMMENT_LINE = re.compile(rb"^[;#][^\n]*\n?", re.MULTILINE)
BLANK_LINES = re.compile(rb"\A(?:[ \t]*\n)+")
FIRST_WORD = re.compile(rb"[ \t]*([^ \t\n]*)")
NO_LETTERS = b"\n \t"
STOCKHOLM = re.compile(rb"\s*# ?STOCKHOLM")
# how a text begins -> what makes FASTA of it
CONVERTED: dict[re.Pattern[bytes], Callable[[Iterable[bytes], str], Iterator[bytes]]] = {
    re.compile(rb"\s*@(?!(?:HD|SQ|RG|PG|CO)\t)"): fastq_as_fasta,  # but for SAM
    re.compile(rb"\s*LOCUS\s"): flat_file_as_fasta,
    re.compile(rb"\s*ID   \S"): flat_file_as_fasta,
}


class FastaText:
    """The text of a FASTA from its first `>` on, in pieces of about `size` bytes, cut anywhere; see the module.

    comment_lines: those left out so far. is_stockholm: known after the first piece; such a file comes as it is.
    Errors: DataPrepError naming the file if it is no FASTA.
    """

    def __init__(self, path: str | Path, size: int = 0):
        self.file = "standard input" if str(path) == "-" else str(path)
        self.comment_lines = 0
        self.is_stockholm = False
        self._source = two_bit_as_fasta(path) if is_two_bit(path) else chunks(path, size)

    def __iter__(self) -> Iterator[bytes]:
        head = b""
        for piece in self._source:
            head += piece
            if len(head) >= HEAD_BYTES and COMMENT_LINE.sub(b"", head).strip():
                break
        if STOCKHOLM.match(head):
            self.is_stockholm = True
            yield head
            yield from self._source
            return
        if convert := next((convert for begin, convert in CONVERTED.items() if begin.match(head)), None):
            yield from convert(chain([head], self._source), self.file)
            return
        if head.lstrip().startswith(b"#") and known_text(head.lstrip()):  # its first line is no comment
            raise unexpected(self.file, head.lstrip(), "FASTA")
        started = False
        for piece in self._without_comments(head):
            if not started:
                piece = BLANK_LINES.sub(b"", piece) if piece.strip() else b""
                if piece and (not piece.startswith(b">") or PIR.begins.match(piece)):  # PIR has a line of words below
                    raise unexpected(self.file, head.lstrip(), "FASTA (a line that starts with '>')")
                started = bool(piece)
            if piece:
                yield piece

    def _without_comments(self, head: bytes) -> Iterator[bytes]:
        in_comment, begins_line = False, True
        piece: bytes | None = head
        while piece is not None:
            if in_comment:
                end = piece.find(b"\n") + 1
                in_comment, begins_line = not end, bool(end)
                piece = piece[end:] if end else b""
            whole = piece
            if _may_hold_comments(piece, begins_line):
                first = 0 if begins_line else piece.find(b"\n") + 1
                if begins_line or first:
                    last = piece.rfind(b"\n") + 1
                    in_comment = last >= first and piece[last : last + 1] in (b";", b"#")
                    rest, found = COMMENT_LINE.subn(b"", piece[first:])
                    piece = piece[:first] + rest
                    self.comment_lines += found
            if whole:
                begins_line = whole.endswith(b"\n")
            yield piece
            piece = next(self._source, None)


def _may_hold_comments(piece: bytes, begins_line: bool) -> bool:
    if b";" not in piece and b"#" not in piece:  # nearly always
        return False
    return (begins_line and piece[:1] in (b";", b"#")) or b"\n;" in piece or b"\n#" in piece


def first_word(header: bytes, start: int = 0, end: int | None = None) -> bytes:
    """The id in a header without '>', text[start:end]; empty where there is none."""
    return FIRST_WORD.match(header, start, len(header) if end is None else end)[1]  # type: ignore[index]  # it always matches
