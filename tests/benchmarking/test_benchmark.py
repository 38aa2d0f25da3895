"""The benchmark compares equals: same samples, same targets, same loss; and it reports what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pretrain.benchmarking import datapath
from pretrain.benchmarking.contestants import BenchmarkPlan, HuggingFace, HuggingFaceGrouped, Ours
from pretrain.benchmarking.hardware import live_bytes, peak_bytes
from pretrain.exporting.tensors import export_tensors
from pretrain.training.components import build_components
from tests.hang import HANG_S
from tests.training.corpora import build_alleles, build_plain, config

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
NO_DROPOUT = {"model__hidden_dropout_prob": 0.0, "model__attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build_plain(tmp_path_factory.mktemp("plain"))


def parts_of(family: str, corpus: Path, **changes):
    return build_components(config(corpus.parent / "run", corpus, model__family=family, **NO_DROPOUT, **changes))


def equal_contestants(components) -> tuple[Ours, HuggingFace]:
    """Ours and transformers' class with the same weights."""
    course = BenchmarkPlan(steps=3, sequences=7)
    ours, theirs = Ours(components, course), HuggingFace(components, course)
    state = export_tensors(components.family, components.settings, ours.model.state_dict(), "mlm").model
    missing, unexpected = theirs.model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(
        name.startswith(("cls.predictions.decoder", "lm_head.decoder", "mlm_head.decoder.weight", "esm.contact"))
        for name in missing
    )
    return ours, theirs


@pytest.mark.parametrize("family", ["ernie_rna", "rnaernie2", "utr_lm"])
def test_both_sides_compute_the_same_loss_on_the_same_samples(family, plain):
    ours, theirs = equal_contestants(parts_of(family, plain))
    for mine, other in zip(list(zip(ours.loads(), range(3), strict=False)), theirs.loads(), strict=True):
        mine = mine[0]
        assert (mine.tokens, mine.squares) == (other.tokens, other.squares)
        assert mine.cells == mine.tokens < other.cells
        expected = theirs.loss(theirs.model, other, CPU)
        torch.testing.assert_close(ours.loss(ours.model, mine, CPU), expected, atol=2e-5, rtol=0)


def test_allele_frequencies_reach_both_sides(tmp_path):
    components = parts_of(
        "mutbert", build_alleles(tmp_path), masking__strategy="variant_first", objectives__mlm=None,
        objectives__soft_label={}, corpus__window=60, batch__tokens=None, batch__sequences=7,
    )  # fmt: skip
    ours, theirs = equal_contestants(components)
    mine, other = next(iter(ours.loads())), next(iter(theirs.loads()))
    rows = other.data["input_ids"]
    soft = mine.data.packed.soft_rows
    assert len(soft.positions) > 0
    assert torch.equal(rows.flatten(0, 1)[soft.positions][:, list(components.settings.base_token_ids)], soft.freq)
    assert rows.sum(-1) == pytest.approx(1.0)
    hidden = ours.model.eval().encoder(mine.data.packed).hidden
    states = theirs.model.eval().encoder(rows, other.data["attention_mask"]).last_hidden_state
    torch.testing.assert_close(hidden, states.flatten(0, 1), atol=2e-5, rtol=0)


def test_grouped_batches_hold_the_same_samples_with_less_padding(plain):
    components, course = parts_of("rnaernie2", plain), BenchmarkPlan(steps=7, sequences=8)
    random_order, grouped = ([*kind(components, course).loads()] for kind in (HuggingFace, HuggingFaceGrouped))
    assert sum(load.tokens for load in grouped) == sum(load.tokens for load in random_order)
    assert sum(load.squares for load in grouped) == sum(load.squares for load in random_order)
    assert sum(load.cells for load in grouped) < 0.8 * sum(load.cells for load in random_order)


def test_peak_counts_what_is_held_before_and_what_lives_at_once():
    held = torch.ones(1 << 20, dtype=torch.uint8)

    def step() -> None:
        first = torch.ones(3 << 20, dtype=torch.uint8)
        del first
        second, third = torch.ones(2 << 20, dtype=torch.uint8), torch.ones(2 << 20, dtype=torch.uint8)
        del second, third

    before = live_bytes()
    assert peak_bytes(step, CPU) == before + (4 << 20)
    del held
    assert live_bytes() == before - (1 << 20)


