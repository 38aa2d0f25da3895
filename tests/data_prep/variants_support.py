"""Small genomes, VCFs and dense tables for the tests of allele frequencies."""

import struct
import zlib

import numpy as np

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.corpus.genome import ARRAYS, Store
from data_prep.formats.compression import BGZF_END

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HEADER = f"##fileformat=VCFv4.2\n{COLUMNS}\n"
ONE_HOT = np.eye(5, 4, dtype=np.float32)  # code 4 has no row


def record(pos, ref, alt, info="AF=0.3", contig="chr1", filters="PASS"):
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t{filters}\t{info}\n"


def write_fasta(path, **contigs):
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


def write_vcf(path, *records, header=HEADER):
    path.write_text(header + "".join(records))
    return path


def bgzip(data, member_bytes=1000):
    """The bytes of a BGZF file (SAM specification, 4.1)."""
    members = []
    for start in range(0, len(data), member_bytes):
        text = data[start : start + member_bytes]
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(text) + packer.flush()
        head = b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H2sHH", 6, b"BC", 2, len(body) + 25)
        members.append(head + body + struct.pack("<II", zlib.crc32(text), len(text)))
    return b"".join(members) + BGZF_END


def arguments(genome, vcfs, out, *options):
    paths = map(str, vcfs if isinstance(vcfs, list) else [vcfs])
    return ["allele-frequencies", "--genome", str(genome), "--vcf", *paths, "--out", str(out), *map(str, options)]


def build(genome, vcfs, out, *options):
    """Run a stage that must succeed; returns the corpus."""
    assert main(arguments(genome, vcfs, out, *options)) == 0
    return open_corpus(out, verify=True)


def filters(corpus):
    """{filter: {"kept": …, reason: …}} of the manifest."""
    entries = corpus.manifest["stages"][-1]["filters"]
    return {entry["filter"]: {"kept": entry["kept"], **entry["dropped"]} for entry in entries}


def dense_contig(corpus, name):
    """float32 (bases, 4): every base of a contig as a row of probabilities; zeros where the base is not known."""
    (folder,) = [contig["folder"] for contig in corpus.manifest["contigs"] if contig["name"] == name]
    dense = ONE_HOT[np.load(corpus.folder / folder / ARRAYS["codes"])]
    variants = Store.open(corpus.folder / folder).variants
    dense[variants.pos0] = variants.frequencies[variants.row]
    return dense


def dense_windows(windows):
    """float32 (S, width, 4) of a batch of sparse windows."""
    dense = ONE_HOT[windows.codes]
    dense[windows.row, windows.column] = windows.freq
    return dense
