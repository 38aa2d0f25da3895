"""Tasks of other kinds: labeled variants without training, base pairs and families with clans held out."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.errors import DataPrepError
from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.files import Columns, Join, Split, read_task
from pretrain.evaluation.bench.kinds import base_of, frozen_answers, model_free_answers, run_any
from pretrain.evaluation.bench.run import Options
from pretrain.evaluation.bench.structures import read_structure_task
from pretrain.evaluation.bench.suites import load_suite, tasks_of
from pretrain.evaluation.bench.words import task_table
from tests.data_prep.variants_support import record, write_fasta, write_vcf
from tests.evaluation.support import tiny

HEADER = "# STOCKHOLM 1.0\n"


def suite_of(folder, text):
    (folder / "own.yaml").write_text(text)
    return list(tasks_of(load_suite(str(folder / "own.yaml")), None, folder, {}))


@pytest.fixture
def variants(tmp_path):
    """Common alleles are transitions, rare ones are not; one allele is neither, one no single base."""
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 400))
    write_fasta(tmp_path / "g.fa", chr1=letters)
    other = {"A": "G", "G": "A", "C": "T", "T": "C"}
    rows = []
    for number, pos0 in enumerate(range(40, 360, 10)):
        ref = letters[pos0]
        common = number % 2 == 0
        alt = other[ref] if common else next(one for one in "ACGT" if one not in (ref, other[ref]))
        rows.append(
            record(pos0 + 1, ref, alt, f"AF={0.3 if common else 0.0002};CLASS={'good' if common else 'bad'}", "1")
        )
    rows.append(record(372, letters[371], other[letters[371]], "AF=0.01", "1"))
    rows.append(record(381, letters[380], letters[380] + "AC", "AF=0.3", "1"))
    write_vcf(tmp_path / "v.vcf", *rows)
    return tmp_path


RANGES = "{v: {vcf: v.vcf, genome: g.fa, label: AF, positive: {at_least: 0.05}, negative: {at_most: 0.0005}}}"
VALUES = "{v: {vcf: v.vcf, genome: g.fa, label: CLASS, positive: [good], negative: [bad]}}"


@pytest.mark.parametrize("said", [RANGES, VALUES])
def test_variants_of_two_kinds_are_scored_without_training(variants, said):
    (asked,) = suite_of(variants, f"tasks: {said}\n")
    assert np.bincount(asked.task.true).tolist() == [16, 16]
    assert sum(value for key, value in asked.task.facts.items() if key.startswith("left_out")) == 2
    model = tiny("mutbert")
    found = run_any([model], asked, Options(seeds=2)).json
    assert set(found["metrics"]) == {"auroc", "aupr"} == set(found["intervals"])
    assert set(found["bars"]) == {"transition", "contexts", "random_weights"} == set(found["versus"])
    assert found["bars"]["transition"]["auroc"] == 1.0
    expected = roc_auc_score(asked.task.true, frozen_answers(model, asked, Options()).scores[0][:, 1])
    assert found["metrics"]["auroc"] == pytest.approx(expected)
    table = task_table("v", found, [model.source])
    assert "variants of two classes, no training" in table
    assert "left out of neither kind: 1 sequences" in table


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("at_most: 0.0005", "at_most: 0", "expected 2 variants or more with a negative AF, got 0"),
        ("label: AF", "label: NOPE", "expected 2 variants or more with a negative NOPE"),
        ("genome: g.fa", "genome: other.fa", "variants of .*v.vcf disagree with .*other.fa"),
        ("vcf: v.vcf", "vcf: told.vcf", "told.vcf: contig 1: its header says 401 bases, the genome has 400: another"),
        ("genome: g.fa", "genome: twice.fa", "twice.fa: contig 1 of the VCF could be chr1 and Chr1; leave one"),
    ],
)
def test_variants_that_cannot_be_asked_are_one_line(variants, before, after, message):
    write_fasta(variants / "other.fa", chr1="A" * 400)
    write_fasta(variants / "twice.fa", chr1="A" * 400, Chr1="A" * 400)
    told = (variants / "v.vcf").read_text().replace("#CHROM", "##contig=<ID=1,length=401>\n#CHROM")
    (variants / "told.vcf").write_text(told)
    with pytest.raises((PolymeraseError, DataPrepError), match=message):  # commands print either as one line
        suite_of(variants, f"tasks: {RANGES.replace(before, after)}\n")


def stockholm(families):
    """Hairpins of random letters: each family one sequence, gapped, with its consensus; two families to a clan."""
    draw, parts = np.random.default_rng(1), []
    pair = {"A": "U", "U": "A", "G": "C", "C": "G"}
    for number in range(families):
        stem = "".join(draw.choice(list("ACGU"), 8))
        row = f"{stem}GAAA-A{''.join(pair[letter] for letter in stem[::-1])}.A"
        parts.append(
            f"{HEADER}#=GF AC   RF{number:05d}\n#=GF CL   CL{number // 2:05d}\n\nX/1-23   {row}\n"
            f"#=GC SS_cons   {'<' * 8}______{'>' * 8}:.\n//\n"
        )
    return "".join(parts)


def test_pairs_of_consensus_structures_are_read_with_gaps_taken_out(tmp_path):
    (tmp_path / "s.sto").write_text(stockholm(24))
    asked = read_structure_task("s", tmp_path / "s.sto", 60, 4, 100, Split(test=0.3), {})
    first = asked.records[0]
    assert len(first.sequence) == 22
    assert first.pairs == {(number, 20 - number) for number in range(8)}
    groups = {name: {asked.records[row].group for row in asked.split(name)} for name in ("train", "dev", "test")}
    assert not groups["test"] & (groups["train"] | groups["dev"])
    with pytest.raises(PolymeraseError, match="expected 20 families or more"):
        read_structure_task("s", tmp_path / "s.sto", 10, 4, 100, Split(), {})


def test_alignments_joined_without_a_line_end_are_read_one_by_one_and_ragged_ones_refused(tmp_path):
    """Rfam's seeds are often joined so: the end of one alignment and the beginning of the next share a line."""
    (tmp_path / "s.sto").write_text(stockholm(24))
    (tmp_path / "joined.sto").write_text(stockholm(24).replace("//\n#", "//#"))
    apart, joined = (
        read_structure_task("s", tmp_path / name, 60, 4, 100, Split(test=0.3), {}) for name in ("s.sto", "joined.sto")
    )
    assert joined.records == apart.records
    (tmp_path / "ragged.sto").write_text(stockholm(24).replace("______", "_____", 1))
    with pytest.raises(PolymeraseError, match=r"X/1-23: expected 23 columns, as its structure has, got 24"):
        read_structure_task("s", tmp_path / "ragged.sto", 60, 4, 100, Split(), {})


