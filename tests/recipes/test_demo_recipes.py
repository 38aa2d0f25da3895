"""Every small twin trains, and asks for what its recipe says."""

import math

import pytest

from pretrain.config import load_config
from tests.recipes.test_configs import DEMO
from tests.training.ranks import records, steps

pytestmark = pytest.mark.usefixtures("files_of_recipes")


@pytest.mark.parametrize("name", DEMO)
def test_a_small_twin_trains_with_all_its_objectives(demo_runs, name):
    run = demo_runs[name]
    assert not (run / "failed.txt").exists(), (run / "failed.txt").read_text()
    assert len(steps(run)) == 3
    told = records(run)
    for objective in load_config(f"{name}.yaml").objectives.active():
        assert all(math.isfinite(record[f"{objective}/loss"]) for record in told if f"{objective}/loss" in record)
        held_out = [
            record[f"validation/{objective}/loss"] for record in told if f"validation/{objective}/loss" in record
        ]
        assert held_out
        assert all(math.isfinite(loss) for loss in held_out)


def test_everything_at_once_is_every_objective_on_sequences_and_every_strategy_of_rnaernie(demo_runs):
    config = load_config("demo/everything.yaml")
    assert set(config.objectives.active()) == {"mlm", "structure", "mfe", "rna_type"}
    assert {part.strategy for part in config.masking.parts} == {"base", "span", "motif"}
    (last,) = [record for record in records(demo_runs["demo/everything"]) if record["step"] == 3 and "loss" in record]
    assert {f"mlm/accuracy/{strategy}" for strategy in ("base", "span", "motif")} <= set(last)


def test_soft_labels_and_structures_are_learned_in_one_run_from_two_corpora():
    config = load_config("demo/soft_structure.yaml")
    assert {"mlm", "soft_label", "structure"} <= set(config.objectives.active())
    assert [extra.path for extra in config.corpus.extra] == ["corpora/demo-variants"]


def test_the_twin_of_three_phases_trains_each_as_it_says(demo_runs):
    """One step each: shorter sequences; the run's own; more masking at the first rate of a new warm-up."""
    first, second, third = steps(demo_runs["demo/phases"])
    assert first["tokens_per_step"] / first["sequences_per_step"] <= 64
    assert second["tokens_per_step"] / second["sequences_per_step"] > 64
    assert 0.1 < second["mlm/target_fraction"] < 0.17 < third["mlm/target_fraction"] < 0.22
    assert third["learning_rate"] == pytest.approx(3e-3 / 20)
