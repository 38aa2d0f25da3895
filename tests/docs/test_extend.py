"""The page on adding parts, followed in a copy of the project: all new parts train together."""

import json
import random
import shutil
import sys

import pytest

from tests.docs.reader import ROOT, Reader


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A copy of the project in which the page was followed."""
    folder = tmp_path_factory.mktemp("extended") / "polymerase"
    for name in ("pretrain", "data_prep", "launch", "configs", "tests/golden"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    draw = random.Random(0)
    rows = [(f"r{n}", "".join(draw.choices("ACGUM", k=draw.randint(20, 90))), "tRNA") for n in range(150)]
    (folder / "rnas.tsv").write_text("".join("\t".join(row) + "\n" for row in [*rows, ("bad", "ACGX", "tRNA")]))
    reader = OwnCode(folder, smaller=False)
    reader.follow("extend.md")
    return reader


class OwnCode(Reader):
    """Its project is not the one of this process: every command has a process of its own."""

    def run(self, words: list[str]) -> str:
        return self.in_own_process([sys.executable, *words[1:]])


def held_out_of(run: str, reader: Reader) -> list[dict]:
    """The held-out figures of a run, in the order of its steps."""
    lines = [json.loads(line) for line in (reader.folder / run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "validation/mlm/loss" in line]


def test_the_new_parts_train_together(extended):
    held_out = held_out_of("runs/small_bert", extended)
    assert [line["step"] for line in held_out] == [20, 40]
    assert held_out[-1]["validation/gc_content/loss"] < held_out[0]["validation/gc_content/loss"]
    trained = next(text for line, text in extended.outputs.items() if "pretrain.py" in line)
    assert "gc_content loss" in trained
    assert "(mean share" in trained
    assert "length and composition" in trained  # which gives the answer, and so is what the loss has to beat


def test_the_new_bias_of_attention_trains(extended):
    held_out = held_out_of("runs/log_distance", extended)
    assert held_out[-1]["validation/gc_content/loss"] < held_out[0]["validation/gc_content/loss"]
    assert "log_distance" in (extended.folder / "runs/log_distance/config.yaml").read_text()


def test_the_new_architecture_learns_byte_pairs_and_is_exported_with_its_code(extended):
    first, last = held_out_of("runs/gated_conv", extended)
    assert last["validation/mlm/hidden/loss"] < first["validation/mlm/hidden/loss"]
    folder = extended.folder / "exports/gated_conv"
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["gate_kernel"]) == (["PolymeraseGatedConvForMaskedLM"], 5)
    assert (folder / "modeling_polymerase_gated_conv.py").is_file()
    assert json.loads((folder / "tokenizer.json").read_text())["model"]["type"] == "BPE"
    evaluated = extended.outputs["python launch/evaluate.py exports/gated_conv --corpus corpora/rnas"]
    assert "mlm, hidden" in evaluated


def test_the_loss_over_amino_acids_falls_on_codons(extended):
    first, last = held_out_of("runs/codons", extended)
    assert last["validation/amino_acid/loss"] < first["validation/amino_acid/loss"]


def test_the_new_family_agrees_with_transformers(extended):
    line = next(
        line for line in extended.outputs["python -m pretrain.families --check"].splitlines() if "small_bert" in line
    )
    assert "88,587" in line
    assert "!=" not in line


def test_the_new_corpus_counts_what_it_left_out(extended):
    manifest = json.loads((extended.folder / "corpora/rnas/manifest.json").read_text())
    assert manifest["stages"][0]["filters"] == [{"filter": "letters", "kept": 150, "dropped": {"other_letters": 1}}]


def test_the_new_model_is_exported_with_its_head_and_its_vocabulary(extended):
    folder = extended.folder / "exports/small_bert"
    assert json.loads((folder / "config.json").read_text())["polymerase_family"] == "small_bert"
    assert (folder / "objective_heads.safetensors").is_file()
    assert '"M"' in (folder / "tokenizer.json").read_text()
    evaluated = extended.outputs["python launch/evaluate.py exports/small_bert --corpus corpora/rnas"]
    assert "mlm" in evaluated
