"""One made-up gene as each program or database writes it, in files of our own, with its UTRs as the right answer.

Exons 101-200, 301-400 and 501-700 on contig 1 (counted from 1), CDS from 151, stop codon 588-590. The same on the other
strand comes from `mirrored`.
"""

import random

LENGTH = 900
EXONS = [(101, 200), (301, 400), (501, 700)]
CODING = [(151, 200), (301, 400), (501, 587)]  # without the stop codon
WHOLE_CODING = [(151, 200), (301, 400), (501, 590)]
STOP = [(588, 590)]
UTR5, UTR3 = [(101, 150)], [(591, 700)]


def genome(seed=5):
    """The contig, with a start codon, a stop codon, and no second stop codon behind it."""
    letters = random.Random(seed).choices("ACGT", k=LENGTH)
    for first, word in ((151, "ATG"), (585, "GCC"), (588, "TAA"), (591, "CCGACC")):
        letters[first - 1 : first - 1 + len(word)] = word
    return "".join(letters)


def expected(contig):
    """(5' UTR, 3' UTR) in RNA letters."""
    return tuple(contig[parts[0][0] - 1 : parts[0][1]].replace("T", "U") for parts in (UTR5, UTR3))


def reverse_complement(contig):
    return contig[::-1].translate(str.maketrans("ACGT", "TGCA"))


def mirrored(text):
    """The annotation of the reverse complement: positions turned over, strands swapped."""
    lines = []
    for line in text.splitlines():
        columns = line.split("\t")
        if len(columns) == 9:
            columns[3], columns[4] = str(LENGTH + 1 - int(columns[4])), str(LENGTH + 1 - int(columns[3]))
            columns[6] = {"+": "-", "-": "+"}.get(columns[6], columns[6])
        lines.append("\t".join(columns))
    return "\n".join(lines) + "\n"


def lines(source, attributes, *features):
    """Rows: `features` are (type, intervals) or (type, intervals, attributes of their own)."""
    rows = []
    for kind, intervals, *own in features:
        for start, end in intervals:
            rows.append(f"1\t{source}\t{kind}\t{start}\t{end}\t.\t+\t.\t{own[0] if own else attributes}")
    return "\n".join(rows) + "\n"


SPAN = [(101, 700)]
GFF3 = "##gff-version 3\n"

_GENCODE = (
    'gene_id "ENSG1.2"; transcript_id "ENST1.3"; gene_type "protein_coding"; gene_name "ABC"; '
    'transcript_type "protein_coding"; level 2; tag "basic";'
)
_ENSEMBL = (
    'gene_id "ENSG1"; transcript_id "ENST1"; gene_name "ABC"; gene_biotype "protein_coding"; '
    'transcript_biotype "protein_coding";'
)
_ENSEMBL_75 = 'gene_id "ENSG1"; transcript_id "ENST1"; gene_name "ABC"; gene_biotype "protein_coding";'
_REFSEQ = 'gene_id "ABC"; transcript_id "NM_1.1"; gbkey "mRNA"; gene "ABC"; transcript_biotype "mRNA";'
_BRAKER = 'transcript_id "g1.t1"; gene_id "g1";'
_UCSC = 'gene_id "NM_1"; transcript_id "NM_1";'

