"""RNAcentral: types from headers and tables, presets, containment, broken input."""

import gzip
import random
import re
import shutil
import sys

import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.rnacentral.type_table import TypeTable
from data_prep.rnacentral.types import RNA_TYPES, normalized_type, type_of_header
from tests.data_prep.utr_support import folder_bytes, rows, stage_filters


def build(out, *arguments):
    assert main(["rnacentral", *map(str, arguments), "--out", str(out)]) == 0
    return open_corpus(out)


def types(corpus):
    return {
        name: kind
        for split in corpus.splits
        for table in [corpus.split(split)]
        for name, kind in zip(table.ids(range(len(table))), table.rna_type(range(len(table))), strict=True)
    }


HEADERS = {
    b"URS0000000001 rRNA from 1 species": "rRNA",
    b"URS00000A0001 SRP_RNA from 12 species": "SRPRNA",
    b"URS00000A0002 autocatalytically_spliced_intron from 1,204 species": "autocatalyticallysplicedintron",
    b"URS00000A0003 Y RNA from 3 species": "YRNA",
    b"URS00000A0004 circRNA from 1 species": "circRNA",
    b"URS000075C808_9606 Homo sapiens (human) hsa-let-7a-1 microRNA precursor": "premiRNA",
    b"URS0000000001_77133 uncultured bacterium partial 16S ribosomal RNA": "rRNA",
    b"URS00000D0A00_9606 Homo sapiens (human) tRNA-Ala (AGC)": "tRNA",
    b"URS00000D0A01_9606 Homo sapiens misc_RNA": "miscRNA",
    b"URS00000D0A02_9606 Homo sapiens (human) hsa-miR-9-5p": "miRNA",
    b"URS00000D0A03": None,
    b"RF00001_A_1_1-2 5S_rRNA": "5SrRNA",
}


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.decode())
def test_type_of_a_header(header):
    assert type_of_header(header) == HEADERS[header]


def test_the_28_types_are_the_label_tokens_of_rnaernie(shared):
    table = (shared / "spec" / "rnaernie.md").read_text()
    line = next(line for line in table.splitlines() if line.startswith("| 7-34 |"))
    assert line.split("|")[2].split() == list(RNA_TYPES)
    assert [normalized_type(name) for name in ("RNase_MRP_RNA", "Y_RNA")] == ["RNaseMRPRNA", "YRNA"]


def test_type_tables_of_two_columns_and_id_mapping(tmp_path):
    (tmp_path / "two.tsv").write_text("one\ttRNA\ntwo\tSRP_RNA\n")
    assert TypeTable(tmp_path / "two.tsv").look_up([b"two", b"three", b"one"]) == ["SRPRNA", None, "tRNA"]
    mapping = "".join(
        f"{urs}\tENA\tX:{kind}\t9606\t{kind}\tgene\n"
        for urs, kind in [("URS0000000001", "ncRNA"), ("URS0000000001", "rRNA"), ("URS0000000001", "rRNA"),
                          ("URS0000000002", "tRNA"), ("URS0000000002", "miRNA")]
    )  # fmt: skip
    (tmp_path / "map.tsv.gz").write_bytes(gzip.compress(mapping.encode()))
    table = TypeTable(tmp_path / "map.tsv.gz")
    # Most rows decide; with equally many the alphabet. Species-specific ids fall back to their sequence.
    assert table.look_up([b"URS0000000001_9606", b"URS0000000002"]) == ["rRNA", "miRNA"]


FASTA = """>URS0000000001 rRNA from 1 species
ACGUACGUACGUACGU
>URS0000000002 SRP_RNA from 2 species
ACGTNRACGTACGTAA
>URS0000000003 tRNA from 2 species
acgtacgtacgtacgt
>URS0000000004 circRNA from 2 species
GGGGNNGGGGGGCCCC
>URS0000000005_9606 Homo sapiens
CCCCCCCCCCCCCCCCCCCCA
>URS0000000006 tRNA from 1 species

"""


@pytest.fixture
def fasta(tmp_path):
    (tmp_path / "in.fa").write_text(FASTA)
    return tmp_path / "in.fa"


