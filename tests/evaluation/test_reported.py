"""A paper's perplexity stands beside ours, counted as the paper counts and as it should be."""

import math

import pytest

from pretrain.evaluation.reported import beside_reported, lines


def figures(loss, baseline):
    return {"loss": loss, "baselines": {"letters": baseline + 1, "letters_given_shown": baseline},
            "best_baseline": "letters_given_shown"}  # fmt: skip


def test_mutbert_is_counted_with_and_without_the_positions_it_shows():
    found = beside_reported("mutbert", {"mlm": {"all": figures(1.0, 1.1), "hidden": figures(1.25, 1.375)}})
    assert found["paper"] == 1.996
    assert found["all"] == {"model": pytest.approx(math.e), "best_baseline": pytest.approx(math.exp(1.1))}
    assert found["hidden"]["model"] == pytest.approx(math.exp(1.25))
    first, second = lines(found)
    assert "as the paper counts: paper 1.996 on its own test set, this model 2.7183, best baseline 3.0042" in first
    assert "hidden positions alone: paper not reported, this model 3.4903, best baseline 3.9551" in second


def test_a_reader_of_shown_letters_is_far_below_the_letters_it_cannot_read():
    """Without any context: 4 at hidden positions, and 3.03 where a fifth is shown and costs nothing."""
    hidden, share = math.log(4), 0.8
    found = beside_reported(
        "mutbert", {"soft_label": {"all": figures(share * hidden, 2), "hidden": figures(hidden, 2)}}
    )
    assert found["hidden"]["model"] == pytest.approx(4)
    assert found["all"]["model"] == pytest.approx(4**0.8)


def test_nothing_is_said_where_nothing_is_reported():
    assert beside_reported("ernie_rna", {"mlm": {"all": figures(1, 1)}}) is None
    assert beside_reported("mutbert", {"structure": {}}) is None
    assert list(lines(None)) == []
