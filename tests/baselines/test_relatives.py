"""The nearest training relative: found among strangers, copied at the right place, trusted as far as it was right."""

import numpy as np
import pytest

from pretrain.baselines.letters import HIDDEN, MARGIN, OTHER
from pretrain.baselines.relatives import NearestRelative
from tests.baselines.test_markov import framed, hide


@pytest.fixture
def families() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sixty training sequences of 120 letters, and a relative of each: 8 % changed, a letter lost, shifted."""
    draw = np.random.default_rng(1)
    known = [draw.integers(0, 4, 120) for _ in range(60)]
    relatives = []
    for row in known:
        copy = np.where(draw.random(120) < 0.08, draw.integers(0, 4, 120), row)
        relatives.append(np.concatenate([draw.integers(0, 4, 7), np.delete(copy, 60)]))
    return known, relatives


def places(rows: list[np.ndarray], rate: float = 0.12) -> np.ndarray:
    """Letters to hide, drawn one by one."""
    known = np.flatnonzero(framed(*rows) < OTHER)
    return known[np.random.default_rng(3).random(len(known)) < rate]


def test_letters_of_relatives_are_copied_and_trusted_as_often_as_they_are_right(families):
    known, relatives = families
    index, held_out, at = NearestRelative(framed(*known)), framed(*relatives), places(relatives)
    seen = hide(held_out, at)
    letter, agreement = index.copy(seen, at)
    core = agreement >= 12  # of 32 around; the rest is hidden, changed, or beyond an end
    assert core.mean() > 0.5
    assert (letter == held_out[at])[core].mean() > 0.85
    index.learn_trust(seen, at, held_out[at])
    flat = np.full((len(at), 4), np.log(0.25))
    shares = np.exp(index.log_shares(seen, at, flat))
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(at)))
    assert -np.log(shares[np.arange(len(at)), held_out[at]]).mean() < 0.8 < np.log(4)


def test_strangers_are_left_to_the_chain(families):
    known, _ = families
    draw = np.random.default_rng(9)
    strangers = [draw.integers(0, 4, 100) for _ in range(40)]
    index, held_out, at = NearestRelative(framed(*known)), framed(*strangers), places(strangers)
    seen = hide(held_out, at)
    index.learn_trust(seen, at, held_out[at])
    flat = np.full((len(at), 4), np.log(0.25))
    loss = -index.log_shares(seen, at, flat)[np.arange(len(at)), held_out[at]].mean()
    assert loss == pytest.approx(np.log(4), abs=0.02)


def test_what_a_target_shows_is_never_read(families):
    known, relatives = families
    index, held_out = NearestRelative(framed(*known)), framed(*relatives)
    at = places(relatives, 0.02)
    for symbol in range(4):
        changed = held_out.copy()
        changed[at] = symbol
        hidden = hide(held_out, at)
        same = index.copy(changed, at)[0] == index.copy(hidden, at)[0]
        assert same.mean() > 0.9  # words that run over the target find other diagonals now and then


def test_an_index_of_nothing_finds_nothing():
    empty = framed()
    held_out = framed(np.tile(np.arange(4), 10))
    letter, agreement = NearestRelative(empty).copy(held_out, np.array([MARGIN + 5]))
    assert (letter.tolist(), agreement.tolist()) == ([OTHER], [0])
    assert HIDDEN > OTHER