def benchmark(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "benchmark.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, cwd=ROOT)


def test_one_json_object_with_speed_memory_and_ratio_of_equal_models():
    result = benchmark(
        "--config", "demo/ernie.yaml", "--against", "hf", "--json", "--steps", "2", "--warmup", "1", "--sequences", "4",
        "--profile", "engine.precision=bf16",
        "model.hidden_size=32", "model.intermediate_size=64", "model.num_hidden_layers=2",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    for name in ("ours", "hf", "hf_grouped"):
        found = report[name]
        assert found["parameters"] == report["ours"]["parameters"]
        assert found["tokens_per_second"] > 0
        assert found["peak_memory_bytes"] > 4 * found["parameters"]
        assert sum(found["share_of_step"].values()) == pytest.approx(1.0)
        assert 0 < found["share_of_step"]["communication"] < 0.5  # on one rank DeepSpeed calls collectives as well
        assert 0 < found["step_ms_median"] <= found["step_ms_p95"]
    assert sum(row["share"] for row in report["profile"]) == pytest.approx(1.0)
    assert {"matrix product", "attention", "memory", "communication"} == {row["kind"] for row in report["profile"]}
    kinds = {row["operation"]: row["kind"] for row in report["profile"]}
    assert kinds["aten::bmm"] == "matrix product"
    assert report["rounds"] == report["rounds_asked"] == 2
    assert report["ours"]["computed_tokens_per_token"] == 1.0 < report["hf"]["computed_tokens_per_token"]
    assert report["ratio"] == report["ours"]["tokens_per_second"] / report["hf"]["tokens_per_second"]


def test_ranks_share_the_samples_and_their_communication_is_a_part_of_the_step(plain):
    arguments = ["--config", "demo/ernie.yaml", "--corpus", str(plain), "--json", "--warmup", "1", "--sequences", "4"]
    small = ["engine.zero_stage=2", "model.hidden_size=32", "model.intermediate_size=64", "model.num_hidden_layers=2"]
    one, two = (
        json.loads(benchmark(*arguments, "--ranks", ranks, "--steps", steps, *small).stdout)
        for ranks, steps in (("1", "4"), ("2", "2"))
    )
    share = {report["ranks"]: report["ours"]["share_of_step"]["communication"] for report in (one, two)}
    assert share[1] < share[2] < 1
    assert sum(two["ours"]["share_of_step"].values()) == pytest.approx(1.0)


def test_the_ranks_of_a_course_divide_its_samples():
    whole = BenchmarkPlan(steps=4, sequences=8).spans()
    halves = [BenchmarkPlan(steps=2, sequences=8, ranks=2, rank=rank).spans() for rank in (0, 1)]
    assert sorted(halves[0] + halves[1]) == whole
    assert not set(halves[0]) & set(halves[1])


def test_the_data_path_is_measured_for_every_strategy_and_a_corpus_of_many_sequences(plain, tmp_path, monkeypatch):
    motifs = tmp_path / "motifs.txt"
    motifs.write_text("ACGU\nGGAAU\n")
    for name, value in {"BATCHES": 2, "WARMUP": 1, "PEER_BATCHES": 1, "MANY_SEQUENCES": 100_000}.items():
        monkeypatch.setattr(datapath, name, value)
    rows = datapath.data_path_rows(plain, [str(motifs)], tmp_path)
    stages = [row["stage"] for row in rows]
    assert stages[:4] == [f"batches, {strategy}" for strategy in ("base", "kmer", "span", "motif")]
    assert [stage.split(",")[0] for stage in stages[4:]] == ["first batch", "seek", "seek"]
    assert all(row["ours"] >= 0 and row["peer"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "demo/ernie.yaml", "--corpus", "nowhere"], "'nowhere' does not exist"),
        (["--config", "demo/ernie.yaml", "--sequences", "0"], "--sequences"),
        (["--config", "demo/ernie.yaml", "--ranks", "2", "--against", "loop"], "one rank"),
        (["--config", "demo/ernie.yaml", "model.hidden_sizes=3"], "hidden_size"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(arguments, message):
    result = benchmark(*arguments)
    assert result.returncode == 2
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ") and message in line]
    assert "Traceback" not in result.stderr
    assert not result.stdout
