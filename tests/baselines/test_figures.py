"""Standard errors are those of the mean over sequences, and nothing is called a difference within two of them."""

import numpy as np
import pytest

from pretrain.baselines.figures import TargetLosses, mean_and_error, verdict
from pretrain.baselines.words import clause, compared, conclusion


def made_up(seed: int, sequences: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Losses that differ between sequences of very different sizes more than within them."""
    draw = np.random.default_rng(seed)
    sequence = np.repeat(np.arange(sequences), draw.integers(1, 40, sequences))
    return draw.normal(1.3, 0.3, sequences)[sequence] + draw.normal(0, 0.1, len(sequence)), sequence


def test_the_standard_error_is_how_far_the_mean_moves_when_sequences_are_drawn_anew():
    values, sequence = made_up(1)
    mean, error = mean_and_error(values, np.ones(len(values)), sequence)
    assert mean == pytest.approx(values.mean())
    draw, means = np.random.default_rng(2), []
    rows = [np.flatnonzero(sequence == n) for n in range(60)]
    for _ in range(2000):
        means.append(values[np.concatenate([rows[n] for n in draw.integers(0, 60, 60)])].mean())
    assert error == pytest.approx(np.std(means), rel=0.1)
    naive = values.std() / np.sqrt(len(values))  # as if targets of one sequence knew nothing of each other
    assert error > 2 * naive


def test_weights_count_as_so_many_targets():
    values, sequence = made_up(3)
    times = np.random.default_rng(4).integers(1, 4, len(values))
    weighted = mean_and_error(values, times.astype(float), sequence)
    repeated = mean_and_error(np.repeat(values, times), np.ones(times.sum()), np.repeat(sequence, times))
    assert weighted == pytest.approx(repeated)


def test_one_sequence_has_no_standard_error():
    assert mean_and_error(np.array([1.0, 2.0]), np.ones(2), np.zeros(2, int)) == (1.5, None)


def figures_of(shift: float, sequences: int = 60, constant: float = 2.0) -> dict:
    values, sequence = made_up(5, sequences)
    noise = np.random.default_rng(6).normal(0, 0.05, len(values))
    baselines = {"letters": np.full(len(values), constant), "markov_both_5": values + noise - shift}
    return TargetLosses(values, None, np.ones(len(values)), sequence, baselines).figures()


@pytest.mark.parametrize(
    ("shift", "said", "words"),
    [(-0.05, "better", "below Markov"), (0.05, "worse", "above Markov"), (0.0, "level", "no different from Markov")],
)
def test_a_difference_is_said_only_beyond_two_standard_errors(shift, said, words):
    found = figures_of(shift)
    assert verdict(found) == said
    assert words in compared(found, "mlm")
    assert (abs(found["difference"]) > 2 * found["difference_standard_error"]) == (said != "level")


def test_the_error_of_a_difference_is_that_of_pairs():
    found = figures_of(0.0)
    assert found["difference_standard_error"] < 0.3 * found["standard_error"]  # both rise and fall together


def test_a_run_says_at_its_end_what_it_learned_or_what_to_try():
    (good,) = conclusion({"mlm": {"hidden": figures_of(-0.05), "all": figures_of(0.05)}})
    assert good.startswith("learned (mlm, at hidden positions, 60 held-out sequences): 0.0")
    assert "nats better than the best baseline, Markov chain of order 5, both sides" in good
    for shift, how in ((0.0, "no better than Markov"), (0.05, "nats worse than Markov")):
        (some,) = conclusion({"mlm": {"hidden": figures_of(shift), "all": figures_of(-0.05)}})
        assert some.startswith("learned less than counting")
        assert "nats better than letter frequencies" in some
        assert how in some
        (none,) = conclusion({"mlm": {"hidden": figures_of(shift, constant=1.3), "all": figures_of(-0.05)}})
        assert none.startswith("learned nothing (mlm, at hidden positions")
        assert "find_lr.py" in none
    one = figures_of(-0.05, sequences=1)
    assert conclusion({"mlm": {"hidden": one}})[0].startswith("too few held-out sequences")


def test_a_clause_names_the_constant_and_the_best_baseline():
    text = clause("mlm", "hidden", figures_of(-0.05))
    assert text.startswith("mlm loss at hidden positions 1.")
    assert "(letter frequencies 2.0000)" in text
