"""Situations from public bug reports about annotations and RNA types: the command of each gives the right outcome."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus

UTR = "CCGACCACGAAC"  # how the 3' UTR of 110 nt of most cases begins
RIGHT_TYPES = {
    "S05_precursor_labelled_mirna": {
        "URS000075CC93_9606": "premiRNA", "URS0000D50284_7240": "premiRNA", "URS0000454FAB_7227": "miRNA",
        "URS00003EBD9A_9913": "telomeraseRNA", "URS000034C5CB_7227": "SRPRNA", "URS00002F21DA_7227": "premiRNA",
    },
    "S06_type_of_another_species": {"URS0000000001_9606": "piRNA", "URS0000000001_10090": "tRNA"},
    "S07_unsorted_type_table": {"URS0000000001": "rRNA", "URS0000000002": "snoRNA"},
}  # fmt: skip
RIGHT_UTRS = {
    "S04_gtf_without_stop_codon_rows": 1,
    "S12_one_transcript_id_two_loci": 1,
    "M01_no_biotypes": 1,
    "M02_gtf22_utr_rows": 1,
    "M04_circular_contig": 1,
    "U02_braker_gtf": 1,
}


@pytest.fixture
def run(shared, tmp_path, monkeypatch):
    """Run the command of a case in a copy of its folder; returns the corpus."""

    def run_case(name):
        shutil.copytree(shared / "cases" / "data" / name, tmp_path / name)
        os.chmod(tmp_path / name, 0o755)
        monkeypatch.chdir(tmp_path / name)
        words = Path("cmd").read_text().split()
        assert main([word if word != "OUT" else "out" for word in words]) == 0
        return open_corpus("out")

    return run_case


def records(corpus):
    """{id: (sequence, type, source)} of all splits."""
    found = {}
    for split in corpus.splits:
        table = corpus.split(split)
        every = np.arange(len(table))
        sources = table.gather_text("source", every).rows() if table.has("source") else [b""] * len(table)
        columns = (table.ids(every), table.gather(every).rows(), table.rna_type(every), sources)
        for name, sequence, kind, source in zip(*columns, strict=True):
            assert name not in found
            found[name] = (sequence.decode(), kind, source.decode())
    return found


@pytest.mark.parametrize("name", RIGHT_TYPES)
def test_types_are_those_of_rnacentral(run, name):
    assert {key: kind for key, (_, kind, _) in records(run(name)).items()} == RIGHT_TYPES[name]


@pytest.mark.parametrize("name", RIGHT_UTRS)
def test_the_utr_is_the_right_one(run, name):
    utrs = [sequence for sequence, _, _ in records(run(name)).values()]
    assert len(utrs) == RIGHT_UTRS[name]
    assert all(utr.startswith(UTR) and len(utr) == 110 for utr in utrs)


def test_ids_of_two_genomes_are_kept_apart(run):
    found = records(run("S11_braker_ids_of_two_genomes"))
    assert len(found) == 2
    assert {source.rpartition("|")[2] for _, _, source in found.values()} == {"a", "b"}


def test_all_chromosomes_of_yeast_are_kept(run):
    found = records(run("S13_yeast_keeps_chromosome_ten"))
    assert len({source.split("|")[1] for _, _, source in found.values()}) == 17
