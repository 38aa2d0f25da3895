"""Markov chains are what they say: checked against chains with known entropy and against brute force."""

import numpy as np
import pytest

from pretrain.baselines.letters import HIDDEN, MARGIN, OTHER
from pretrain.baselines.markov import HIGHEST, MarkovChains, OrderSearch

EDGE = np.full(MARGIN, OTHER, np.uint8)


def framed(*rows: np.ndarray) -> np.ndarray:
    return np.concatenate([EDGE, *(part for row in rows for part in (row, EDGE))]).astype(np.uint8)


def chain_of_order_one(length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters drawn from a transition table, and the table."""
    draw = np.random.default_rng(seed)
    table = draw.dirichlet(np.full(4, 0.4), size=4)
    codes = np.zeros(length, np.uint8)
    for i in range(1, length):
        codes[i] = draw.choice(4, p=table[codes[i - 1]])
    return codes, table


def hide(symbols: np.ndarray, at: np.ndarray) -> np.ndarray:
    seen = symbols.copy()
    seen[at] = HIDDEN
    return seen


def loss_left(chains: MarkovChains, seen: np.ndarray, at: np.ndarray, true: np.ndarray, order: int) -> np.ndarray:
    *_, log = chains.log_left(seen[at[:, None] - np.arange(1, order + 1)])
    return -log[np.arange(len(at)), true[at]]


def test_a_fitted_chain_costs_the_entropy_of_the_chain_that_made_the_letters():
    codes, table = chain_of_order_one(60_000, seed=3)
    training, held_out = framed(codes[:40_000]), framed(codes[40_000:])
    chains = MarkovChains(training, training)
    at = MARGIN + np.arange(5, 20_000, 9)
    true_loss = -np.log(table[held_out[at - 1], held_out[at]]).mean()
    seen = hide(held_out, at)
    assert loss_left(chains, seen, at, held_out, 1).mean() == pytest.approx(true_loss, abs=0.02)
    assert loss_left(chains, seen, at, held_out, 4).mean() == pytest.approx(true_loss, abs=0.05)
    both = chains.log_both(seen, at, 2)
    assert -both[1][np.arange(len(at)), held_out[at]].mean() < true_loss
    search = OrderSearch(chains, seen, at, held_out[at], both=True)
    assert search.left <= 5  # nothing is gained beyond one, nothing is lost by the prior either
    assert search.both <= 5


def test_a_letter_that_training_never_had_costs_finitely_many_nats_at_every_order():
    """Shares of shares of sixteen orders fall below what float32 holds."""
    training = framed(np.zeros(20_000, np.uint8))
    held_out = framed(np.array([0] * 20 + [2] + [0] * 20))
    chains = MarkovChains(training, training, (2.0, *[0.5] * HIGHEST))
    at = np.array([MARGIN + 20])
    assert np.isfinite(loss_left(chains, held_out, at, held_out, HIGHEST)).all()
    assert np.isfinite(chains.log_both(hide(held_out, at), at, HIGHEST)).all()


@pytest.mark.parametrize("order", [1, 2, 5, 9])
def test_both_sides_is_the_exact_conditional_of_the_chain(order):
    draw = np.random.default_rng(order)
    training = framed(np.tile(draw.integers(0, 4, 40), 80), draw.integers(0, 4, 500))
    chains = MarkovChains(training, training)
    sequence = draw.integers(0, 4, 10)
    for place in (0, 1, 4, 9):
        joint = []
        for letter in range(4):  # log P of the whole sequence with each letter, from the left-to-right factors
            whole = sequence.copy()
            whole[place] = letter
            symbols, at = framed(whole), MARGIN + np.arange(10)
            joint.append(-loss_left(chains, symbols, at, symbols, order).sum())
        expected = joint - np.logaddexp.reduce(joint)
        at = np.array([MARGIN + place])
        found = chains.log_both(hide(framed(sequence), at), at, order)[order, 0]
        assert found == pytest.approx(expected, abs=1e-5)  # tables are float32


def test_tables_of_every_order_are_counts_with_the_order_below_as_prior():
    """Brute force over a short text, dense and sparse orders alike."""
    draw = np.random.default_rng(2)
    text = framed(np.tile(draw.integers(0, 4, 30), 4), draw.integers(0, 4, 60))
    chains = MarkovChains(text, text)
    at = np.flatnonzero(text < OTHER)

    def share(context: tuple[int, ...]) -> np.ndarray:  # nearest letter first
        below = np.full(4, 0.25) if not context else share(context[:-1])
        rows = [i for i in at if all(text[i - 1 - j] == symbol for j, symbol in enumerate(context))]
        counts = np.bincount(text[rows], minlength=4)
        if len(context) > 7 and len(rows) < 2:
            return below  # high orders keep only what was seen again
        return (counts + 2.0 * below) / (counts.sum() + 2.0)

    for place in (5, 20, 70, 130, 160):
        before = text[at[place] - np.arange(1, 13)]
        for order, log in enumerate(chains.log_left(before[None, :])):
            assert np.exp(log[0]) == pytest.approx(share(tuple(before[:order].tolist())), rel=1e-5)


def test_a_hidden_letter_in_the_context_is_a_symbol_that_was_counted():
    """Order two with the nearest letter hidden is what the letter beyond says, not what an empty table says."""
    draw = np.random.default_rng(5)
    first = draw.integers(0, 4, 20_000)
    codes = np.stack([first, draw.integers(0, 4, 20_000), first], axis=1).reshape(-1)  # the third repeats the first
    true = framed(codes)
    hidden = MARGIN + 1 + 3 * np.flatnonzero(draw.random(20_000) < 0.3)
    chains = MarkovChains(true, hide(true, hidden))
    at = MARGIN + 2 + 3 * np.arange(5000)
    seen = hide(true, at - 1)
    assert loss_left(chains, seen, at, true, 2).mean() < 0.1 < loss_left(chains, seen, at, true, 1).mean()


def test_the_order_grows_as_far_as_it_pays():
    draw = np.random.default_rng(7)
    period = draw.integers(0, 2, 400)  # two letters: eleven of them are needed to tell places apart
    training, held_out = framed(np.tile(period, 30)), framed(np.tile(period, 5))
    at = MARGIN + 50 + np.arange(0, 1500, 7)
    search = OrderSearch(MarkovChains(training, training), held_out, at, held_out[at], both=False)
    assert 8 <= search.left <= HIGHEST
    noise = framed(draw.integers(0, 4, 3000))
    assert OrderSearch(MarkovChains(noise, noise[::-1].copy()), held_out, at, held_out[at], both=False).left <= 5


def test_nothing_counted_is_a_quarter_each():
    nothing = framed()
    logs = list(MarkovChains(nothing, nothing).log_left(np.zeros((3, HIGHEST), np.uint8)))
    assert len(logs) == HIGHEST + 1
    assert np.exp(logs) == pytest.approx(np.full((HIGHEST + 1, 3, 4), 0.25))


def test_with_the_trust_that_was_learned_no_order_is_worse_than_the_one_below():
    """High orders of unrelated letters are chance, of relatives they are memory; the slice tells which."""
    draw = np.random.default_rng(11)
    family = [draw.integers(0, 4, 150) for _ in range(20)]
    rows = [np.where(draw.random(150) < 0.05, draw.integers(0, 4, 150), family[n % 20]) for n in range(200)]
    cases = {"relatives": rows, "strangers": [draw.integers(0, 4, 150) for _ in range(200)]}
    for name, sequences in cases.items():
        training, held_out = framed(*sequences[:160]), framed(*sequences[160:])
        known = np.flatnonzero(held_out < OTHER)
        at = known[draw.random(len(known)) < 0.1]
        seen = hide(held_out, at)
        chains = MarkovChains(training, training)
        chains.learn_priors(seen, at, held_out[at])
        losses = [loss_left(chains, seen, at, held_out, order).mean() for order in range(HIGHEST + 1)]
        assert (np.diff(losses) < 1e-3).all(), name
        if name == "relatives":
            assert losses[-1] < 1.1
        else:
            assert losses[-1] == pytest.approx(np.log(4), abs=0.03)
