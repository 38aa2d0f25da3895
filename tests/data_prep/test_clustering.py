"""Containment means one thing whatever program finds it: part of another sequence, letter by letter, on its strand."""

import os
import sys

import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.formats.genome import reverse_complement

WHOLE = b"TTGTCAGAACGCTGAAGTGGCTACGCGGGTCAACTTCTTTCTGGATGGGGAAGGTCGTAGG"
SEQUENCES = {
    "whole": WHOLE,
    "part": WHOLE[9:40],
    "reverse complement": reverse_complement(WHOLE),
    "part of it": reverse_complement(WHOLE)[5:30],
    "part but for a letter": WHOLE[:20] + b"A" + WHOLE[21:30],
    "other": WHOLE[::-1],
}
# What MMseqs2's linclust does with them: it compares both strands.
BOTH_STRANDS = """#!{python}
import sys
if sys.argv[1] == "version":
    print("fake")
    sys.exit()
fasta, out = sys.argv[2:4]
numbers = [line[1:].strip() for line in open(fasta) if line.startswith(">")]
with open(out + "_cluster.tsv", "w") as table:
    for number in numbers:
        table.write(f"{{numbers[0] if number != numbers[-1] else number}}\\t{{number}}\\n")
"""


@pytest.fixture
def both_strands(tmp_path, monkeypatch):
    """A program called mmseqs that puts all sequences but the last into the cluster of the first."""
    script = tmp_path / "bin" / "mmseqs"
    script.parent.mkdir()
    script.write_text(BOTH_STRANDS.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}/usr/bin:/bin")


def test_what_a_program_clusters_by_the_other_strand_or_loosely_stays(both_strands, tmp_path, capsys):
    letters = "".join(f">s{i} rRNA\n{text.decode()}\n" for i, text in enumerate(SEQUENCES.values()))
    (tmp_path / "in.fa").write_text(letters)
    options = ["--duplicates", "containment", "--cluster-with", "mmseqs", "--validation", "0"]
    assert main(["rnacentral", str(tmp_path / "in.fa"), *options, "--out", str(tmp_path / "out")]) == 0
    corpus = open_corpus(tmp_path / "out")
    table = corpus.split("train")
    kept = [list(SEQUENCES)[int(name[1:])] for name in table.ids(range(len(table)))]
    assert kept == [name for name in SEQUENCES if name != "part"]
    assert "same strand" in corpus.manifest["stages"][-1]["parameters"]["clustering"]["drops"]
    assert "containment by mmseqs: drops what is part of the representative" in capsys.readouterr().out
