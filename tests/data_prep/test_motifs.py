"""Motif lists: formats, normalization, matches equal to the goldens, coverage, and the statistics of mining."""

import csv
import gzip
import math
import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.corpus import Ragged, SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.motifs.matcher import MotifMatcher
from data_prep.motifs.mining import adjusted, count_kmers, mine
from data_prep.motifs.read import read_motifs


def run(tmp_path, *arguments):
    assert main(["motifs", *map(str, arguments), "--out", str(tmp_path / "out.txt")]) == 0
    return (tmp_path / "out.txt").read_text().splitlines()


def corpus_of(folder, sequences):
    with SequenceWriter(folder, stage="test", parameters={}) as writer:
        writer.append("train", [str(i) for i in range(len(sequences))], [text.encode() for text in sequences])
        writer.finish(Tally())
    return open_corpus(folder)


ATTRACT = (
    "Gene_name\tOrganism\tMotif\tLen\tDatabase\n"
    "ELAVL1\tHomo_sapiens\tUUUAUUU\t7\tR\n"
    "ELAVL1\tHomo_sapiens\tTTTATTT\t7\tC\n"
    "PUM2\tHomo_sapiens\tUGUANAUA\t8\tR\n"
)
MEME = """MEME version 4

ALPHABET= ACGT

strands: +

MOTIF M1 first
letter-probability matrix: alength= 4 w= 5 nsites= 20 E= 0
 0.97 0.01 0.01 0.01
 0.40 0.05 0.50 0.05
 0.00 0.00 0.00 1.00
 0.24 0.26 0.24 0.26
 0.10 0.70 0.10 0.10
"""


def test_every_format_is_told_by_its_content_and_normalized(tmp_path):
    (tmp_path / "ATtRACT_db.txt").write_text(ATTRACT)
    (tmp_path / "one.meme").write_text(MEME)
    (tmp_path / "plain.txt").write_bytes(b"# a comment\r\nuuuauuu\r\n\r\nacgt\r\n")
    lines = run(tmp_path, tmp_path / "ATtRACT_db.txt", tmp_path / "one.meme", tmp_path / "plain.txt")
    assert lines == [
        "# source: R", "UGUAAAUA", "UGUACAUA", "UGUAGAUA", "UGUAUAUA",
        "# source: R+C+plain", "UUUAUUU",
        "# source: one", "AAUCC", "AAUUC", "AGUCC", "AGUUC",
        "# source: plain", "ACGU",
    ]  # fmt: skip