def test_pairs_are_found_by_letters_and_by_states_and_folding_stands_beside(tmp_path):
    (tmp_path / "s.sto").write_text(stockholm(40))
    (asked,) = suite_of(tmp_path, "tasks: {s: {structures: s.sto, longest_nt: 60, split: {dev: 0.2, test: 0.3}}}\n")
    model = tiny("ernie_rna")
    found = run_any([model], asked, Options(seeds=1)).json
    assert found["metric"] == "pair_f1"
    assert {"letters", "random_weights"} <= set(found["bars"])
    assert found["bars"]["letters"]["pair_f1"] > 0.7
    assert 0 <= found["metrics"]["pair_f1"] <= 1
    if "vienna_mfe" in found["bars"]:
        assert found["bars"]["vienna_mfe"]["pair_f1"] > 0.6
    assert "base pairs" in task_table("s", found, [model.source])
    free = model_free_answers(asked)["letters"].scores[0]
    assert free[:, 0].mean() == pytest.approx(found["bars"]["letters"]["pair_f1"])
    assert base_of(asked).name == "s"


def test_families_are_described_by_a_table_and_clans_stay_together(tmp_path):
    draw = np.random.default_rng(0)
    families = [
        (f"RF{number}", ("Gene; miRNA;", "Cis-reg;", "Intron;")[number % 3], number // 4) for number in range(40)
    ]
    table = "".join(f"{name}\t{kind}\t{f'CL{clan}' if number % 2 else ''}\n"
                    for number, (name, kind, clan) in enumerate(families))  # fmt: skip
    (tmp_path / "families.tsv").write_text(f"family\ttype\tclan\n{table}")
    records = [f">s{row} {name}\n{''.join(draw.choice(list('ACGU'), 30))}\n"
               for row, name in enumerate(name for name, _, _ in families for _ in range(4))]  # fmt: skip
    (tmp_path / "seeds.fa").write_text("".join(records))
    columns = Columns(
        label="type", join=Join(tmp_path / "families.tsv", "family"), most={"family": 3},
        classes={"Gene; miRNA;": "miRNA", "Cis-reg;": "cis"},
    )  # fmt: skip
    task = read_task("t", {"table": tmp_path / "seeds.fa"}, columns, Split(0.2, 0.3, together="clan or family"))
    assert task.table.classes == ("cis", "miRNA")
    assert len(task.table.ids) == 27 * 3
    clan_of = {name: f"CL{clan}" if number % 2 else name for number, (name, _, clan) in enumerate(families)}
    family_of = {f"s{row}": name for row, name in enumerate(name for name, _, _ in families for _ in range(4))}
    clans = {
        split: {clan_of[family_of[task.table.ids[row].rpartition("(")[2].rstrip(")")]] for row in rows.tolist()}
        for split, rows in task.rows.items()
    }
    assert not clans["test"] & clans["train"]
    assert not clans["dev"] & (clans["train"] | clans["test"])
    (tmp_path / "more.fa").write_text(">x RF999\nACGU\n")
    with pytest.raises(PolymeraseError, match="is not in column family"):
        read_task("t", {"table": tmp_path / "more.fa"}, columns, Split())
