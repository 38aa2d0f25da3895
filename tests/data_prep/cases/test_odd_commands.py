"""Commands that people give by mistake: one clear line, and no file of theirs is replaced."""

import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus

FASTA = "".join(f">s{number} kind{number % 2}\n{'ACGU' * (number + 3)}\n" for number in range(6))
GENOME = ">chr1\n" + "ACGT" * 100 + "\n"
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t5\t.\tA\tC\t.\t.\tMAF=0.3\n"
ROWS = "".join(
    f'chr1\tx\t{kind}\t{span}\t.\t+\t.\tgene_id "g"; transcript_id "t"; transcript_type "protein_coding";\n'
    for kind, span in (("transcript", "9\t390"), ("exon", "9\t390"), ("CDS", "99\t200"))
)
FILES = {"s.fa": FASTA, "g.fa": GENOME, "v.vcf": VCF, "a.gtf": ROWS, "m.txt": "ACGUA\n"}
VARIANTS = ["allele-frequencies", "--genome", "g.fa", "--vcf", "v.vcf", "--out", "x", "--window", "50"]

REFUSED = [
    (["fasta", "s.fa", "--out", "x", "--type-field", "3"], "--type-field 3: no header has so many words"),
    (["fasta", "s.fa", "--out", "x", "--validation", "1"], "--validation must lie between 0 and 1, got 1.0; below 1"),
    (["split", "c", "--out", "x", "--validation", "0.9999"], "(dropped: none); all 6 others are held out, lower"),
    (
        ["select", "c", "--out", "x", "--keep", "rna_type=kind0", "--keep", "rna_type=kind1"],
        "--keep names rna_type twice, and a row has one value; give the values with commas",
    ),
    (["card", "c", "--out", "c/manifest.json"], "--out c/manifest.json: lies among the files of a corpus"),
    (["motifs", "m.txt", "--out", "./m.txt"], "--out m.txt: is one of the files that are read; give another name"),
    ([*VARIANTS, "--af-field", "MAF"], "--af-field MAF: the frequency of the rarer allele, which may be REF"),
    ([*VARIANTS, "--executor", "local:0"], "--executor local:0: expected local:N with N processes"),
    ([*VARIANTS, "--executor", "localhost"], "--executor localhost: unknown kind"),
    (["motifs", "m.txt", "--out", "x", "--coverage", "g"], "g: a corpus of kind genome; motifs need one of kind"),
    (["genomes", "g.fa", "--out", "x", "--intervals", "b", "--intervals", "./b"], "b: given twice"),
    (VARIANTS, "no substitution has a frequency under AF; take a file of a population"),
    (
        ["utr3", "--genome=g.fa", "--annotation=a.gtf", "--out=x", "--per-gene=canonical", "--check-codons=off"],
        "no transcript is tagged Ensembl_canonical or MANE_Select: give another --per-gene",
    ),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert main(["fasta", "s.fa", "--out", "c", "--type-field", "2", "--validation", "0"]) == 0
    assert main(["genomes", "g.fa", "--out", "g", "--window", "50", "--validation", "0"]) == 0
    return tmp_path


@pytest.mark.parametrize(("command", "message"), REFUSED)
def test_a_command_given_by_mistake_is_one_line_and_changes_nothing(command, message, here, capsys):
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (here / "x").exists()
    assert {name: (here / name).read_text() for name in FILES} == FILES
    open_corpus("c", verify=True)


def test_records_without_the_word_of_the_type_are_counted(here):
    (here / "some.fa").write_text(">a tRNA\nACGU\n>b\nACGG\n")
    assert main(["fasta", "some.fa", "--out", "x", "--type-field", "2", "--validation", "0"]) == 0
    (records, *_) = open_corpus("x").manifest["stages"][-1]["filters"]
    assert records["changed"]["without_a_type"] == 1


def test_records_joined_without_a_line_end_are_counted_as_such(here):
    (here / "joined.fa").write_text(">a\nACGU>b\nACGG\n>c\nACCC\n>d\nAC1C\n")
    assert main(["fasta", "joined.fa", "--out", "x", "--validation", "0"]) == 0
    letters = open_corpus("x").manifest["stages"][-1]["filters"][1]
    assert letters == {
        "filter": "letters", "kept": 1, "dropped": {"header_inside_a_line": 1, "letters_not_nucleotides": 1}
    }  # fmt: skip
