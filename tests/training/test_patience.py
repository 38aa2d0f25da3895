"""Early stop: on time, with the best weights kept, and for good."""

import math

import pytest

from pretrain.config import load_config
from pretrain.errors import PolymeraseError
from pretrain.training.early_stopping import EarlyStopping
from tests.training import corpora as build
from tests.training.ranks import Job, finish, records, start


def test_patience_counts_evaluations_without_a_lower_loss():
    patience = EarlyStopping(2, {"mlm": 1.0, "mfe": 0.5})
    losses = [(3.0, 2.0), (2.9, 2.0), (2.9, 2.0), (2.8, 2.1), (3.0, 3.0), (3.0, 3.0)]
    kept = []
    for step, (mlm, mfe) in enumerate(losses):
        kept.append(patience.note(step, {"validation/mlm/loss": mlm, "validation/mfe/loss": mfe}))
        assert patience.exhausted is (step == 5)
        later = EarlyStopping(2, {"mlm": 1.0, "mfe": 0.5})
        later.restore(patience.state())  # a resumed run judges as if it had never stopped
        patience = later
    assert kept == [True, True, False, True, False, False]
    assert patience.best_step == 3
    assert "Best: 3.8500 at step 3" in patience.describe()


def test_without_the_setting_or_without_held_out_samples_nothing_stops():
    for patience, values in (
        (EarlyStopping(0, {"mlm": 1.0}), {"validation/mlm/loss": math.inf}),
        (EarlyStopping(1, {"mlm": 1.0}), {}),
    ):
        assert not any(patience.note(step, values) for step in range(9))
        assert not patience.exhausted


def test_patience_needs_evaluations():
    with pytest.raises(PolymeraseError, match=r"train\.patience counts evaluations; also set train\.eval_every"):
        load_config("demo/ernie.yaml", ["train.patience=2", "train.eval_every=0"])


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_that_learns_nothing_stops_keeps_its_best_weights_and_stays_stopped(corpora, tmp_path, ranks):
    run = tmp_path / "run"
    changes = {"optimizer__lr": 1e-30, "train__steps": 40, "train__eval_every": 2, "train__save_every": 1,
               "train__keep_last": 1, "train__patience": 2}  # fmt: skip
    job = Job(build.tree(run, corpora["plain"], **changes))
    finish(start(ranks, [job, job], tmp_path / "ranks"), tmp_path / "ranks")
    kept = sorted(path.name for path in (run / "checkpoints").glob("step-*"))
    assert kept == ["step-2", "step-6"]  # the best, and where it stopped
    assert (run / "DONE").read_text() == "6\n"
    lines = records(run)
    assert max(line["step"] for line in lines) == 6  # the second start did nothing
    (event,) = [line["event"] for line in lines if "event" in line]
    assert "has not fallen for 2 evaluations: stopping" in event
