"""``train.phases``: what each phase is made of, and the one line that a list which makes no sense ends in."""

import math
from dataclasses import replace

import pytest

from pretrain.config import check, dump, load_config, notes, phases_of
from pretrain.config.phases import phase_at, phase_of_checkpoint
from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES
from pretrain.training.schedule import learning_rate
from tests.training.corpora import tree


@pytest.fixture
def of(tmp_path):
    """A config of 30 steps with phases."""

    def make(*phases, **changes):
        values = {"train__steps": 30, "train__phases": list(phases), **changes}
        return check(tree(tmp_path / "run", tmp_path / "corpus", **values), "run.yaml")

    return make


def test_a_phase_is_the_run_with_its_keys_in_their_places(of):
    run = of({"steps": 20}, {"steps": 10, "masking": {"rate": 0.2}, "corpus": {"max_tokens": 40}}, masking__rate=0.1)
    first, second = phases_of(run)
    assert (first.first_step, first.end_step, second.first_step, second.end_step) == (0, 20, 20, 30)
    assert (first.config.masking.rate, second.config.masking.rate) == (0.1, 0.2)
    assert (first.config.corpus.max_tokens, second.config.corpus.max_tokens) == (None, 40)
    assert (first.reads_anew, second.reads_anew) == (False, True)
    assert second.describe() == "steps 21 to 30: corpus.max_tokens=40, masking.rate=0.2"


def test_keys_are_those_of_the_run_again_in_a_phase_that_does_not_set_them(of):
    *_, last = phases_of(of({"steps": 10}, {"steps": 10, "masking": {"rate": 0.5}}, {"steps": 10}))
    assert last.config.masking.rate == 0.15


def test_a_run_without_phases_is_one(of):
    run = of()
    (only,) = phases_of(run)
    assert (only.config, only.end_step, only.schedule_steps) == (run, 30, 30)


def test_the_saved_config_reads_back_to_the_same_phases(of, tmp_path):
    run = of({"steps": 20}, {"steps": 10, "schedule": {"name": "cosine", "warmup_steps": 0}, "fresh_optimizer": True})
    path = tmp_path / "saved.yaml"
    path.write_text(dump(run))
    assert load_config(str(path)) == run
    assert phases_of(load_config(str(path))) == phases_of(run)


def test_a_step_belongs_to_one_phase_and_a_checkpoint_between_two_to_the_first(of):
    phases = phases_of(of({"steps": 20}, {"steps": 10}))
    assert [phase_at(phases, step).number for step in (0, 19, 20, 29, 30, 99)] == [1, 1, 2, 2, 2, 2]
    assert [phase_of_checkpoint(phases, step).number for step in (0, 20, 21, 30, 99)] == [1, 1, 2, 2, 2]


def test_a_new_schedule_is_counted_from_its_phase_and_the_old_one_goes_on_without(of):
    """GPN's two runs in one (a constant rate, then a cosine from the peak to nothing), with a middle phase."""
    rate = learning_rate(
        of(
            {"steps": 10},
            {"steps": 5, "masking": {"rate": 0.2}},
            {"steps": 15, "schedule": {"name": "cosine", "warmup_steps": 0}},
            optimizer__lr=1e-3,
            schedule={"name": "constant", "warmup_steps": 4},
        )
    )
    found = [rate(step) for step in range(30)]
    warm = [1e-3 * step / 4 for step in range(4)]
    cosine = [1e-3 * 0.5 * (1 + math.cos(math.pi * step / 15)) for step in range(15)]
    assert found == pytest.approx([*warm, *[1e-3] * 11, *cosine], rel=1e-12)


def test_one_schedule_over_all_phases_is_that_of_the_run_without_them(of):
    """DNABERT's: the rate knows nothing of the masking."""
    schedule = {"name": "linear", "warmup_steps": 5, "total_steps": 60}
    with_phases = learning_rate(of({"steps": 12}, {"steps": 18, "masking": {"rate": 0.2}}, schedule=schedule))
    without = learning_rate(of(schedule=schedule))
    assert [with_phases(step) for step in range(30)] == [without(step) for step in range(30)]


