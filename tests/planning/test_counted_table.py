"""The table of counted steps in docs/benchmarks.md is what the code does today, beside what it did before."""

import json
import re
from pathlib import Path

import pytest

from pretrain.cli.benchmark import main
from pretrain.planning.counted.deepspeed_cost import host_reads
from pretrain.planning.counted.table import CASES, count_row, from_record, markdown_row
from tests.training.test_waits import READS, SETTINGS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "benchmarks.md").read_text(encoding="utf-8").splitlines()
BEFORE = {name: from_record(row) for name, row in json.loads((DOCS / "counted_before.json").read_text()).items()}
HELD = [
    "BERT, 128 x 512",
    "ERNIE-RNA, 32 x 1,024",
    "ERNIE-RNA, 32 x 1,024, scores stored in float16",
    "UTR-LM, ragged",
    "UTR-LM, ragged, one shape",
    "DNABERT-2",
    "MutBERT",
    "NT v2 50M",
    "GPN",
    "HyenaDNA tiny",
]


@pytest.mark.parametrize("name", HELD)
def test_a_row_of_the_page_is_what_is_counted_now(name, tmp_path):
    """If a change is meant: python launch/benchmark.py counted --before docs/counted_before.json, into the page."""
    assert markdown_row(name, count_row(name, tmp_path), BEFORE.get(name)) in PAGE


def test_every_case_stands_in_the_page():
    rows = [re.match(r"\| (.+): .+ tokens \| [\d,]+ \+ ", line) for line in PAGE]
    assert [row[1] for row in rows if row] == list(CASES)


def test_the_command_prints_rows_and_names_a_case_or_file_that_is_none(tmp_path, capsys):
    assert main(["counted", "HyenaDNA tiny", "--json", str(tmp_path / "rows.json")]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row == markdown_row(
        "HyenaDNA tiny", from_record(json.loads((tmp_path / "rows.json").read_text())["HyenaDNA tiny"]), None
    )
    assert main(["counted", "BERT"]) == 2
    assert "unknown case 'BERT'; choose from ERNIE-RNA" in capsys.readouterr().err
    (tmp_path / "rows.json").write_text("[1]")
    assert main(["counted", "--before", str(tmp_path / "rows.json")]) == 2
    assert "expected rows that --json wrote" in capsys.readouterr().err


@pytest.mark.parametrize("setting", READS)
def test_reads_of_deepspeed_that_are_assumed_are_those_that_are_counted(setting):
    from pretrain.config.sections import Engine

    assert host_reads(Engine(**SETTINGS[setting])) == sum(READS[setting].values())
