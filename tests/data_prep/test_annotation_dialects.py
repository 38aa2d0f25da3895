"""Every dialect of annotation gives the same UTRs, on both strands; conventions are observed, not assumed."""

import pytest

from data_prep.__main__ import main
from tests.data_prep.dialects import (
    CODING,
    DIALECTS,
    EXONS,
    GFF3,
    REFUSED,
    SPAN,
    UTR3,
    UTR5,
    WHOLE_CODING,
    expected,
    genome,
    lines,
    mirrored,
    reverse_complement,
)  # fmt: skip
from tests.data_prep.utr_support import build, rows, stage_filters


def write(folder, text, contig=None, name="a.gff"):
    (folder / "g.fa").write_text(f">1\n{contig or genome()}\n")
    (folder / name).write_text(text)
    return "--genome", folder / "g.fa", "--annotation", folder / name


@pytest.mark.parametrize("strand", "+-")
@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_utrs_of_the_transcript(tmp_path, name, strand):
    text = DIALECTS[name] if strand == "+" else mirrored(DIALECTS[name])
    contig = genome() if strand == "+" else reverse_complement(genome())
    inputs = write(tmp_path, text, contig)
    five, three = expected(genome())
    options = ("--validation", 0)
    assert list(rows(build(tmp_path / "3", *inputs, "--piece-len", 0, *options)).values()) == [three]
    assert list(rows(build(tmp_path / "5", *inputs, *options, stage="utr5")).values()) == [five]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_tell_a_utr_is_one_clear_line(tmp_path, capsys, name):
    text, message = REFUSED[name]
    inputs = write(tmp_path, text)
    assert main(["utr3", *map(str, inputs), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def gtf(transcript, gene="g", *features, source="any", more=""):
    return lines(source, f'gene_id "{gene}"; transcript_id "{transcript}";{more}', *features)


WHOLE = (("exon", EXONS), ("CDS", CODING), ("stop_codon", [(588, 590)]))


def test_a_stop_codon_outside_the_cds_is_counted_to_it_in_one_transcript_and_not_in_another(tmp_path):
    text = gtf("out", "g1", ("exon", EXONS), ("CDS", CODING)) + gtf("in", "g2", ("exon", EXONS), ("CDS", WHOLE_CODING))
    corpus = build(tmp_path / "o", *write(tmp_path, text), "--piece-len", 0, "--duplicates", "keep", "--validation", 0)
    assert rows(corpus) == {"out:1": expected(genome())[1], "in:1": expected(genome())[1]}
    changed = {entry["filter"]: entry.get("changed", {}) for entry in corpus.manifest["stages"][-1]["filters"]}
    assert changed["stop_codon"] == {"was_outside_the_cds": 1}


def test_a_stop_codon_split_over_two_exons_is_found_outside_the_cds(tmp_path):
    contig = list(genome())
    contig[398:400] = "TA"  # the last two letters of the second exon, and the first of the third
    contig[500] = "A"
    text = gtf("t", "g", ("exon", EXONS), ("CDS", [(151, 200), (301, 398)]))
    inputs = write(tmp_path, text, "".join(contig))
    found = rows(build(tmp_path / "o", *inputs, "--piece-len", 0, "--validation", 0))
    assert found == {"t:1": "".join(contig)[501:700].replace("T", "U")}


def test_an_end_without_any_stop_codon_is_a_counted_drop(tmp_path):
    contig = genome().replace("GCCTAACCGACC", "GCCGCCCCGACC")
    text = gtf("t", "g", ("exon", EXONS), ("CDS", CODING)) + gtf(
        "u", "h", ("exon", [(801, 850)]), ("CDS", [(801, 803)])
    )
    contig = contig[:800] + "TAA" + contig[803:]
    corpus = build(tmp_path / "o", *write(tmp_path, text, contig), "--piece-len", 0, "--validation", 0)
    assert stage_filters(corpus)["utr"] == {"no_stop_codon": 1}


def test_another_assembly_is_an_error_with_the_figures(tmp_path, capsys):
    many = "".join(gtf(f"t{n}", f"g{n}", ("exon", EXONS), ("CDS", WHOLE_CODING)) for n in range(30))
    inputs = write(tmp_path, many, genome().replace("TAACCGACC", "GCCGCCGCC"))
    assert main(["utr3", *map(str, inputs), "--out", str(tmp_path / "o")]) == 2
    line = capsys.readouterr().err
    assert "0 of 30 coding parts end in or before a stop codon" in line
    assert "one assembly" in line


def test_a_transcript_without_exon_rows_uses_its_parts_though_others_have_exons(tmp_path):
    text = gtf("a", "g1", *WHOLE) + gtf("b", "g2", ("5UTR", UTR5), ("CDS", WHOLE_CODING), ("3UTR", UTR3))
    found = rows(
        build(tmp_path / "o", *write(tmp_path, text), "--piece-len", 0, "--duplicates", "keep", "--validation", 0)
    )
    assert found == {"a:1": expected(genome())[1], "b:1": expected(genome())[1]}


CODING_STATUS = {
    "on the transcript": (
        ' transcript_biotype "nonsense_mediated_decay"; gene_biotype "protein_coding";',
        "any",
        False,
    ),
    "on the gene": (' gene_biotype "protein_coding";', "any", True),
    "on the gene, no": (' gene_biotype "IG_V_gene";', "any", False),
    "in the second column": (' gene_biotype "protein_coding";', "nonsense_mediated_decay", False),
    "nowhere": ("", "AUGUSTUS", True),
}


@pytest.mark.parametrize("where", CODING_STATUS)
def test_coding_status_comes_from_where_the_file_has_it(tmp_path, capsys, where):
    more, source, is_coding = CODING_STATUS[where]
    inputs = write(tmp_path, gtf("t", "g", *WHOLE, source=source, more=more))
    status = main(["utr3", *map(str, inputs), "--validation", "0", "--out", str(tmp_path / "o")])
    assert status == (0 if is_coding else 2)
    if not is_coding:
        line = capsys.readouterr().err
        assert "dropped: biotype 1" in line
        assert "nonsense_mediated_decay (1); give --biotypes" in line or "IG_V_gene (1); give --biotypes" in line


def shifted(text, by):
    moved = []
    for line in text.splitlines():
        columns = line.split("\t")
        columns[3], columns[4] = str(int(columns[3]) + by), str(int(columns[4]) + by)
        moved.append("\t".join(columns))
    return "\n".join(moved) + "\n"


def two_loci(first, second):
    """Annotation and contig with the gene at 101 and again 900 nt on."""
    return first + shifted(second, 900), genome(5) + genome(6)


def numbered(transcript, features):
    rows_of = [line for feature in features for line in [gtf(transcript, "g", feature)]]
    text = "".join(rows_of).splitlines()
    numbers = iter(range(1, 99))
    return "".join(f'{one} exon_number "{next(numbers)}";\n' if "\texon\t" in one else f"{one}\n" for one in text)


def test_one_id_at_two_places_is_two_transcripts_whatever_shows_it(tmp_path):
    evidence = {
        "exon lengths": two_loci(gtf("t", "g", *WHOLE), gtf("t", "g", *WHOLE)),
        "exon numbers": two_loci(
            numbered("t", WHOLE), numbered("t", (("exon", [(101, 200), (301, 650)]), *WHOLE[1:1]))
        ),
        "transcript rows": two_loci(
            gtf("t", "g", ("transcript", SPAN), *WHOLE), gtf("t", "g", ("transcript", SPAN), ("exon", [(101, 300)]))
        ),
    }
    for name, (text, contig) in evidence.items():
        folder = tmp_path / name
        folder.mkdir()
        options = ("--piece-len", 0, "--validation", 0, "--per-gene", "all")
        found = rows(build(folder / "o", *write(folder, text, contig), *options))
        assert expected(genome(5))[1] in found.values(), name
        assert max(map(len, found.values())) == 110, name


def test_two_coding_copies_of_one_id_have_ids_and_genes_of_their_own(tmp_path):
    text, contig = two_loci(gtf("t", "g", *WHOLE), gtf("t", "g", *WHOLE))
    corpus = build(tmp_path / "o", *write(tmp_path, text, contig), "--piece-len", 0, "--validation", 0)
    assert rows(corpus) == {
        "t@1:101-700:1": expected(genome(5))[1],
        "t@1:1001-1600:1": expected(genome(6))[1],
    }


def test_copies_of_an_id_on_two_contigs_are_two_transcripts(tmp_path):
    """RefSeq ids on X and Y or on alternate contigs, and files of two BRAKER runs put together with cat."""
    text = gtf("g1.t1", "g1", *WHOLE)
    (tmp_path / "g.fa").write_text(f">1\n{genome(5)}\n>2\n{genome(6)}\n")
    (tmp_path / "a.gtf").write_text(text + text.replace("1\tany", "2\tany"))
    inputs = ("--genome", tmp_path / "g.fa", "--annotation", tmp_path / "a.gtf")
    corpus = build(tmp_path / "o", *inputs, "--piece-len", 0, "--validation", 0)
    assert rows(corpus) == {
        "g1.t1@1:101-700:1": expected(genome(5))[1],
        "g1.t1@2:101-700:1": expected(genome(6))[1],
    }


def test_a_file_given_twice_is_an_error(tmp_path, capsys):
    inputs = [*map(str, write(tmp_path, DIALECTS["braker.gtf"]))]
    assert main(["utr3", *inputs, *inputs, "--out", str(tmp_path / "o")]) == 2
    assert "a.gff: given twice" in capsys.readouterr().err


def test_default_biotypes_that_fit_a_minority_stop_with_the_figures(tmp_path, capsys):
    many = [
        gtf(f"t{n}", f"g{n}", *WHOLE, more=f' transcript_biotype "{"protein_coding" if n < 5 else "ORF"}";')
        for n in range(25)
    ]
    inputs = [*map(str, write(tmp_path, "".join(many)))]
    assert main(["utr3", *inputs, "--out", str(tmp_path / "o")]) == 2
    line = capsys.readouterr().err
    assert (
        "the default biotypes fit 5 of 25 coding transcripts, whose biotypes are ORF (20), protein_coding (5)" in line
    )
    assert main(["utr3", *inputs, "--biotypes", "ORF", "--out", str(tmp_path / "o")]) == 0


def test_a_genome_in_rna_letters_is_the_same_genome(tmp_path):
    inputs = write(tmp_path, DIALECTS["cut_down.gtf"], genome().replace("T", "U"))
    found = rows(build(tmp_path / "o", *inputs, "--piece-len", 0, "--validation", 0))
    assert list(found.values()) == [expected(genome())[1]]


def test_a_gene_symbol_at_two_places_is_two_genes_unless_the_file_has_one_row_for_it(tmp_path):
    text, contig = two_loci(gtf("a", "ABC", *WHOLE), gtf("b", "ABC", *WHOLE))
    options = ("--piece-len", 0, "--validation", 0)
    assert set(rows(build(tmp_path / "two", *write(tmp_path, text, contig), *options))) == {"a:1", "b:1"}
    one_gene = text + lines("any", 'gene_id "ABC";', ("gene", [(101, 1600)]))
    assert len(rows(build(tmp_path / "one", *write(tmp_path, one_gene, contig), *options))) == 1


def test_gene_ids_that_repeat_the_transcript_ids_do_not_make_every_isoform_a_gene(tmp_path):
    shorter = (("exon", [*EXONS[:2], (501, 650)]), *WHOLE[1:])
    text = gtf("NM_1", "NM_1", *WHOLE) + gtf("NM_2", "NM_2", *shorter)
    corpus = build(tmp_path / "o", *write(tmp_path, text), "--piece-len", 0, "--validation", 0)
    assert set(rows(corpus)) == {"NM_1:1"}


def test_numbers_behind_a_point_are_no_versions_of_genes(tmp_path):
    """StringTie's MSTRG.1, MSTRG.2, … were held out together, as versions of one gene."""
    parts, contig = [], ""
    for number in range(40):
        parts.append(shifted(gtf(f"MSTRG.{number}.1", f"MSTRG.{number}", *WHOLE), 900 * number))
        contig += genome(number)
    corpus = build(tmp_path / "o", *write(tmp_path, "".join(parts), contig), "--piece-len", 0, "--validation", 0.5)
    assert 8 <= len(rows(corpus, "validation")) <= 32


def test_inputs_with_the_same_ids_and_names_are_kept_apart(tmp_path):
    inputs = []
    for seed, folder in enumerate(("one", "two"), 5):
        (tmp_path / folder).mkdir()
        inputs += write(tmp_path / folder, DIALECTS["braker.gtf"], genome(seed), "braker.gtf")
    for stage, which in (("utr5", 0), ("utr3", 1)):
        corpus = build(tmp_path / stage, *inputs, "--validation", 0, stage=stage)
        assert rows(corpus) == {
            "one/braker/g1.t1:1": expected(genome(5))[which],
            "two/braker/g1.t1:1": expected(genome(6))[which],
        }
        assert {source["input"] for source in corpus.manifest["sources"]} == {"one/braker", "two/braker"}
        table = corpus.split("train")
        sources = {text.decode().rpartition("|")[2] for text in table.gather_text("source", range(2)).rows()}
        assert sources == {"one/braker", "two/braker"}


def chromosomes(*names):
    rows_of, contigs = "", ""
    for seed, name in enumerate(names):
        rows_of += gtf(f"t{seed}", f"g{seed}", *WHOLE).replace("1\tany", f"{name}\tany")
        contigs += f">{name}\n{genome(seed)}\n"
    return rows_of, contigs


SPECIES = {
    "yeast": ("I", "II", "III", "IV", "IX", "V", "VI", "VII", "VIII", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"),
    "fly": ("2L", "2R", "3L", "3R", "4", "X", "Y"),
    "worm": ("I", "II", "III", "IV", "V", "X"),
    "chicken": (*map(str, range(1, 40)), "W", "Z"),
    "zebrafish": (*map(str, range(1, 26)), "MT", "X"),
    "assembly": ("scaffold_1", "scaffold_2", "1"),
}


@pytest.mark.parametrize("species", SPECIES)
def test_all_contigs_of_a_species_that_is_not_human_are_taken(tmp_path, species):
    text, contigs = chromosomes(*SPECIES[species])
    (tmp_path / "g.fa").write_text(contigs)
    (tmp_path / "a.gtf").write_text(text)
    inputs = ("--genome", tmp_path / "g.fa", "--annotation", tmp_path / "a.gtf")
    corpus = build(tmp_path / "o", *inputs, "--piece-len", 0, "--validation", 0)
    assert len(rows(corpus)) == len(SPECIES[species])


def test_a_human_annotation_gives_its_chromosomes_and_a_filter_that_keeps_a_minority_stops(tmp_path, capsys):
    human = (*map(str, range(1, 23)), "X", "Y", "MT", "KI270711.1")
    for folder, names in (("human", human), ("fly", SPECIES["fly"])):
        text, contigs = chromosomes(*names)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "g.fa").write_text(contigs)
        (tmp_path / folder / "a.gtf").write_text(text)
    inputs = ("--genome", tmp_path / "human/g.fa", "--annotation", tmp_path / "human/a.gtf")
    corpus = build(tmp_path / "o", *inputs, "--piece-len", 0, "--validation", 0)
    assert stage_filters(corpus)["transcripts"] == {"contig": 1}
    inputs = ("--genome", tmp_path / "fly/g.fa", "--annotation", tmp_path / "fly/a.gtf")
    assert main(["utr3", *map(str, inputs), "--contigs", "human", "--out", str(tmp_path / "p")]) == 2
    assert "--contigs human fits 3 of 7 contigs and 3 of 7 coding transcripts" in capsys.readouterr().err
    assert main(["utr3", *map(str, inputs), "--contigs", "2L,5", "--out", str(tmp_path / "p")]) == 2
    assert "--contigs: no coding transcript lies on 5; the annotation has 2L" in capsys.readouterr().err


CIRCULAR = "Is_circular=true"


@pytest.mark.parametrize("form", ["beyond the end", "in two parts"])
@pytest.mark.parametrize("strand", "+-")
def test_a_gene_across_the_origin_of_a_circular_contig_is_whole(tmp_path, form, strand):
    turned = 450  # the contig starts inside an intron on one strand, in the middle of an exon on the other
    contig = genome()
    text, letters = DIALECTS["maker.gff3"], contig
    if strand == "-":
        text, letters = mirrored(text), reverse_complement(contig)
    letters = letters[turned:] + letters[:turned]
    moved = []
    for line in text.splitlines():
        columns = line.split("\t")
        if len(columns) == 9:
            start, end = int(columns[3]) - turned, int(columns[4]) - turned
            if start < 1:
                start, end = start + 900, end + 900
            parts = [(start, end)]
            if form == "in two parts":
                parts = [(s, e) for s, e in ((start, min(end, 900)), (max(start, 901), end)) if s <= e]
                parts = [(s, e) if s <= 900 else (s - 900, e - 900) for s, e in parts]
            for start, end in parts:
                moved.append("\t".join([*columns[:3], str(start), str(end), *columns[5:]]))
    circular = f"1\tany\tregion\t1\t900\t.\t+\t.\tID=r;{CIRCULAR}\n"
    inputs = write(tmp_path, GFF3 + circular + "\n".join(moved) + "\n", letters)
    five, three = expected(contig)
    assert list(rows(build(tmp_path / "3", *inputs, "--piece-len", 0, "--validation", 0)).values()) == [three]
    assert list(rows(build(tmp_path / "5", *inputs, "--validation", 0, stage="utr5")).values()) == [five]


@pytest.mark.parametrize(
    ("old", "new"),
    [("--min-len", "--min-length"), ("--val-fraction", "--validation"), ("--max-other-fraction", "--max-ambiguous"),
     ("--no-dedup", "--duplicates keep")],
)  # fmt: skip
def test_an_old_name_of_an_option_is_an_error_that_names_the_new_one(tmp_path, capsys, old, new):
    assert main(["utr5", old, "1", "--out", str(tmp_path / "o")]) == 2
    assert f"{old} is now called {new}" in capsys.readouterr().err


def test_cropped_utrs_are_counted_and_the_limits_hold_for_what_is_stored(tmp_path):
    contig = list(genome())
    contig[100:130] = "N" * 30  # the part of the 5' UTR that cropping removes, and no more
    inputs = write(tmp_path, DIALECTS["gencode.gtf"], "".join(contig))
    corpus = build(tmp_path / "o", *inputs, "--max-length", 20, "--validation", 0, stage="utr5")
    assert list(rows(corpus).values()) == ["".join(contig)[130:150].replace("T", "U")]
    changed = {entry["filter"]: entry.get("changed") for entry in corpus.manifest["stages"][-1]["filters"]}
    assert changed["crop"] == {"cropped": 1}


def test_a_split_that_only_the_default_asked_for_may_be_empty_and_is_said(tmp_path, capsys):
    inputs = [*map(str, write(tmp_path, DIALECTS["gencode.gtf"]))]
    assert main(["utr3", *inputs, "--out", str(tmp_path / "o")]) == 0
    assert "the split validation is empty" in capsys.readouterr().err
    assert main(["utr3", *inputs, "--validation", "0.001", "--out", str(tmp_path / "p")]) == 2
    assert "the validation split is empty" in capsys.readouterr().err
