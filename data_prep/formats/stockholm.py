"""Stockholm alignments (Rfam, Pfam tools) as FASTA: gaps removed, the family kept as second word of the header."""

from collections.abc import Iterable, Iterator

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.text import number_lines
from data_prep.nucleotides import GAPS


def stockholm_as_fasta(pieces: Iterable[bytes], file: str) -> Iterator[bytes]:
    """FASTA text, one piece an alignment with rows: `>name RF00005|tRNA`, the second word from `#=GF AC` and `#=GF ID`.

    Raises DataPrepError for a line that is neither markup nor `name letters`, and for an alignment without its `//`.
    """
    family: dict[bytes, bytes] = {}
    rows: dict[bytes, list[bytes]] = {}  # a name that comes again continues its sequence
    for number, line in number_lines(pieces):
        if line.startswith(b"#=GF "):
            key, _, value = line[5:].strip().partition(b" ")
            family.setdefault(key, value.strip().replace(b" ", b"_"))
        elif line.strip() == b"//" or line.startswith(b"//# STOCKHOLM"):  # joined without a line end between them
            _refuse_ragged(rows, file, number)
            label = b"|".join(family[key] for key in (b"AC", b"ID") if family.get(key))
            if rows:  # an alignment may be empty
                yield b"".join(
                    b">%s %s\n%s\n" % (name, label, b"".join(letters).translate(None, GAPS))
                    for name, letters in rows.items()
                )
            family.clear()
            rows.clear()
        elif line.strip() and not line.startswith(b"#"):
            words = line.split()
            if len(words) != 2 or b">" in words[1]:  # a letter that would begin another record
                raise DataPrepError(f"{file}: line {number}: expected a name and aligned letters, got {shown(line)}")
            rows.setdefault(words[0], []).append(words[1])
    if rows:
        raise DataPrepError(f"{file}: the last alignment has no end (//); the file is cut off, fetch it again")


def _refuse_ragged(rows: dict[bytes, list[bytes]], file: str, number: int) -> None:
    """All rows of an alignment have one length, gaps included; otherwise letters are missing."""
    lengths = {name: sum(map(len, letters)) for name, letters in rows.items()}
    if len(set(lengths.values())) > 1:
        longest = max(lengths.values())
        name = next(name for name, length in lengths.items() if length < longest)
        raise DataPrepError(
            f"{file}: the alignment that ends in line {number}: {shown_name(name)} has {lengths[name]} letters and "
            f"gaps, expected {longest} as another row has; download it again or fix the row"
        )