def test_types_letters_lengths_and_duplicates(fasta, tmp_path):
    corpus = build(tmp_path / "out", fasta, "--max-length", 20, "--letters", "acgun", "--validation", 0)
    assert rows(corpus) == {"URS0000000001": "ACGUACGUACGUACGU", "URS0000000004": "GGGGNNGGGGGGCCCC"}
    assert types(corpus) == {"URS0000000001": "rRNA", "URS0000000004": "circRNA"}
    dropped = {name: reasons for name, reasons in stage_filters(corpus).items() if reasons}
    assert dropped == {
        "records": {"record_without_sequence": 1},
        "letters_acgun": {"ambiguity_code_other_than_N": 1},
        "length": {"too_long": 1},
        "duplicates": {"same_sequence": 1},
    }


def test_the_table_of_types_goes_before_the_header(fasta, tmp_path):
    (tmp_path / "types.tsv").write_text("URS0000000001\tsnoRNA\nURS0000000005\tmisc_RNA\n")
    corpus = build(tmp_path / "out", fasta, "--types", tmp_path / "types.tsv", "--validation", 0)
    assert types(corpus)["URS0000000001"] == "snoRNA"
    assert types(corpus)["URS0000000002"] == "SRPRNA"
    assert types(corpus)["URS0000000005_9606"] == "miscRNA"
    changed = next(f["changed"] for f in corpus.manifest["stages"][-1]["filters"] if f["filter"] == "rna_type")
    assert changed == {"from_the_table": 2, "type_outside_the_28_of_rnaernie": 1, "without_a_type": 0}


def test_duplicates_dropped_are_those_that_the_stage_fasta_drops(tmp_path):
    generator, text, first = random.Random(4), "", {}
    for number in range(300):
        letters = "".join(generator.choices("ACGU", k=generator.randint(2, 5)))
        spelled = generator.choice([str, str.lower, lambda text: text.replace("U", "T")])(letters)
        text += f">s{number} rRNA from 1 species\n{spelled}\n"
        first.setdefault(letters, f"s{number}")
    (tmp_path / "in.fa").write_text(text)
    ours = build(tmp_path / "out", tmp_path / "in.fa", "--duplicates", "drop", "--validation", 0)
    plain = ["fasta", str(tmp_path / "in.fa"), "--duplicates", "drop", "--validation", "0"]
    assert main([*plain, "--out", str(tmp_path / "fasta")]) == 0
    theirs = open_corpus(tmp_path / "fasta")
    assert rows(ours) == rows(theirs) == {name: letters for letters, name in first.items()}
    assert (
        stage_filters(ours)["duplicates"] == stage_filters(theirs)["duplicates"] == {"same_sequence": 300 - len(first)}
    )


@pytest.mark.parametrize("stage", ["rnacentral", "utr3", "utr5"])
def test_the_old_word_for_dropping_duplicates_names_the_new_one(stage, capsys):
    assert main([stage, "x.fa", "--out", "out", "--duplicates", "exact"]) == 2
    assert re.search(r"--duplicates: invalid choice: 'exact' \(choose from '?drop'?", capsys.readouterr().err)


@pytest.mark.parametrize(("preset", "longest"), [("ernie_rna", 1022), ("rnaernie", 512), ("rnaernie2", 2048)])
def test_presets_keep_sequences_up_to_the_published_length(tmp_path, monkeypatch, preset, longest):
    monkeypatch.setenv("PATH", str(tmp_path))  # no clustering program
    letters = random.Random(1).choices("ACGU", k=3000)
    (tmp_path / "in.fa").write_text(
        "".join(f">s{n} rRNA from 1 species\n{''.join(letters[:n])}\n" for n in (longest, longest + 1))
    )
    corpus = build(tmp_path / "out", tmp_path / "in.fa", "--preset", preset, "--validation", 0)
    assert list(rows(corpus)) == [f"s{longest}"]


# A program with the command line of CD-HIT-EST that does what it does at 100 % identity, slowly.
STAND_IN = """#!{python}
import sys
if "-h" in sys.argv: sys.exit(print("CD-HIT version 0.0 (stand-in)"))
value = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lines = open(value["-i"]).read().split()
names, texts = lines[::2], lines[1::2]
with open(value["-o"], "w") as out:
    for i, s in enumerate(texts):
        if not any(s in t and (len(t) > len(s) or j < i) for j, t in enumerate(texts) if j != i):
            print(names[i], s, sep="\\n", file=out)
"""


