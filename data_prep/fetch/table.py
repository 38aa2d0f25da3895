"""Every public file that the recipes start from, by name. `{release}` is filled in from `--release`.

Checksums: `md5` as published where it is pinned here, else `md5_list`, a file of the same server that lists sums by
file name. RNAcentral publishes none, and Ensembl only 16-bit sums; for those the announced size is what is checked.
"""

from dataclasses import dataclass, replace

EBI = "https://ftp.ebi.ac.uk/pub/databases"
GENCODE = EBI + "/gencode/Gencode_human/release_{release}/"
RNACENTRAL = EBI + "/RNAcentral/releases/{release}/"
ENSEMBL = "https://ftp.ensembl.org/pub/release-{release}"
UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/"
UCSC_HG19 = "https://hgdownload.soe.ucsc.edu/goldenPath/hg19/bigZips/"
NCBI = "https://ftp.ncbi.nlm.nih.gov/genomes/all/"
BASENJI = "https://storage.googleapis.com/basenji_barnyard2/"  # files of Basenji and Enformer, which HyenaDNA uses
PANEL = (
    "https://ftp.1000genomes.ebi.ac.uk/vol1/ftp/data_collections/1000G_2504_high_coverage/working/"
    "20220422_3202_phased_SNV_INDEL_SV/"
)
PANEL_FILE = "1kGP_high_coverage_Illumina.chr{contig}.filtered.SNV_INDEL_SV_phased_panel{version}.vcf.gz"


@dataclass(frozen=True)
class PublicFile:
    """One file. `release` is the default one, empty where the file has no releases."""

    url: str
    about: str
    release: str = ""
    md5: str = ""
    md5_list: str = ""

    def at(self, release: str) -> "PublicFile":
        """The same file of a release."""
        url, listing = (text.replace("{release}", release) for text in (self.url, self.md5_list))
        return replace(self, release=release, url=url, md5_list=listing)


@dataclass(frozen=True)
class Species:
    """File names of a genome in Ensembl; assemblies belong to releases 110 to 112."""

    folder: str
    stem: str
    genome: str = "primary_assembly"


SPECIES = {
    "human": Species("homo_sapiens", "Homo_sapiens.GRCh38"),
    "mouse": Species("mus_musculus", "Mus_musculus.GRCm39"),
    "rat": Species("rattus_norvegicus", "Rattus_norvegicus.mRatBN7.2", "toplevel"),
    "chicken": Species("gallus_gallus", "Gallus_gallus.bGalGal1.mat.broiler.GRCg7b", "toplevel"),
    "zebrafish": Species("danio_rerio", "Danio_rerio.GRCz11"),
}
# GPN's genomes: name -> RefSeq assembly and what NCBI calls it.
BRASSICALES = {
    "arabidopsis": "GCF_000001735.4_TAIR10.1",
    "brassica": "GCF_000309985.2_CAAS_Brap_v3.01",
    "camelina": "GCF_000633955.1_Cs",
    "capsella": "GCF_000375325.1_Caprub1_0",
    "carica": "GCF_000150535.2_Papaya1.0",
    "eutrema": "GCF_000478725.1_Eutsalg1_0",
    "raphanus": "GCF_000801105.1_Rs1.0",
    "tarenaya": "GCF_000463585.1_ASM46358v1",
}
# The lists that RNAErnie was trained with lie in its repository; the terms of the databases they are taken from are not
# stated there. Their files have not changed since they came (2023-07-16).
MOTIFS = "https://raw.githubusercontent.com/CatIIIIIIII/RNAErnie/3aa906512a3982db0b821fb629835b917c21d558/data/motif/"
MOTIF_MD5 = {
    "ATtRACT": "7b5acd09dbdbfa094c72ac99ce4a1a95",
    "SpliceAid": "4129d9a58507c8e382369eda9bd14758",
    "Statistics": "7f3bc190242f5ec82221769fff8db506",
}
PANEL_MD5 = {
    "20": "34a9a5dbfb285e7eb9d1f2881953014b",
    "21": "1eb1f48bf5608d3abacf5047c8889456",
    "22": "a2653cc7a1c8d03a96ca4f14d0fabdd2",
    "X": "d2c80aa7b3bcb8f895f98fd5779fb448",
}


