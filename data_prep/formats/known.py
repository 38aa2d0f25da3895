"""Formats that a reader was not made for are named, with what converts them, instead of being guessed at."""

import re
from typing import NamedTuple

from data_prep.errors import DataPrepError, shown


class Known(NamedTuple):
    """begins: pattern of the first bytes. advice: what to do where another format is expected."""

    name: str
    begins: re.Pattern[bytes]
    advice: str


def _known(name: str, begins: bytes, advice: str) -> Known:
    return Known(name, re.compile(begins), advice)


# Files of bytes. No reader of text takes them.
BINARY = (
    _known("a zip archive", rb"PK\x03\x04|PK\x05\x06", "unpack it (unzip)"),
    _known("a 7z archive", rb"7z\xbc\xaf\x27\x1c", "unpack it (7z x)"),
    _known("a tar archive", rb"(?s).{257}ustar", "unpack it (tar xf)"),
    _known("compressed with lz4", rb"\x04\x22\x4d\x18", "decompress it (lz4 -d)"),
    _known("compressed with lzma", rb"\x5d\x00\x00[\x00-\x80][\x00-\x04]", "decompress it (xz -d)"),
    _known("compressed with compress (.Z)", rb"\x1f\x9d", "decompress it (gzip -d)"),
    _known(
        "compressed twice", rb"\x1f\x8b|BZh\d1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd", "decompress it once, then give it"
    ),
    _known("2bit", rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43", "give the file itself, unpacked, where a FASTA is expected"),
    _known("BCF", rb"BCF[\x01\x02]", "convert it to VCF (bcftools view -G -Oz -o OUT.vcf.gz IN.bcf)"),
    _known("an index of tabix", rb"TBI\x01|CSI\x01", "give the file beside it, without .tbi or .csi"),
    _known("BAM", rb"BAM\x01", "convert it (samtools fasta IN.bam > OUT.fa)"),
    _known("CRAM", rb"CRAM[\x01-\x04]", "convert it (samtools fasta IN.cram > OUT.fa)"),
    _known("HDF5", rb"\x89HDF\r\n", "export it as text"),
    _known("Parquet", rb"PAR1", "export it as text"),
    _known("Arrow", rb"ARROW1", "export it as text"),
    _known("SQLite", rb"SQLite format 3\x00", "export it as text"),
    _known("Excel", rb"\xd0\xcf\x11\xe0", "save it as tab-separated text"),
    _known("PDF", rb"%PDF-", "give the data themselves"),
    _known("numpy", rb"\x93NUMPY", "export it as text"),
)
PIR = _known("PIR", rb">(P1|F1|DL|DC|RL|RC|N1|N3|XX);", "convert it to FASTA (seqret)")
# Text. The first that matches is named; readers that take one of these never ask.
TEXT = (
    PIR,
    _known("FASTA", rb">", "give the FASTA where a FASTA is expected"),
    _known("FASTQ", rb"@[^\n]*\n[^\n]+\n\+", "give it where a FASTA is expected"),
    _known("SAM", rb"@(HD|SQ|RG|PG|CO)\t", "convert it to FASTA (samtools fasta IN.sam > OUT.fa)"),
    _known("GenBank", rb"LOCUS\s", "give it where a FASTA is expected"),
    _known("EMBL", rb"ID   \S", "give it where a FASTA is expected"),
    _known("Stockholm", rb"# ?STOCKHOLM", "give it to the stage fasta, or convert it (esl-reformat fasta IN.sto)"),
    _known("Clustal", rb"CLUSTAL|MUSCLE|PROBCONS", "convert it to FASTA (seqret or Biopython)"),
    _known("GCG/MSF", rb"!!\w\w_|PileUp|MSF:", "convert it to FASTA (seqret)"),
    _known("NEXUS", rb"(?i)#NEXUS", "convert it to FASTA (seqret or Biopython)"),
    _known("MEGA", rb"(?i)#MEGA", "convert it to FASTA (MEGA's export)"),
    _known("PHYLIP", rb"\s*\d+[ \t]+\d+\s*\n", "convert it to FASTA (seqret or Biopython)"),
    _known("GFA", rb"H\tVN:Z:|S\t[^\t\n]+\t[A-Za-z*]+", "take its segments (gfatools gfa2fa IN.gfa > OUT.fa)"),
    _known("a table of base pairs (BPSEQ)", rb"1[ \t]+[A-Za-z][ \t]+\d+[ \t]*\n", "write its letters as FASTA"),
    _known("a table of base pairs (CT)", rb"\s*\d+[ \t][^\n]*(ENERGY|dG)\b", "write its letters as FASTA (ct2dot)"),
    _known("PDB", rb"HEADER {4}|SEQRES ", "give the FASTA of its sequences"),
    _known("mmCIF", rb"data_\S+\s*\n", "give the FASTA of its sequences"),
    _known("GFF3", rb"##gff-version\s+3", "give it as --annotation; a FASTA part lies behind its line ##FASTA"),
    _known("GFF or GTF", rb"##?!?(gff|gtf|genome-build|description:)", "give it as --annotation"),
    _known("VCF", rb"##fileformat=VCF", "give it as --vcf to allele-frequencies"),
    _known("MAF", rb"##maf", "convert it to FASTA"),
    _known("PSL", rb"psLayout", "give the sequences themselves"),
    _known("MEME", rb"\**\s*(MEME|STREME)\b", "give it to the stage motifs"),
    _known("a web page", rb"(?i)\s*(<!doctype html|<html)", "the download failed or needs a login; fetch it again"),
    _known("XML", rb"<\?xml|<[A-Za-z]", "export it as text"),
    _known("JSON", rb"\s*[\[{]\s*[\"\[{\]}\d]", "export it as text"),
    _known("a Git LFS pointer", rb"version https://git-lfs", "fetch the file itself (git lfs pull)"),
    _known("GFF or GTF", rb"[^\t\n]+\t[^\t\n]*\t[^\t\n]+\t\d+\t\d+\t[^\t\n]+\t[.+-]\t", "give it as --annotation"),
    _known("a sequence without header", rb"[A-Za-z*-]+\s*(\n|\Z)", "put a line >NAME above it"),
    _known("a FASTA index (.fai)", rb"[^\t\n]+(\t\d+){4}\s*(\n|\Z)", "give the FASTA beside it"),
    _known(
        "BED",
        rb"[^\t\n]+\t\d+\t\d+(\t|\n)",
        "take the sequences out first (bedtools getfasta), or make an annotation of it (bedToGenePred, genePredToGtf)",
    ),
    _known(
        "genePred",
        rb"(?:[^\t\n]+\t){1,3}[+-]\t(?:\d+\t){5}[\d,]+\t[\d,]+",
        "convert it to GTF (genePredToGtf file IN.txt OUT.gtf)",
    ),
)


def refuse_binary(file: str, head: bytes | bytearray) -> None:
    """DataPrepError where a file that should be text begins as a known format of bytes."""
    for known in BINARY:
        if known.begins.match(head):
            raise DataPrepError(f"{file}: this is {known.name}; {known.advice}")


def known_text(head: bytes | bytearray) -> Known | None:
    """The format of text that begins so, if it is a known one."""
    return next((known for known in TEXT if known.begins.match(head)), None)


def unexpected(file: str, head: bytes | bytearray, expected: str) -> DataPrepError:
    """The error of a reader of `expected` for a file that begins otherwise."""
    if found := known_text(head):
        return DataPrepError(f"{file}: this is {found.name}, expected {expected}; {found.advice}")
    line = bytes(head[:200]).split(b"\n")[0]
    return DataPrepError(f"{file}: begins with {shown(line)}, expected {expected}; check the file")
