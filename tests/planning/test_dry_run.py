"""A dry run ends with status 0 only where the run itself would start, and says first what matters."""

import re
from pathlib import Path

import pytest
import torch

from pretrain.cli.pretrain import main
from pretrain.config import check, load_config
from pretrain.families import FAMILIES
from pretrain.planning.starting import launch_command, step_notes
from pretrain.training.initial_weights import settings_of
from tests.training.corpora import tree
from tests.training.corpora import write_yaml as write

PUBLISHED_STEPS = {  # family -> tokens or rows of one step, from the sources named in docs/recipes
    "ernie_rna": 884_736, "rnaernie": 200, "rnaernie2": 200, "utr_lm": 16_384, "utrbert_3mer": 128,
    "dnabert_6mer": 2000, "mutbert": 2048, "rinalmo_giga": 1344, "nt_v2_500m": 1_048_576, "dnabert2": 4096,
    "helm_mlm": 1024, "gpn_brassicales": 2048, "gpn_promoter": 2048, "hyenadna_tiny_1k_d128": 256,
    "hyenadna_tiny_1k": 256, "hyenadna_small_32k": 256, "hyenadna_medium_160k": 256, "hyenadna_large_1m": 256,
}  # fmt: skip


@pytest.fixture
def dry_run(tmp_path, corpora, monkeypatch, capsys):
    """Calls the command with settings; returns its status, its plan, and its line on stderr."""
    monkeypatch.chdir(tmp_path)
    config = write(tmp_path / "run.yaml", tree(tmp_path / "run", corpora["plain"]))

    def call(*words: str) -> tuple[int, str, str]:
        status = main(["--config", str(config), "--dry-run", *words])
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["corpus.path=nowhere"], "corpus 'nowhere' does not exist"),
        (["corpus.path=null"], "corpus.path is not set"),
        (["corpus.path=some.fa"], "expected the folder of a corpus, got a file"),
        (["objectives.structure.weight=1.0"], "objectives.structure needs"),
        (["batch.tokens=9"], "batch.tokens=9 holds no sequence of"),
        (["corpus.window=20"], "corpus.window has no effect"),
        (
            ["masking={strategy: motif, databases: [{files: [motifs.txt]}]}"],
            "motif list motifs.txt: No such file or directory",
        ),
        (["run.dir=some.fa"], "expected a folder, got a file"),
        (["run.dir=some.fa/deeper"], "expected a folder, got a file"),
        (["model.init_from=nowhere"], "nowhere: no such file or folder"),
        (["--resume", "nowhere"], "no such run or checkpoint folder"),
        (["train.steps=0"], "train.steps"),
        (["run.dir="], "run.dir is empty; give it a value"),
        (["engine.deepspeed=ds.json"], "stge: an unknown key"),
    ],
)
def test_what_cannot_start_ends_with_status_2_and_the_reason(dry_run, words, reason):
    Path("some.fa").write_text(">a\nACGU\n")
    Path("ds.json").write_text('{"zero_optimization": {"stge": 2}}')
    status, plan, said = dry_run(*words)
    assert status == 2
    assert said.startswith("error: ")
    assert reason in said
    assert said.count("\n") == 1
    if plan:
        assert plan.startswith("can start           no: ")
        assert reason in plan.splitlines()[0]


def test_what_can_start_ends_with_status_0_and_leaves_nothing(dry_run, tmp_path):
    status, plan, said = dry_run("batch.accumulation=3")
    assert (status, said) == (0, "")
    first = plan.splitlines()[0]
    assert first == (
        f"can start           yes: python launch/pretrain.py --config {tmp_path / 'run.yaml'} batch.accumulation=3"
    )
    assert not (tmp_path / "run").exists()


def test_what_matters_stands_first_and_the_config_last(dry_run):
    _, plan, _ = dry_run()
    top, config = plan.split("\nthe whole config\n")
    first = [line.split("  ")[0] for line in top.splitlines()[:12]]
    wanted = ("can start", "starts", "samples", "tokens per step", "steps", "epochs", "memory per rank", "parameters")
    assert set(wanted) <= set(first)
    assert config.startswith("quirks: fixed\n")
    assert config.rstrip().splitlines()[-1].strip().startswith(("experiment", "sinks", "uri", "group"))