# name -> text; all of them describe the same transcript.
DIALECTS = {
    "gencode.gtf": "##provider: GENCODE\n"
    + lines(
        "HAVANA", _GENCODE, ("gene", SPAN, 'gene_id "ENSG1.2"; gene_type "protein_coding"; gene_name "ABC"; level 2;'),
        ("transcript", SPAN), ("exon", EXONS), ("CDS", CODING), ("start_codon", [(151, 153)]), ("stop_codon", STOP),
        ("UTR", [(101, 150), (588, 700)]),
    ),
    "gencode.gff3": GFF3
    + lines(
        "HAVANA", "Parent=ENST1.3;transcript_type=protein_coding",
        ("gene", SPAN, "ID=ENSG1.2;gene_id=ENSG1.2;gene_type=protein_coding;gene_name=ABC"),
        ("transcript", SPAN, "ID=ENST1.3;Parent=ENSG1.2;gene_id=ENSG1.2;transcript_type=protein_coding;gene_name=ABC"),
        ("exon", EXONS), ("CDS", WHOLE_CODING), ("stop_codon", STOP), ("five_prime_UTR", UTR5),
        ("three_prime_UTR", UTR3),
    ),
    "ensembl.gtf": "#!genome-build X\n"
    + lines(
        "ensembl", _ENSEMBL, ("transcript", SPAN), ("exon", EXONS), ("CDS", CODING), ("stop_codon", STOP),
        ("five_prime_utr", UTR5), ("three_prime_utr", UTR3),
    ),
    "ensembl_75.gtf": lines(
        "protein_coding", _ENSEMBL_75, ("exon", EXONS), ("CDS", CODING), ("stop_codon", STOP), ("UTR", UTR5 + UTR3)
    ),
    "ensembl.gff3": GFF3
    + lines(
        "ensembl", "Parent=transcript:ENST1", ("gene", SPAN, "ID=gene:ENSG1;Name=ABC;biotype=protein_coding"),
        ("mRNA", SPAN, "ID=transcript:ENST1;Parent=gene:ENSG1;biotype=protein_coding"), ("five_prime_UTR", UTR5),
        ("exon", EXONS), ("CDS", WHOLE_CODING, "ID=CDS:P1;Parent=transcript:ENST1"), ("three_prime_UTR", UTR3),
    ),
    "refseq.gff3": GFF3
    + lines(
        "BestRefSeq", "ID=exon-NM_1.1-1;Parent=rna-NM_1.1;gbkey=mRNA;gene=ABC",
        ("region", [(1, LENGTH)], "ID=1:1..900;gbkey=Src"),
        ("gene", SPAN, "ID=gene-ABC;Name=ABC;gene=ABC;gene_biotype=protein_coding"),
        ("mRNA", SPAN, "ID=rna-NM_1.1;Parent=gene-ABC;gbkey=mRNA;gene=ABC;transcript_id=NM_1.1"), ("exon", EXONS),
        ("CDS", WHOLE_CODING, "ID=cds-NP_1.1;Parent=rna-NM_1.1;gbkey=CDS;gene=ABC"),
    ),
    "refseq.gtf": "#gtf-version 2.2\n"
    + lines(
        "BestRefSeq", _REFSEQ, ("gene", SPAN, 'gene_id "ABC"; transcript_id ""; gene_biotype "protein_coding";'),
        ("transcript", SPAN), ("exon", EXONS), ("CDS", CODING), ("start_codon", [(151, 153)]), ("stop_codon", STOP),
    ),
    "ucsc_table_browser.gtf": lines("hg38_ncbiRefSeq", _UCSC, ("exon", EXONS), ("CDS", CODING), ("stop_codon", STOP)),
    "ucsc_genePredToGtf.gtf": lines(
        "refGene", 'gene_id "ABC"; transcript_id "NM_1"; exon_number "1"; exon_id "NM_1.1"; gene_name "ABC";',
        ("transcript", SPAN, 'gene_id "ABC"; transcript_id "NM_1";  gene_name "ABC";'), ("exon", EXONS),
        ("CDS", CODING),
        ("5UTR", UTR5), ("3UTR", UTR3), ("stop_codon", STOP),
    ),
    "flybase.gtf": lines(
        "FlyBase", 'gene_id "FBgn1"; gene_symbol "abc"; transcript_id "FBtr1"; transcript_symbol "abc-RA";',
        ("gene", SPAN, 'gene_id "FBgn1"; gene_symbol "abc";'), ("mRNA", SPAN), ("5UTR", UTR5), ("exon", EXONS),
        ("start_codon", [(151, 153)]), ("CDS", CODING), ("stop_codon", STOP), ("3UTR", UTR3),
    ),
    "flybase.gff3": GFF3
    + lines(
        "FlyBase", "Parent=FBtr1", ("gene", SPAN, "ID=FBgn1;Name=abc"),
        ("mRNA", SPAN, "ID=FBtr1;Name=abc-RA;Parent=FBgn1"),
        ("five_prime_UTR", UTR5), ("exon", EXONS), ("CDS", WHOLE_CODING), ("three_prime_UTR", UTR3),
        ("intron", [(201, 300), (401, 500)]),
    ),
    "wormbase.gff3": GFF3
    + lines(
        "WormBase", "Parent=Transcript:Y1.1", ("gene", SPAN, "ID=Gene:WBGene1;Name=WBGene1;biotype=protein_coding"),
        ("mRNA", SPAN, "ID=Transcript:Y1.1;Parent=Gene:WBGene1;Name=Y1.1"), ("exon", EXONS),
        ("CDS", WHOLE_CODING, "ID=CDS:Y1;Parent=Transcript:Y1.1"),
    ),
    "tair.gff3": GFF3
    + lines(
        "TAIR10", "Parent=AT1G1.1", ("gene", SPAN, "ID=AT1G1;Note=protein_coding_gene;Name=AT1G1"),
        ("mRNA", SPAN, "ID=AT1G1.1;Parent=AT1G1;Name=AT1G1.1;Index=1"),
        ("protein", [(151, 590)], "ID=AT1G1.1-Protein;Name=AT1G1.1;Derives_from=AT1G1.1"), ("exon", EXONS),
        ("CDS", WHOLE_CODING, "Parent=AT1G1.1,AT1G1.1-Protein;"), ("five_prime_UTR", UTR5), ("three_prime_UTR", UTR3),
    ),
    "maker.gff3": GFF3
    + lines(
        "maker", "ID=m1:1;Parent=m1-RA", ("gene", SPAN, "ID=m1;Name=m1"),
        ("mRNA", SPAN, "ID=m1-RA;Parent=m1;_AED=0.02"), ("exon", EXONS), ("five_prime_UTR", UTR5),
        ("CDS", WHOLE_CODING), ("three_prime_UTR", UTR3),
    ),
    "braker.gtf": lines(
        "AUGUSTUS", _BRAKER, ("gene", SPAN, "g1"), ("transcript", SPAN, "g1.t1"), ("CDS", CODING), ("exon", EXONS),
        ("intron", [(201, 300), (401, 500)]), ("start_codon", [(151, 153)]), ("stop_codon", STOP),
    ),
    "braker_with_utr.gtf": lines(
        "AUGUSTUS", _BRAKER, ("gene", SPAN, "g1"), ("transcript", SPAN, "g1.t1"), ("tss", [(101, 101)]),
        ("5'-UTR", UTR5), ("CDS", WHOLE_CODING), ("stop_codon", STOP), ("3'-UTR", UTR3), ("tts", [(700, 700)]),
    ),
    "augustus.gff3": GFF3
    + lines(
        "AUGUSTUS", "ID=g1.t1.x;Parent=g1.t1", ("gene", SPAN, "ID=g1"), ("transcript", SPAN, "ID=g1.t1;Parent=g1"),
        ("transcription_start_site", [(101, 101)]), ("five_prime_utr", UTR5), ("CDS", WHOLE_CODING),
        ("stop_codon", STOP), ("three_prime_utr", UTR3),
    ),
    "gtf_2.2.gtf": lines(
        "any", 'gene_id "G1"; transcript_id "T1";', ("5UTR", UTR5), ("CDS", CODING), ("stop_codon", STOP),
        ("3UTR", UTR3),
    ),
    "utr5_utr3_names.gtf": lines(
        "any", 'gene_id "G1"; transcript_id "T1";', ("UTR5", UTR5), ("CDS", CODING), ("stop_codon", STOP),
        ("UTR3", UTR3),
    ),
    "encoded_names.gff3": GFF3
    + lines(
        "any", "Parent=t1", ("mRNA", SPAN, "ID=t1;Parent=g1"), ("5%27-UTR", UTR5), ("CDS", WHOLE_CODING),
        ("3%27-UTR", UTR3),
    ),
    "cut_down.gtf": lines("any", _ENSEMBL, ("exon", EXONS), ("CDS", CODING)),
    "cds_with_stop.gtf": lines("gffread", 'transcript_id "T1"; gene_id "G1"', ("transcript", SPAN), ("exon", EXONS),
                               ("CDS", WHOLE_CODING)),
    "exons_without_stop.gtf": lines(
        "any", 'gene_id "G1"; transcript_id "T1";', ("exon", [*EXONS[:2], (501, 587)]), ("CDS", CODING),
        ("stop_codon", STOP), ("3UTR", UTR3),
    ),
}  # fmt: skip

# name -> (text, what the one line says): files that cannot tell a UTR.
REFUSED = {
    "stringtie.gtf": (
        lines("StringTie", 'gene_id "MSTRG.1"; transcript_id "MSTRG.1.1"; cov "1";', ("exon", EXONS)),
        "no CDS rows, so no UTR can be told",
    ),
    "prokka.gff3": (
        GFF3 + lines("prokka", "ID=x;locus_tag=x", ("CDS", [(151, 590)])), "CDS row without Parent",
    ),
    "cds_only.gtf": (lines("AUGUSTUS", _BRAKER, ("CDS", CODING), ("stop_codon", STOP)), "neither exon nor UTR rows"),
    "jgi.gff": (
        lines("JGI", 'name "fgenesh1"; transcriptId 1', ("exon", EXONS), ("CDS", CODING)),
        "exon row without transcript_id",
    ),
}  # fmt: skip
