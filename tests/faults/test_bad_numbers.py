"""Numbers that go wrong are counted, shown and answered as the config says; weights never take them up."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.config import Config, check
from pretrain.distributed.context import DistributedContext
from pretrain.errors import RunError
from pretrain.training.schedule import learning_rate
from pretrain.training.stability import StabilityMonitor, StepSpan
from tests.multinode.runs import checkpoint, small_job
from tests.training.corpora import tree
from tests.training.ranks import ROOT, digests, environment, finish, free_port, losses, records

ALONE = DistributedContext(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
STEPS, BAD = 14, 7


def config_of(**train: Any) -> Config:
    keys = {f"train__{key}": value for key, value in train.items()}
    return check(tree(Path("run"), Path("corpus"), **keys), "test")


def guard(**train: Any) -> StabilityMonitor:
    return StabilityMonitor(config_of(**train), ALONE)


def stretch(step: int) -> StepSpan:
    return StepSpan(step, 10 * step, 10 * step + 10)


def feed(judge: StabilityMonitor, losses: list[float], first: int = 1, every: int = 1) -> None:
    """Losses of steps, read every so often."""
    for step, loss in enumerate(losses, first):
        judge.note(stretch(step), torch.tensor(loss))
        if judge.needs_every_loss:
            judge.read()
        judge.note_norm(stretch(step), torch.tensor(1.0 if loss > 3 else 0.5))
        if step % every == 0:
            judge.read()
    judge.read()


NOISY = [2.0 + 0.05 * math.sin(7 * step) for step in range(1, 61)]


def test_a_spike_is_counted_wherever_it_is_read_and_noise_is_not():
    for every in (1, 7, 1000):
        judge = guard()
        feed(judge, [*NOISY, 4.0, *NOISY[:10]], every=every)
        assert judge.counts["loss_spikes"] == 1
        assert judge.steps_to_roll_back() == []


def test_where_a_spike_begins_is_told_with_what_to_do_and_once():
    for policy, advice in (("count", "train.on_spike=roll_back"), ("skip", "this update was skipped")):
        settings = tree(Path("run"), Path("corpus"), train__on_spike=policy, train__steps=1000)
        settings["optimizer"]["max_grad_norm"] = 0.75
        judge = StabilityMonitor(check(settings, "test"), ALONE)
        feed(judge, [*NOISY, 4.0, 4.1, *NOISY, 4.0])
        (first, text), (second, _) = judge.to_tell()
        assert (first, second) == (61, 123)
        rate = learning_rate(config_of(steps=1000))(60)
        norm = "" if policy == "skip" else " and a gradient norm of 1, usually 0.5, clipped to 0.75"
        said = f"the loss jumped to 4, 56 deviations above the usual 2, at a learning rate of {rate:.3g}{norm}; "
        assert text[: len(said)] == said
        assert advice in text
        assert judge.to_tell() == []
    judge = guard(on_spike="roll_back")
    feed(judge, [*NOISY, 4.0])
    assert judge.to_tell() == []


def test_a_loss_that_falls_or_stays_the_same_is_no_spike():
    judge = guard()
    feed(judge, [5.0 * 0.97**step + 1.0 for step in range(200)] + [1.01] * 50 + [1.05] * 50)
    assert judge.counts["loss_spikes"] == 0


def test_a_loss_that_settles_at_a_higher_level_is_not_called_a_spike_for_ever():
    judge = guard()
    feed(judge, [*NOISY, *(3.0 * loss for loss in NOISY)] + [3.0 * loss for loss in NOISY])
    assert 0 < judge.counts["loss_spikes"] < 60


def test_deviations_of_zero_watch_no_spikes():
    judge = guard(spike_deviations=0.0)
    feed(judge, [*NOISY, 1e6])
    assert judge.counts["loss_spikes"] == 0


def test_more_bad_steps_in_a_row_than_allowed_end_the_run():
    judge = guard(bad_steps_in_a_row=3)
    for step in (5, 6, 7, 9, 10, 11):  # three in a row, twice
        judge.dropped(stretch(step))
    with pytest.raises(RunError, match="step 12: the gradient is not finite"):
        judge.dropped(stretch(12))
    assert judge.counts["dropped_updates"] == 7


def test_a_loss_that_is_not_finite_and_its_dropped_update_are_one_bad_step():
    judge = guard(bad_steps_in_a_row=1)
    judge.note(stretch(5), torch.tensor(math.nan))
    judge.dropped(stretch(5))
    judge.read()
    assert judge.counts == {"dropped_updates": 1, "nonfinite_losses": 1, "loss_spikes": 0, "roll_backs": 0}


def test_the_search_for_the_loss_scale_of_fp16_is_counted_but_is_no_defect():
    judge = StabilityMonitor(
        check(tree(Path("run"), Path("c"), engine__precision="fp16", train__on_bad_step="stop"), "test"), ALONE
    )
    for step in range(10):
        judge.dropped(stretch(step))
    assert judge.counts["dropped_updates"] == 10


def test_going_back_to_one_checkpoint_again_and_again_ends_the_run():
    judge = guard(on_bad_step="roll_back", bad_steps_in_a_row=2)
    state = judge.state()
    for _ in range(2):
        judge.dropped(stretch(25))
        assert judge.steps_to_roll_back() == [stretch(25)]
        judge.rolled_back(state, 20)
    with pytest.raises(RunError, match="step 20 3 times"):
        judge.rolled_back(state, 20)
    assert judge.counts["roll_backs"] == 3


def test_a_resumed_run_judges_as_if_it_had_never_stopped():
    whole, first, second = guard(), guard(), guard()
    feed(whole, [*NOISY, 4.0])
    feed(first, NOISY[:40])
    second.restore(json.loads(json.dumps(first.state())))
    feed(second, [*NOISY[40:], 4.0], first=41)
    assert second.state() == whole.state()


# --- with real ranks -------------------------------------------------------------------------------------------------

POLICIES = {  # name -> what is set, and by what the loss of the bad batch is multiplied
    "skip": ({"train__on_bad_step": "skip"}, math.nan),
    "skip, stage 0": ({"train__on_bad_step": "skip", "engine__zero_stage": 0}, math.nan),
    "skip, stage 3": ({"train__on_bad_step": "skip", "engine__zero_stage": 3}, math.inf),
    "stop": ({"train__on_bad_step": "stop"}, math.nan),
    "roll_back": ({"train__on_bad_step": "roll_back"}, math.nan),
    "spike, count": ({"train__on_spike": "count"}, 1e3),
    "spike, skip": ({"train__on_spike": "skip"}, 1e3),
    "spike, roll_back": ({"train__on_spike": "roll_back"}, 1e3),
    "undisturbed": ({}, 1.0),
}
SPIKE_STEPS, SPIKE = 30, 25  # spikes are only judged after some steps


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory, corpora) -> Path:
    """Run folder per policy, on two ranks; step 7 (25 for spikes) of an undisturbed run has a bad batch on one rank."""
    folder = tmp_path_factory.mktemp("poisoned")
    jobs = []
    for name, (changes, factor) in POLICIES.items():
        bad, steps = (SPIKE, SPIKE_STEPS) if "spike" in name or name == "undisturbed" else (BAD, STEPS)
        usual = {"train__steps": steps, "train__save_every": 4, "train__keep_last": 100, "schedule__total_steps": 1000}
        job = small_job(folder, corpora["plain"], name, {"zero_stage": 1}, **(usual | changes))
        jobs.append({"config": job.config, "poison": {str(bad): str(factor)}})
    plan, port = folder / "jobs.json", str(free_port())
    plan.write_text(json.dumps(jobs))
    ranks = []
    for rank in range(2):
        where = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_SIZE": "2"}
        env = environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **where)
        command = [sys.executable, "-m", "tests.faults.poisoned", str(plan)]
        with (folder / f"rank-{rank}.log").open("w") as log:
            ranks.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT))
    finish(ranks, folder)
    return folder


@pytest.mark.parametrize("name", ["skip", "skip, stage 0", "skip, stage 3"])
def test_an_update_that_is_not_finite_is_dropped_on_all_ranks_and_training_goes_on(poisoned, name):
    run = poisoned / name
    counts = [record["dropped_updates"] for record in records(run) if "loss" in record]
    assert counts == [0] * (BAD - 1) + [1] * (STEPS - BAD + 1)
    shown = losses(run)
    assert not math.isfinite(float(shown[BAD - 1])), "nothing is filtered from the logs"
    assert all(math.isfinite(float(loss)) for n, loss in enumerate(shown, 1) if n != BAD)
    assert all(torch.isfinite(torch.from_numpy(value)).all() for value in checkpoint(run, STEPS).values())
    assert json.loads((run / "checkpoints" / f"step-{STEPS}" / "train_state.json").read_text())["updates"] == STEPS - 1
    assert "dropped updates 1" in (poisoned / "rank-0.log").read_text(), "the progress line shows it"


def test_the_policy_stop_ends_the_run_and_keeps_its_checkpoints(poisoned):
    run = poisoned / "stop"
    assert f"step {BAD}: the gradient is not finite" in (run / "error.txt").read_text()
    assert not (run / "DONE").exists()
    assert sorted(path.name for path in (run / "checkpoints").glob("step-*")) == ["step-4"]


@pytest.mark.parametrize(("name", "bad", "steps", "back"), [
    ("roll_back", BAD, STEPS, 4), ("spike, roll_back", SPIKE, SPIKE_STEPS, 24),
])  # fmt: skip
def test_rolling_back_repeats_the_steps_since_the_checkpoint_and_passes_over_the_bad_batches(
    poisoned, name, bad, steps, back
):
    run, clean = poisoned / name, digests(poisoned / "undisturbed")
    assert (run / "DONE").exists()
    before, after = digests(run)[:bad], digests(run)[bad:]
    assert before == clean[:bad]
    expected = clean[back : bad - 1] + clean[bad:]
    assert after[: len(expected)] == expected[: len(after)]
    assert len(after) == steps - back
    events = [record["event"] for record in records(run) if "event" in record]
    assert events == [f"bad steps {bad}: went back to step {back}, their batches will be skipped"]
    assert records(run)[-2]["roll_backs"] == 1


def test_a_spike_is_counted_and_its_update_made_where_spikes_are_only_counted(poisoned):
    run = poisoned / "spike, count"
    last = next(record for record in reversed(records(run)) if "loss" in record)
    assert (last["loss_spikes"], last["dropped_updates"]) == (1, 0)
    (event,) = (record for record in records(run) if "event" in record)
    assert event["step"] == SPIKE
    assert "this update was applied" in event["event"]


def test_a_spike_is_kept_from_the_weights_where_spikes_are_skipped(poisoned):
    run = poisoned / "spike, skip"
    last = next(record for record in reversed(records(run)) if "loss" in record)
    assert (last["loss_spikes"], last["dropped_updates"]) == (1, 1)
    before, after = (poisoned / "undisturbed", poisoned / "spike, skip")
    assert losses(before)[: SPIKE - 1] == losses(after)[: SPIKE - 1]