def _ensembl(species: str) -> dict[str, PublicFile]:
    names = SPECIES[species]
    genome = f"{ENSEMBL}/fasta/{names.folder}/dna/{names.stem}.dna.{names.genome}.fa.gz"
    annotation = f"{ENSEMBL}/gtf/{names.folder}/{names.stem}.{{release}}.gtf.gz"
    return {
        f"ensembl_{species}_genome": PublicFile(genome, f"Ensembl {species} genome", "110"),
        f"ensembl_{species}_gtf": PublicFile(annotation, f"Ensembl {species} annotation", "110"),
    }


def _refseq(name: str, assembly: str) -> dict[str, PublicFile]:
    digits = assembly.partition("_")[2][:9]
    folder = f"{NCBI}GCF/{digits[:3]}/{digits[3:6]}/{digits[6:]}/{assembly}/"
    return {
        f"refseq_{name}_{kind}": PublicFile(
            f"{folder}{assembly}_genomic.{ending}.gz", f"RefSeq {assembly}, {kind}",
            md5_list=folder + "md5checksums.txt",
        )
        for kind, ending in (("genome", "fna"), ("annotation", "gff"))
    }  # fmt: skip


def _panel() -> dict[str, PublicFile]:
    listing = PANEL + "20220804_manifest.txt"
    about = "1000 Genomes high-coverage phased panel (3,202 samples, GRCh38), chromosome "
    return {
        f"1000g_chr{contig}": PublicFile(
            PANEL + PANEL_FILE.format(contig=contig, version=".v2" if contig == "X" else ""),
            about + contig,
            md5=PANEL_MD5.get(contig, ""),
            md5_list=listing,
        )
        for contig in [*map(str, range(1, 23)), "X"]
    }


FILES: dict[str, PublicFile] = {
    "rnacentral": PublicFile(
        RNACENTRAL + "sequences/rnacentral_active.fasta.gz", "RNAcentral: active sequences of all types", "22.0"
    ),
    "rnacentral_types": PublicFile(
        RNACENTRAL + "id_mapping/id_mapping.tsv.gz", "RNAcentral ids with databases, taxa and RNA types", "22.0"
    ),
    "rfam_seeds": PublicFile(
        EBI + "/Rfam/{release}/Rfam.seed.gz", "Rfam: seed alignments of all families, Stockholm", "14.2"
    ),
    "gencode_genome": PublicFile(
        GENCODE + "GRCh38.primary_assembly.genome.fa.gz", "human genome GRCh38", "40", md5_list=GENCODE + "MD5SUMS"
    ),
    "gencode_gtf": PublicFile(
        GENCODE + "gencode.v{release}.annotation.gtf.gz", "human annotation", "40", md5_list=GENCODE + "MD5SUMS"
    ),
    "gencode_gff3": PublicFile(
        GENCODE + "gencode.v{release}.annotation.gff3.gz", "human annotation", "40", md5_list=GENCODE + "MD5SUMS"
    ),
    "gencode_transcripts": PublicFile(
        GENCODE + "gencode.v{release}.pc_transcripts.fa.gz",
        "human protein-coding transcripts with UTR and CDS spans", "40", md5_list=GENCODE + "MD5SUMS",
    ),
    **{name: file for species in SPECIES for name, file in _ensembl(species).items()},
    "ucsc_hg38": PublicFile(
        UCSC + "hg38.fa.gz", "human genome hg38, soft-masked",
        md5="1c9dcaddfa41027f17cd8f7a82c7293b", md5_list=UCSC + "md5sum.txt",
    ),
    "ucsc_hg19": PublicFile(
        UCSC_HG19 + "hg19.fa.gz", "human genome hg19, soft-masked", md5_list=UCSC_HG19 + "md5sum.txt"
    ),
    "hyenadna_genome": PublicFile(BASENJI + "hg38.ml.fa.gz", "human genome that HyenaDNA was trained on"),
    "hyenadna_intervals": PublicFile(BASENJI + "sequences_human.bed", "intervals and splits of HyenaDNA and Enformer"),
    **{name: file for key, assembly in BRASSICALES.items() for name, file in _refseq(key, assembly).items()},
    **{
        f"rnaernie_motifs_{name.lower()}": PublicFile(
            f"{MOTIFS}{name}.txt", f"motif list of RNAErnie, {name} (terms of the database not stated)", md5=md5
        )
        for name, md5 in MOTIF_MD5.items()
    },
    **_panel(),
}  # fmt: skip
GROUPS = {
    "1000g": [name for name in FILES if name.startswith("1000g_")],
    "refseq_brassicales": [name for name in FILES if name.removeprefix("refseq_").partition("_")[0] in BRASSICALES],
    "rnaernie_motifs": [name for name in FILES if name.startswith("rnaernie_motifs_")],
}