MATRIX = "A 0 10 0 9\nC 0 0 0 1\nG 10 0 0 0\nT 0 0 10 0\n"  # GAUA
POSITIONS = "{}A\tC\tG\t{}\n1\t0\t0\t1\t0\n2\t1\t0\t0\t0\n3\t0\t0\t0\t1\n4\t0.9\t0.1\t0\t0\n"
DIALECTS = {
    "JASPAR": ">MA1.1 x\n" + re.sub(r"([ACGT]) (.*)", r"\1  [ \2 ]", MATRIX),
    "JASPAR raw": ">MA1.1 x\n" + re.sub("[ACGT] ", "", MATRIX),
    "JASPAR, two motifs": 2 * (">MA1.1 x\n" + MATRIX),
    "UniPROBE": MATRIX.replace(" ", "\t").replace("A\t", "A:\t"),
    "CISBP": "RBP\tx\nMotif\tM1\n" + POSITIONS.format("Pos\t", "U"),
    "letters alone": re.sub(r"(?m)^\d\t", "", POSITIONS.format("", "T")),
    "blanks": re.sub(r"(?m)^\d\t", " ", POSITIONS.format(" ", "U")).replace("\t", "  ").replace("0.", "."),
    "positions without a name above": POSITIONS.format("", "U").replace("\t", " "),
    "R's write.table": re.sub(r"(?m)^(\d)", r'"\1"', re.sub("([ACGU])", r'"\1"', POSITIONS.format("", "U"))),
    "R's write.csv": re.sub("([ACGU])", r'"\1"', POSITIONS.format('""\t', "U")).replace("\t", ","),
    "positions with names": re.sub(r"(?m)^(\d)", r"pos\1", POSITIONS.format("Pos ", "U")).replace("\t", " "),
    "HOMER": ">GATA\tx\t6\n" + re.sub(r"(?m)^\d\t", "", POSITIONS.partition("\n")[2]) + "0.25 0.25 0.25 0.25\n",
    "TRANSFAC": "AC  M1\nXX\nP0  A C G T\n" + "\n".join(
        f"0{i} {row} N" for i, row in enumerate(["0 0 9 0", "9 0 0 0", "0 0 0 9", "9 0 0 0"], 1)) + "\nXX\n//\n",
    "FASTA": ">one\nGATA\n>two\ngaua\n",
    "full MEME": "*****\nMEME - Motif discovery tool\n*****\nMEME version 5.5.0 (x)\n\nALPHABET= ACGT\n\n"
    "log-odds matrix: alength= 4 w= 2 n= 9 bayes= 7 E= 1\n -1 2 -3 4\n 1 -2 3 -4\n-----\n"
    "letter-probability matrix: alength= 4 w= 4 nsites= 9 E= 1.2e-003 \n" + "{}" + "-----\n",
    "STREME": '*****\nSTREME - Sensitive\n*****\nMEME version 5.5.0\nALPHABET "RNA" RNA-LIKE\n'
    'A "Adenine" CC0000 ~ U "Uracil" 008000\nC "C" 0000CC ~ G "G" FFB300\nN "Any" = ACGU\nEND ALPHABET\n'
    "MOTIF 1-GAUA STREME-1\nletter-probability matrix: alength= 4 nsites= 9 E= 1\n" + "{}" + "URL x\n",
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_matrices_of_every_dialect_give_the_same_motif(tmp_path, dialect):
    rows = " 0 0 1 0\n 1 0 0 0\n 0 0 0 1\n 0.9 0.1 0 0\n"
    (tmp_path / "m.txt").write_text(DIALECTS[dialect].format(rows))
    assert run(tmp_path, tmp_path / "m.txt") == ["# source: m", "GAUA"]


def test_flat_ends_are_left_out_and_degenerate_motifs_are_counted(tmp_path, capsys):
    flat = " 0.25 0.25 0.25 0.25\n"
    head = MEME.partition("MOTIF")[0] + "MOTIF {0}\nletter-probability matrix: w= {1}\n"
    wanted = " 1 0 0 0\n" * 4
    (tmp_path / "m.meme").write_text(
        head.format("one", 9) + flat * 3 + wanted + flat * 2
        + head.format("two", 7) + " 0 1 0 0\n" + flat * 5 + " 0 1 0 0\n"
        + head.format("three", 2) + flat * 2
    )  # fmt: skip
    assert run(tmp_path, tmp_path / "m.meme") == ["# source: m", "AAAA"]
    shown = capsys.readouterr()
    assert "dropped flat_matrix 1, too_degenerate 1" in shown.out
    assert "'CNNNNNC' stands for 1,024 motifs, more than --max-expansion 256; left out" in shown.err


def test_tables_put_together_keep_their_headers_out_of_the_list(tmp_path):
    (tmp_path / "in.txt").write_text(ATTRACT + ATTRACT)
    (tmp_path / "one.txt").write_text(ATTRACT)
    assert run(tmp_path, tmp_path / "in.txt") == run(tmp_path, tmp_path / "one.txt")


def test_the_list_it_writes_reads_back_as_the_same_list(tmp_path):
    (tmp_path / "ATtRACT_db.txt").write_text(ATTRACT)
    lines = run(tmp_path, tmp_path / "ATtRACT_db.txt")
    (tmp_path / "again.txt").write_text("\n".join(lines))
    assert run(tmp_path, tmp_path / "again.txt") == lines


def test_lengths_are_bounded_and_drops_counted(tmp_path, capsys):
    (tmp_path / "in.txt").write_text("ACG\nACGU\nACGUA\nACGUAC\nACGU\n")
    assert run(tmp_path, tmp_path / "in.txt", "--max-length", 5) == ["# source: in", "ACGU", "ACGUA"]
    assert "dropped too_long 1, too_short 1" in capsys.readouterr().out


BROKEN = {
    "in.txt line 2: 'X' in 'ACXU' is not a nucleotide or IUPAC code": "ACGU\nACXU\n",
    "in.txt line 1: ' ' in 'ACGU 0.5' is not a nucleotide": "ACGU 0.5\n",
    "in.txt line 2: expected four rows (A, C, G, U), or": ">m\n1 2 3\n4 5 6\n",
    "in.txt line 2: expected counts or probabilities, got '-1.2 1'": ">m\nA -1.2 1\nC 1 1\nG 1 1\nU 1 1\n",
    "in.txt line 2: the four rows have different lengths": ">m\nA 1 2\nC 4 5 6\nG 1 1\nT 2 2\n",
    "in.txt line 2: expected four rows named A, C, G and U or T": ">m\nA 1\nC 1\nG 1\n",
    "in.txt line 2: rows could be letters or positions": ">m\n1 0 0 0\n0 1 0 0\n0 0 0 1\n0 0 1 0\n",
    "in.txt line 1: no line of four numbers below 'A C G U'": "A C G U\nACGU\nGGGA\n",
    "in.txt line 2: expected numbers, got 'A 0.9 0.03 0.03'": "A C G U\nA 0.9 0.03 0.03 0.04 .\n",
    "in.txt line 3: expected counts or probabilities, got '-0.3 1.1 0 0'": "A C G U\n1 0 0 0\n-0.3 1.1 0 0\n",
    "in.txt line 3: expected four numbers of a position": "A C G U\n1 0 0 0\n.9 .1\n",
    "in.txt: this is markup (XML or HTML); give the text output": '<?xml version="1.0"?>\n<MEME>\n',
    "in.txt line 8: the matrix is cut off (0 rows)": MEME.partition(" 0.97")[0].rstrip().replace("w= 5", ""),
    "in.txt line 8: alength= 20; only nucleotides": MEME.replace("alength= 4", "alength= 20"),
    "in.txt line 1: 'E' in 'ACGUACGUACGUACGUACGUACGUACGUACGUACGUACGU…' is not a nucleotide": "ACGU" * 9999 + "E\n",
    "in.txt: no motif in it": "# nothing\n\n",
    "in.txt line 1: a table without a column Motif or Sequence": "protein\tscore\nELAVL1\t1\n",
    "in.txt line 3: 1 columns where the first line has 2": "protein\tmotif\nA\tACGU\nB\n",
    "in.txt line 2: not UTF-8": b"ACGU\nAC\xffU\n",
    "in.txt line 10: expected four probabilities that sum to 1": MEME.replace("0.05 0.50 0.05", "0.05 0.10 0.05"),
    "in.txt line 12: expected four probabilities": MEME.replace(" 0.24 0.26 0.24 0.26\n", " 0.24 0.26\n"),
    "in.txt line 3: alphabet 'ACDEFGHIKLMNPQRSTVWY'": MEME.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY"),
    "a MEME file without any letter-probability matrix": MEME.partition("MOTIF")[0],
    "no motif is left (dropped: too_short 1)": "ACG\n",
    "in.txt: no such file": None,
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_input_is_one_clear_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, message):
    content = BROKEN[message]
    if content is not None:
        (tmp_path / "in.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    assert main(["motifs", "in.txt", "--out", "out.txt"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out.txt").exists()


def test_matches_are_the_golden_ones(shared):
    folder = shared / "golden" / "rnaernie"
    with open(folder / "motif_sequences.tsv", newline="") as handle:
        sequences = {row["seq_id"]: row["sequence"] for row in csv.DictReader(handle, delimiter="\t")}
    with gzip.open(folder / "motif_matches.tsv.gz", "rt", newline="") as handle:
        golden = list(csv.DictReader(handle, delimiter="\t"))
    lists = {"DataBases": ("ATtRACT.txt", "SpliceAid.txt"), "Statistics": ("Statistics.txt",)}
    rows = Ragged.from_rows([sequence.encode() for sequence in sequences.values()])
    for tree, files in lists.items():
        raw = [motif for file in files for motif in read_motifs(shared / "data" / "motifs" / file, 0.25)]
        starts, lengths = MotifMatcher({motif.text.replace("T", "U") for motif in raw}).find(rows)
        row = np.searchsorted(rows.offsets, starts, side="right") - 1
        names = list(sequences)
        within = (starts - rows.offsets[row]).tolist()
        found = {(names[r], s, s + n) for r, s, n in zip(row.tolist(), within, lengths.tolist(), strict=True)}
        assert len(found) == len(starts)
        assert found == {(m["seq_id"], int(m["start"]), int(m["end"])) for m in golden if m["tree"] == tree}


@given(
    st.lists(st.text("ACGUN", max_size=40), min_size=1, max_size=5),
    st.sets(st.text("ACGU", min_size=1, max_size=14), min_size=1, max_size=8),
)
def test_matches_are_those_of_a_plain_search(sequences, motifs):
    rows = Ragged.from_rows([text.encode() for text in sequences])
    starts, lengths = MotifMatcher(motifs).find(rows)
    wanted = {
        (offset + start, len(motif))
        for text, offset in zip(sequences, rows.offsets.tolist(), strict=False)
        for motif in motifs
        for start in range(len(text))
        if text.startswith(motif, start)
    }
    assert set(zip(starts.tolist(), lengths.tolist(), strict=True)) == wanted
    assert len(starts) == len(wanted)


def test_coverage_of_real_ncrna_is_that_of_the_specification(shared, tmp_path, capsys):
    # The table of recipes/rnaernie.md#motif-speed was measured on the first 1,300 records.
    records = (shared / "data" / "ncrna" / "nRC_test.fa").read_text().split(">")[1:1301]
    (tmp_path / "half.fa").write_text("".join(f">{record}" for record in records))
    assert main(["rnacentral", str(tmp_path / "half.fa"), "--validation", "0", "--out", str(tmp_path / "c")]) == 0
    lists = [shared / "data" / "motifs" / name for name in ("ATtRACT.txt", "SpliceAid.txt")]
    run(tmp_path, *lists, "--coverage", tmp_path / "c")
    table = [[float(cell) for cell in line.split()] for line in capsys.readouterr().out.splitlines()[-6:]]
    wanted = [
        (4, 4041, 0.959, 80.3), (5, 3944, 0.857, 42.4), (6, 3768, 0.703, 24.1),
        (7, 3286, 0.502, 11.5), (8, 1864, 0.056, 0.9), (10, 1314, 0.003, 0.05),
    ]  # fmt: skip
    for row, (length, motifs, covered, matches) in zip(table, wanted, strict=True):
        assert row[:2] == [length, motifs]
        assert row[2] == pytest.approx(covered, abs=0.001)
        assert row[3] == pytest.approx(matches, abs=0.06)


def test_kmers_are_counted_within_sequences_and_between_other_letters(tmp_path):
    sequences = ["ACGUACGU", "ACNACG", "AC"]
    counts = count_kmers(corpus_of(tmp_path / "c", sequences), 3)
    wanted = Counter(text[i : i + 3] for text in sequences for i in range(len(text) - 2))
    wanted = {kmer: count for kmer, count in wanted.items() if "N" not in kmer}
    numbers = {int("".join("0123"["ACGU".index(letter)] for letter in kmer), 4): n for kmer, n in wanted.items()}
    assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == numbers


def test_adjusted_p_values_are_benjamini_and_hochbergs():
    # Worked by hand: 5 tests, three of them given.
    assert adjusted(np.array([0.03, 0.01, 0.04]), tests=5).tolist() == pytest.approx([0.2 / 3, 0.05, 0.2 / 3])


def test_p_values_are_exact(tmp_path):
    dice = random.Random(5)
    one = corpus_of(tmp_path / "one", ["".join(dice.choices("ACGU", (4, 2, 1, 1), k=50)) for _ in range(4)])
    two = corpus_of(tmp_path / "two", ["".join(dice.choices("ACGU", k=50)) for _ in range(9)])
    a, b = count_kmers(one, 2), count_kmers(two, 2)
    share = a.sum() / (a.sum() + b.sum())
    for found in mine(one, two, [2], max_fdr=1, top=99):
        i = 4 * "ACGU".index(found.motif[0]) + "ACGU".index(found.motif[1])
        n = int(a[i] + b[i])
        tail = sum(math.comb(n, x) * share**x * (1 - share) ** (n - x) for x in range(int(a[i]), n + 1))
        assert found.count == a[i]
        assert found.p == pytest.approx(tail)
    letters = count_kmers(one, 1) / count_kmers(one, 1).sum()
    for found in mine(one, 0, [2], max_fdr=1, top=99):
        mean = a.sum() * math.prod(letters["ACGU".index(letter)] for letter in found.motif)
        below = sum(math.exp(-mean) * mean**x / math.factorial(x) for x in range(found.count))
        assert found.expected == pytest.approx(mean)
        assert found.p == pytest.approx(1 - below, abs=1e-9)


def test_a_first_order_background_expects_what_letter_pairs_explain(tmp_path):
    # CG follows CG: a chain of order 1 explains CGCG, one of order 0 does not.
    dice = random.Random(6)
    corpus = corpus_of(tmp_path / "c", ["".join(dice.choices(["CG", "A", "U"], k=60)) for _ in range(40)])
    assert "CGCG" in {found.motif for found in mine(corpus, 0, [4], 0.01, 99)}
    assert "CGCG" not in {found.motif for found in mine(corpus, 1, [4], 0.01, 99)}


def test_a_planted_motif_comes_first_and_noise_alone_gives_nothing(tmp_path):
    dice = random.Random(7)
    noise = ["".join(dice.choices("ACGU", k=200)) for _ in range(200)]
    planted = [text[:90] + "GAUUACAG" + text[98:] if i % 4 == 0 else text for i, text in enumerate(noise)]
    other = ["".join(dice.choices("ACGU", k=200)) for _ in range(200)]
    with_motif, without = corpus_of(tmp_path / "p", planted), corpus_of(tmp_path / "n", noise)
    background = corpus_of(tmp_path / "b", other)
    for against in (background, 1):
        assert mine(with_motif, against, [6, 8], 0.01, 99)[0].motif == "GAUUACAG"
        assert mine(without, against, [6, 8], 0.01, 99) == []


def test_the_command_mines_and_writes_the_figures_beside_the_list(tmp_path):
    dice = random.Random(8)
    texts = ["".join(dice.choices("ACGU", k=80)) + "GAUUACAG" for _ in range(100)]
    corpus_of(tmp_path / "c", texts)
    lines = run(tmp_path, "--mine", tmp_path / "c", "--lengths", "8", "--max-fdr", 0.001)
    assert lines[:2] == ["# mined against markov:1, false discovery rate 0.001", "# source: mined"]
    assert "GAUUACAG" in lines
    table = (tmp_path / "out.txt.tsv").read_text().splitlines()
    assert table[0] == "motif\tcount\texpected\tp\tq"
    assert table[1].startswith("GAUUACAG\t100\t")


@pytest.mark.parametrize(
    "options", [("--lengths", "0-3"), ("--lengths", "9-14"), ("--lengths", "x"), ("--background", "no")]
)
def test_mining_options_that_make_no_sense_are_one_clear_line(tmp_path, capsys, options):
    corpus_of(tmp_path / "c", ["ACGU" * 9])
    assert main(["motifs", "--mine", str(tmp_path / "c"), "--out", str(tmp_path / "o"), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_mining_that_finds_nothing_is_one_clear_line_and_nothing_is_written(tmp_path, capsys):
    corpus_of(tmp_path / "c", ["ACGUUGCA"])
    assert main(["motifs", "--mine", str(tmp_path / "c"), "--lengths", "4", "--out", str(tmp_path / "o")]) == 2
    assert "no motif is left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
