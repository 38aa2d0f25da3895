"""UTRs of real annotation are those that gffread gives for the same genome."""

import gzip
import shutil
import subprocess

import pytest

from data_prep.corpus.tally import Tally
from data_prep.formats.annotation import read_annotation
from data_prep.utr.from_genome import genome_candidates
from data_prep.utr.policy import UtrPolicy
from data_prep.utr.stop_codon import settle_stop_codons

GENOMES = {
    "A. thaliana": ("at1pct.fa.gz", "at1pct.gff3.gz", 450),
    "C. elegans": ("ce1pct.fa.gz", "ce1pct.gff3.gz", 300),
    "D. melanogaster": ("dm1pct.fa.gz", "dm1pct.gff3.gz", 230),
}


@pytest.fixture
def files(shared, tmp_path):
    if not shutil.which("gffread"):
        pytest.skip("needs gffread on the PATH")

    def plain(name):
        out = tmp_path / name.removesuffix(".gz")
        out.write_bytes(gzip.decompress((shared / "data" / "genomes" / name).read_bytes()))
        return out

    return lambda species: tuple(map(plain, GENOMES[species][:2]))


def spliced_by_gffread(genome, annotation):
    """{id: (5' UTR, 3' UTR)} of transcripts with a coding part."""
    out = annotation.with_name("spliced.fa")
    subprocess.run(["gffread", annotation, "-g", genome, "-w", out], check=True, capture_output=True)
    found = {}
    for record in out.read_text().split(">")[1:]:
        header, _, text = record.partition("\n")
        letters = text.replace("\n", "").upper()
        for word in header.split():
            if word.startswith("CDS="):
                first, last = map(int, word[4:].split("-"))
                found[header.split()[0]] = (letters[: first - 1], letters[last:])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", ["as it is", "as GTF"])
@pytest.mark.parametrize("species", GENOMES)
def test_utrs_of_real_annotation_are_those_of_gffread(files, species, form):
    genome, annotation = files(species)
    wanted = spliced_by_gffread(genome, annotation)
    # The slices cut some transcripts; where their own row is lost, gffread counts by the phase of what is left.
    whole = {transcript.id for transcript in read_annotation(annotation).transcripts}
    if form == "as GTF":  # exon and CDS rows, written by gffread
        converted = annotation.with_suffix(".gtf")
        subprocess.run(["gffread", annotation, "-T", "-o", converted], check=True, capture_output=True)
        annotation = converted
    read = read_annotation(annotation)
    for side in (5, 3):
        policy = UtrPolicy(side=side, drop_incomplete=False, biotypes=None)
        found = settle_stop_codons(
            list(genome_candidates(str(genome), str(annotation), read, policy, Tally())), side, Tally()
        )
        ours = {one.transcript_id: one.sequence.decode().upper() for one in found if one.transcript_id in whole}
        assert len(ours.keys() & wanted.keys()) >= GENOMES[species][2]
        assert {name: utr for name, utr in ours.items() if utr != wanted[name][side == 3]} == {}