@pytest.fixture(params=["stand-in", "cd-hit-est", "mmseqs"])
def program(request, tmp_path, monkeypatch):
    if request.param == "stand-in":
        script = tmp_path / "bin" / "cd-hit-est"
        script.parent.mkdir()
        script.write_text(STAND_IN.format(python=sys.executable))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent))
        return "cd-hit-est"
    if not shutil.which(request.param):
        pytest.skip(f"needs {request.param} on the PATH")
    return request.param


def test_containment_drops_exactly_the_sequences_inside_others(program, tmp_path):
    dice = random.Random(3)
    texts = ["".join(dice.choices("ACGU", k=dice.randint(30, 300))) for _ in range(60)]
    for _ in range(60):
        whole = dice.choice(texts[:60])
        size = dice.randint(12, len(whole))
        start = dice.randint(0, len(whole) - size)
        texts.append(whole[start : start + size])
    texts += ["ACGU", "ACGUA"]  # too short for the programs: they stay
    dice.shuffle(texts)
    (tmp_path / "in.fa").write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(texts)))
    inside = {
        text for i, text in enumerate(texts)
        if len(text) > 5 and any(text in other and len(other) > len(text) for other in texts)
    }  # fmt: skip
    options = ("--duplicates", "containment", "--cluster-with", program, "--validation", 0)
    corpus = build(tmp_path / "one", tmp_path / "in.fa", *options, "--workers", 1)
    assert set(rows(corpus).values()) == set(texts) - inside
    stage = corpus.manifest["stages"][-1]["parameters"]["clustering"]
    assert stage["program"] == program
    assert stage["version"]
    build(tmp_path / "two", tmp_path / "in.fa", *options, "--workers", 2)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


def test_without_a_program_equal_sequences_are_dropped_with_a_warning(fasta, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    corpus = build(tmp_path / "out", fasta, "--preset", "ernie_rna", "--validation", 0)
    assert "none of cd-hit-est, mmseqs is installed" in capsys.readouterr().err
    assert stage_filters(corpus)["duplicates"] == {"same_sequence": 1}
    assert corpus.manifest["stages"][-1]["parameters"]["clustering"] is None


def test_a_program_that_fails_is_one_clear_line_and_nothing_is_written(fasta, tmp_path, monkeypatch, capsys):
    script = tmp_path / "bin" / "cd-hit-est"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'Fatal Error: not enough memory'\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/bin:/usr/bin")
    assert main(["rnacentral", str(fasta), "--duplicates", "containment", "--out", str(tmp_path / "out")]) == 2
    assert "cd-hit-est ended with status 1: Fatal Error: not enough memory" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "in.fa"]


BROKEN = {
    "in.fa: cannot be read (No such file or directory)": (None, ()),
    "no id in the header": (">\nACGU\n", ()),
    "in.fa: record 2 (sé): an id with letters outside ASCII": (">s\nACGU\n>sé\nACGU\n", ()),
    "no training sequence is left": (">s\nACGU\n", ("--min-length", "10")),
    "no training sequence is left (dropped: letters_of_proteins 1)": (">s\nMKELQ\n", ()),
    "--max-length 5 is below --min-length 6": (FASTA, ("--max-length", "5", "--min-length", "6")),
    "--validation must lie in 0 to below 1": (FASTA, ("--validation", "1")),
    "t.tsv line 1: 3 tab-separated columns": (FASTA, ("--types", "t.tsv")),
    "mmseqs is not on the PATH": (FASTA, ("--duplicates", "containment", "--cluster-with", "mmseqs")),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_input_is_one_clear_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, message):
    text, options = BROKEN[message]
    (tmp_path / "t.tsv").write_text("a\tb\tc\n")
    if text is not None:
        (tmp_path / "in.fa").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["rnacentral", "in.fa", "--out", "out", *options]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"in.fa", "t.tsv"}


def test_real_ncrna_with_class_names_as_types(shared, tmp_path):
    corpus = build(tmp_path / "out", shared / "data" / "ncrna" / "nRC_test.fa", "--validation", 0)
    assert len(rows(corpus)) == 2600
    counts = corpus.manifest["splits"]["train"]["rna_type"]
    assert len(counts) == 13
    assert set(counts.values()) == {200}
