"""Writers of the formats that hold sequences, one letter at a time: what the readers are held to."""

import re
import struct

FOUR = "TCAG"


def runs(sequence, letters):
    """[(start, length)] of the stretches of such letters."""
    return [(found.start(), len(found[0])) for found in re.finditer(f"[{letters}]+", sequence)]


def two_bit(contigs, order="<", version=0):
    """UCSC's layout of {name: letters}: N and lower case as intervals, two bits for a letter, the first highest."""
    offset_format, bodies, index = order + ("Q" if version else "I"), [], b""
    for sequence in contigs.values():
        body = struct.pack(order + "I", len(sequence))
        for found in (runs(sequence, "Nn"), runs(sequence, "a-z")):
            body += struct.pack(order + "I", len(found))
            body += b"".join(struct.pack(order + "I", start) for start, _ in found)
            body += b"".join(struct.pack(order + "I", length) for _, length in found)
        body += bytes(4)
        letters = sequence.upper().replace("N", "T") + "T" * (-len(sequence) % 4)
        for at in range(0, len(letters), 4):
            a, b, c, d = (FOUR.index(letter) for letter in letters[at : at + 4])
            body += bytes([64 * a + 16 * b + 4 * c + d])
        bodies.append(body)
    at = 16 + sum(1 + len(name) + struct.calcsize(offset_format) for name in contigs)
    for name, body in zip(contigs, bodies, strict=True):
        index += bytes([len(name)]) + name.encode() + struct.pack(offset_format, at)
        at += len(body)
    return struct.pack(order + "IIII", 0x1A412743, version, len(contigs), 0) + index + b"".join(bodies)


def fastq(contigs):
    """Qualities from all over the range, '@' and '+' among them."""
    text = ""
    for row, (name, sequence) in enumerate(contigs.items()):
        quality = "".join(chr(33 + (7 * at + 31 * (row + 1)) % 94) for at in range(len(sequence)))
        text += f"@{name} of a run\n{sequence}\n+{name if row % 2 else ''}\n{quality}\n"
    return text.encode()


def genbank(contigs):
    """GenBank as NCBI writes it: the accession is without version in the first line, with it below."""
    text = ""
    for name, sequence in contigs.items():
        text += f"LOCUS       {name:<16} {len(sequence):>11} bp    DNA     linear   BCT 01-JAN-2000\n"
        text += f"DEFINITION  ORIGIN of it all.\nVERSION     {name}.1\nFEATURES             Location/Qualifiers\n"
        text += f"     source          1..{len(sequence)}\nORIGIN\n"
        for at in range(0, len(sequence), 60):
            line = sequence[at : at + 60]
            text += f"{at + 1:>9} {' '.join(line[i : i + 10] for i in range(0, 60, 10))}".rstrip() + "\n"
        text += "//\n\n"
    return text.encode()


def embl(contigs):
    """EMBL as ENA writes it."""
    text = ""
    for name, sequence in contigs.items():
        text += f"ID   {name}; SV 1; linear; genomic DNA; STD; PRO; {len(sequence)} BP.\nXX\nDE   SQ of it all\n"
        text += f"FT   source          1..{len(sequence)}\nSQ   Sequence {len(sequence)} BP; 1 A;\n"
        for at in range(0, len(sequence), 60):
            line = sequence[at : at + 60]
            text += f"     {' '.join(line[i : i + 10] for i in range(0, 60, 10)):<66}{at + len(line):>9}\n"
        text += "//\n"
    return text.encode()


WRITERS = {"2bit": two_bit, "FASTQ": fastq, "GenBank": genbank, "EMBL": embl}
VERSIONED = {"GenBank", "EMBL"}  # ids end in .1
