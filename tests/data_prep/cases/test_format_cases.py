"""Situations from public bug reports about FASTA, variants, motifs, clusters and names: each command gives its outcome.

Every case lies in `shared/cases/data/ID`: input, `cmd` (commands of stages, each with a fresh --out) and what is right.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from tests.data_prep.cases import test_annotation_cases as of_annotations
from tests.data_prep.variants_support import dense_contig, filters

UTR = "CCGACCACGAAC"  # how the 3' UTR of 110 nt of most cases begins


def sequences(folder):
    """Of all splits, by id."""
    corpus, found = open_corpus(folder, verify=True), {}
    for split in corpus.splits:
        table = corpus.split(split)
        every = np.arange(len(table))
        found |= dict(zip(table.ids(every), (row.decode() for row in table.gather(every).rows()), strict=True))
    return found


def is_the_utr(folder):
    (utr,) = sequences(folder).values()
    assert utr.startswith(UTR)
    assert len(utr) == 110


def frequencies(folder, contig):
    """{position from 1: row} where the row is not the reference's."""
    dense = dense_contig(open_corpus(folder, verify=True), contig)
    return {int(at) + 1: dense[at].tolist() for at in np.flatnonzero((dense > 0).sum(axis=1) > 1)}


def pieces_of_n(folders, _errors):
    found = sequences(folders[0])
    assert {name.partition(":")[0] for name in found} == {"chrA", "chrB"}
    assert sum(name.startswith("chrA") for name in found) == 40
    assert sum(name.startswith("chrB") for name in found) == 40
    assert all(sequence.count("N") <= 10 for sequence in found.values())


def exact_name(folders, _errors):
    assert list(frequencies(folders[0], "chrM")) == [10, 20, 30]
    assert not frequencies(folders[0], "chrMT")


def longer_ref(folders, _errors):
    found = frequencies(folders[0], "chr1")
    assert {at: max(row) for at, row in found.items()} == pytest.approx({1003: 0.7, 1005: 0.6, 1008: 0.75})
    assert filters(open_corpus(folders[0]))["allele"] == {"kept": 3, "indel": 1}


def byte_order_marks(folders, _errors):
    is_the_utr(folders[0])
    assert next(iter(sequences(folders[1]).values())).startswith(UTR)
    assert len(frequencies(folders[2], "chr1")) == 1
    assert Path(folders[3]).read_text().startswith("# source: bom\n")


def compressed(folders, errors):
    assert sequences(folders[0]) == sequences(folders[1])
    is_the_utr(folders[2])
    assert "disagree with the genome (POS 5: REF A, genome T)" in errors[3]  # so it was read


def other_formats(folders, errors):
    assert sequences(folders[0]) == {"a": "ACGUACGU"}
    assert "this is GenBank" in errors[1]  # cut short: 10 letters of the 20 that it tells of
    assert "convert it to FASTA" in errors[1]
    assert "this is EMBL" in errors[2]
    assert "convert it to FASTA" in errors[2]
    assert sequences(folders[3]) == {"a": "ACGUACGUAC"}


def cluster_table(folders, _errors):
    train, validation = ({*open_corpus(folders[1]).split(split).ids([])} for split in ("train", "validation"))
    assert not train & validation
    assert set(sequences(folders[1])) == {"a", "b", "c"}


def one_side_of(text):
    def check(_folders, errors):
        assert text in errors[-1]

    return check


def dbsnp(folders, errors):
    assert frequencies(folders[0], "chr1")[1008] == pytest.approx([0.846, 0, 0.154, 0])
    assert "FREQ lists several studies (TOMMO, dbGaP_PopFreq)" in errors[1]


def degenerate_motif(folders, _errors):
    lines = Path(folders[0]).read_text().splitlines()
    assert "AAAAA" in lines
    assert len(lines) == 4


def strands(folders, errors):
    assert "mmseqs is not on the PATH" in errors[0] if errors[0] else len(sequences(folders[0])) == 5


OUTCOMES = {
    "S01_pieces_of_N": pieces_of_n,
    "S03_genome_comment_line": lambda folders, _errors: is_the_utr(folders[0]),
    "S09_match_chr_moves_variants": exact_name,
    "S14_mmseqs_drops_reverse_complements": strands,
    "S16_conflicting_cluster_lines": one_side_of("record a is in several clusters"),
    "S18_snv_in_longer_ref": longer_ref,
    "M06_byte_order_mark": byte_order_marks,
    "M07_bz2_xz_zst": compressed,
    "M09_other_sequence_formats": other_formats,
    "M12_mmseqs_cluster_table": cluster_table,
    "M14_versions_of_ids": one_side_of("only by their version (ENST01.2 here, ENST01 there)"),
    "U04_aligned_fasta": one_side_of("gaps (- . ~): this is an alignment; give --gaps remove"),
    "U05_dbsnp_frequencies": dbsnp,
    "U06_one_degenerate_motif": degenerate_motif,
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_command_of_a_case_has_the_right_outcome(shared, tmp_path, monkeypatch, capsys, name):
    if "zst" in name:
        pytest.importorskip("zstandard")
    shutil.copytree(shared / "cases" / "data" / name, tmp_path / "case")
    os.chmod(tmp_path / "case", 0o755)
    monkeypatch.chdir(tmp_path / "case")
    folders, errors = [], []
    for number, command in enumerate(re.split(r"\s*(?:;|&&)\s*", Path("cmd").read_text().strip())):
        words = [re.sub(r"^OUT(\d*)", rf"out{number}_\1", word) for word in shlex.split(command)]
        if words[0] == "split":  # of what the command before it wrote
            words[1] = folders[-1]
        folders.append(words[words.index("--out") + 1])
        status = main(words)
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
        assert (status, len(lines)) in ((0, 0), (2, 1))
        errors.append("".join(lines))
    OUTCOMES[name](folders, errors)


def test_every_case_is_run(shared):
    known = {*OUTCOMES, *of_annotations.RIGHT_TYPES, *of_annotations.RIGHT_UTRS}
    source = Path(of_annotations.__file__).read_text()
    cases = [path.name for path in (shared / "cases" / "data").iterdir()]
    assert [name for name in sorted(cases) if name not in known and f'"{name}"' not in source] == []