def test_a_peak_of_its_own_and_a_schedule_begun_again(of):
    rate = learning_rate(
        of({"steps": 15}, {"steps": 15, "schedule": {}, "optimizer": {"lr": 5e-4}}, schedule={"warmup_steps": 5})
    )
    assert [rate(step) for step in range(15, 30)] == pytest.approx([rate(step) / 2 for step in range(15)], rel=1e-12)


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (
            [{"steps": 20}, {"steps": 5}],
            "train.phases: expected lengths that add up to train.steps=30, got 25; make them",
        ),
        ([{"steps": 30, "fresh_optimizer": True}], "train.phases.0.fresh_optimizer has no effect: every run begins"),
        ([{"masking": {"rate": 0.2}}], "key 'train.phases.0.steps' is missing"),
        ([{"steps": 0}], "train.phases.0.steps: input should be greater than 0, got 0"),
        ([{"step": 30}], "unknown key 'train.phases.0.step'; did you mean 'train.phases.0.steps'?"),
        ([{"steps": 30, "engine": {}}], "train.phases.0: a phase may set corpus, masking, batch, optimizer and sched"),
        ([{"steps": 30, "masking": {}}], "train.phases.0.masking sets nothing; leave it out"),
        ([{"steps": 30, "masking": {"rat": 0.2}}], "train.phases.0: unknown key 'masking.rat'; did you mean"),
        ([{"steps": 30, "masking": {"rate": 2}}], "train.phases.0: masking.rate: input should be less than or equal"),
        (
            [{"steps": 30, "corpus": {"path": "x"}}],
            "train.phases.0.corpus.path belongs to the whole run, because all phases",
        ),
        (
            [{"steps": 30, "masking": {"strategy": "span"}}],
            "train.phases.0.masking: expected the strategies of the run, base, got span; change rates",
        ),
        ([{"steps": 30, "optimizer": {"name": "adam"}}], "train.phases.0.optimizer.name=adam, the run's is adamw"),
        ([{"steps": 30, "optimizer": {"momentum": 0.9}}], "train.phases.0: optimizer.momentum has no effect"),
        ([{"steps": 30, "batch": {"tokens": None}}], "train.phases.0: batch: set batch.tokens or batch.sequences"),
        (
            [{"steps": 10, "optimizer": {"lr": 1e-4}}, {"steps": 20, "optimizer": {"lr": 1e-5}}],
            "optimizer.lr=0.001 has no effect: every one of train.phases sets it; leave it out",
        ),
        (
            [{"steps": 10, "schedule": {"warmup_steps": 2}}, {"steps": 20}],
            "schedule.warmup_steps=4 has no effect: every one of train.phases sets it; leave it out",
        ),
    ],
)
def test_phases_that_make_no_sense_are_one_line_that_names_the_key(of, phases, expected):
    with pytest.raises(PolymeraseError) as raised:
        of(*phases)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("run.yaml: ")
    assert expected in str(raised.value)


def test_a_schedule_that_ends_before_its_phases_do_is_noted(of):
    run = of({"steps": 10}, {"steps": 20, "schedule": {"total_steps": 15}})
    assert notes(run) == [
        "schedule.total_steps=15 of phase 2 ends before the phases with that schedule do: "
        "the rest runs at schedule.min_lr"
    ]


def test_phases_of_a_recipe_that_another_length_replaced_are_noted(monkeypatch):
    words = ["schedule.warmup_steps=0", "schedule.total_steps=null"]
    assert notes(load_config("dnabert_6mer.yaml", words)) == []
    (note,) = notes(load_config("dnabert_6mer.yaml", [*words, "train.steps=50"]))
    assert note.startswith("dnabert_6mer.yaml trains in 2 phases (")
    assert "this run of 50 steps in one" in note
    monkeypatch.setitem(FAMILIES, "dnabert_6mer", replace(FAMILIES["dnabert_6mer"], recipe_file="none"))
    assert notes(load_config("dnabert_6mer.yaml", [*words, "train.steps=50"])) == []