def test_epochs_are_those_of_the_samples_that_a_step_takes(dry_run, corpora):
    _, plan, _ = dry_run("train.steps=60", "batch={tokens: null, sequences: 8, accumulation: 2}")
    (size,) = re.findall(r"([\d,]+) samples per epoch", plan)
    (epochs,) = re.findall(r"^epochs +about ([\d.]+) \(16 samples per step\)$", plan, re.M)
    assert float(epochs) == pytest.approx(60 * 16 / int(size), abs=0.006)


def test_a_step_of_very_many_micro_batches_is_planned_from_the_first_of_them(dry_run, monkeypatch):
    """A step of 10^12 micro-batches could not be cut in anyone's lifetime."""
    words = ("train.steps=60", "batch={tokens: null, sequences: 8, accumulation: 1000000000000}")
    status, plan, _ = dry_run(*words)
    assert status == 0
    assert re.search(r"^epochs .*\(8,000,000,000,000 samples per step\)$", plan, re.M)
    assert "(1000000000000 micro-batches of about" in plan
    monkeypatch.setattr("pretrain.planning.dry_run._LOOKED_AT", 5)
    few, whole = (dry_run("batch={tokens: null, sequences: 8}", f"batch.accumulation={count}")[1] for count in (10, 5))
    tokens = [
        int(re.findall(r"^tokens per step +about ([\d,]+)", plan, re.M)[0].replace(",", "")) for plan in (few, whole)
    ]
    assert tokens[0] == 2 * tokens[1]


@pytest.mark.parametrize(
    ("ranks", "start"),
    [
        (1, "python launch/pretrain.py --config a.yaml 'run.dir=my run'"),
        (4, "deepspeed --num_gpus 4 launch/pretrain.py --config"),
        (24, "sbatch --nodes=3 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh --config"),
        (12, "sbatch --nodes=2 --ntasks-per-node=6 --gpus-per-node=6 launch/slurm.sh --config"),
    ],
)
def test_the_command_is_the_one_for_the_ranks_asked(ranks, start, monkeypatch):
    monkeypatch.setattr("sys.argv", ["launch/pretrain.py"])
    assert launch_command(["--config", "a.yaml", "run.dir=my run"], ranks).startswith(start)


def test_a_step_that_is_not_the_recipes_is_noted_with_the_batch_that_is(files_of_recipes):
    config = load_config("ernie.yaml")
    family, settings, _ = settings_of(config)
    assert step_notes(config, family, settings, 96, 24) == []
    (note,) = step_notes(config, family, settings, 4, 1)
    assert "up to 36,864 tokens, and in the recipe 884,736" in note
    assert note.endswith("batch.micro_batches_per_step=96 is the nearest")
    assert "on 5 ranks: 4 of 100 slots stay empty" in step_notes(config, family, settings, 96, 5)[0]


@pytest.mark.parametrize("name", PUBLISHED_STEPS)
def test_recipes_make_the_published_step_on_the_gpus_that_their_family_names(name, files_of_recipes):
    family = FAMILIES[name]
    batch = load_config(f"{family.recipe}.yaml").batch
    assert family.recipe_ranks is not None
    assert (batch.tokens or batch.sequences) * batch.accumulation * family.recipe_ranks == PUBLISHED_STEPS[name]


def test_a_run_that_would_be_refused_its_checkpoint_is_refused_by_the_dry_run(dry_run, tmp_path, corpora):
    from tests.training.ranks import Job, finish, start

    config = tree(tmp_path / "run", corpora["plain"], train__steps=2)
    finish(start(1, [Job(check(config, "test").model_dump(mode="json"))], tmp_path), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert "at step 2" in dry_run()[1].splitlines()[1]
    status, _, said = dry_run("run.seed=5")
    assert status == 2
    assert "seed" in said
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has a GPU")
@pytest.mark.parametrize("word", ["engine.precision=fp16", "engine.require_gpu=true"])
def test_what_this_host_lacks_stops_a_plan_for_it_and_is_a_note_in_plans_for_others(dry_run, word):
    status, plan, said = dry_run(word)
    assert status == 2
    assert plan.startswith("can start           no: engine.")
    assert "to plan for another host" in said
    for words in (["--ranks", "2"], ["--card", "H100"]):
        status, plan, said = dry_run(word, *words)
        assert (status, said) == (0, "")
        assert "on this host the run cannot start: engine." in plan
