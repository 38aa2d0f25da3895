"""Readers of tokens know what the model knows, no more and no less."""

import numpy as np
import pytest
import torch

from pretrain.baselines.fit import fit_baselines
from pretrain.baselines.letters import LetterTable, token_targets
from pretrain.batches.collate import MicroBatch
from pretrain.tokenizers import build_tokenizer
from tests.baselines.batches import (
    causal_objectives,
    context_of,
    masked_batches,
    micro_batch,
    objectives_of,
    random_rows,
)

ERNIE = build_tokenizer("ernie_rna")


class Components:
    """What the readers want to know of a run."""

    def __init__(self, tokenizer):
        self.tokenizer, self.context = tokenizer, context_of(tokenizer)


def fitted(train: list[MicroBatch], tokenizer=ERNIE, objectives=None, name: str = "mlm", sequences: int = 100):
    return fit_baselines(name, objectives or objectives_of(tokenizer), iter(train), Components(tokenizer), sequences)


def means(baselines, held_out: list[MicroBatch], part: int | None = None, name: str = "mlm") -> dict[str, float]:
    """Mean loss by baseline, of hidden (0) or shown (1) targets or of all."""
    found: dict[str, list[np.ndarray]] = {}
    for batch in held_out:
        group = batch.targets[name]["group"].numpy()
        rows = np.ones(len(group), bool) if part is None else group == part
        for key, loss in baselines.losses(batch).items():
            found.setdefault(key, []).append(loss[rows])
    return {key: float(np.concatenate(parts).mean()) for key, parts in found.items()}


@pytest.fixture(scope="module")
def noise():
    """Letters that know nothing of each other, of unequal shares."""
    shares = (0.4, 0.3, 0.2, 0.1)
    train = masked_batches(ERNIE, random_rows(300, 100, 1, shares), seed=2, keep=0.4)
    held_out = masked_batches(ERNIE, random_rows(200, 100, 3, shares), seed=4, keep=0.4)
    return fitted(train), held_out, shares


def test_letters_cost_their_entropy_and_shown_ones_what_is_left_when_they_are_seen(noise):
    baselines, held_out, shares = noise
    hidden, shown = means(baselines, held_out, 0), means(baselines, held_out, 1)
    entropy = -sum(share * np.log(share) for share in shares)
    assert hidden["letters"] == pytest.approx(entropy, abs=0.01)
    assert hidden["letters_given_shown"] == pytest.approx(hidden["letters"])
    share = np.array(shares)
    joint = 0.5 * np.diag(share) + 0.5 * np.outer(share, np.full(4, 0.25))  # right letter by shown letter
    expected = -(joint * np.log(joint / joint.sum(axis=0))).sum()
    assert shown["letters_given_shown"] == pytest.approx(expected, abs=0.05)
    assert shown["letters"] > shown["letters_given_shown"] + 0.2


def test_chains_gain_nothing_where_there_is_nothing_to_gain(noise):
    baselines, held_out, _ = noise
    for part in (0, 1):
        found = means(baselines, held_out, part)
        best = min(found.values())
        assert found["letters_given_shown"] == pytest.approx(best, abs=0.01)


def test_probabilities_of_every_reader_sum_to_one():
    """Each of the four letters as the right one in turn, with the same surroundings."""
    rows = random_rows(40, 60, 5)
    baselines = fitted(masked_batches(ERNIE, rows, seed=6))
    held_out = random_rows(1, 40, 7)[0]
    for shown in (None, "A", "G"):
        chance: dict[str, float] = {}
        for letter in "ACGU":
            row = held_out[:20] + letter + held_out[21:]
            batch = micro_batch(ERNIE, [row], [6, 21, 30], {} if shown is None else {21: shown})
            for key, loss in baselines.losses(batch).items():
                chance[key] = chance.get(key, 0.0) + float(np.exp(-loss[1]))
        for key, total in chance.items():
            if shown is None or key != "letters":
                assert total == pytest.approx(1.0, abs=0.02), key


def test_the_hidden_letters_around_a_target_are_hidden_from_the_readers_too():
    """In a sequence that repeats each letter, the neighbor gives the letter away, unless it is hidden as well."""
    draw = np.random.default_rng(8)
    rows = ["".join(letter * 2 for letter in draw.choice(list("ACGU"), 50)) for _ in range(200)]
    baselines = fitted(masked_batches(ERNIE, rows, seed=9))
    alone = baselines.losses(micro_batch(ERNIE, [rows[0]], [41]))
    pair = baselines.losses(micro_batch(ERNIE, [rows[0]], [41, 42]))
    assert alone["markov_both_1"][0] < 1.0
    assert pair["markov_both_1"][0] > 1.2
    assert pair["markov_left_1"][1] > 1.2


def test_the_target_itself_is_never_read_from_a_hidden_position():
    rows = random_rows(30, 60, 10)
    baselines = fitted(masked_batches(ERNIE, rows, seed=11))
    row = random_rows(1, 60, 12)[0]
    losses = [
        baselines.losses(micro_batch(ERNIE, [row[:30] + letter + row[31:]], [31]))["nearest_relative"][0]
        for letter in "ACGU"
    ]
    assert np.exp(-np.array(losses)).sum() == pytest.approx(1.0, abs=0.02)


def test_copies_of_training_sequences_are_known_to_the_nearest_relative():
    rows = random_rows(300, 100, 13)
    draw = np.random.default_rng(14)
    copies = ["".join(draw.choice(list("ACGU")) if draw.random() < 0.05 else c for c in row) for row in rows[:100]]
    train = masked_batches(ERNIE, [*rows, *copies], seed=15)
    found = means(fitted(train), masked_batches(ERNIE, copies, seed=16), 0)
    assert found["nearest_relative"] < 0.7
    assert found["markov_left_5"] > 1.2


def test_kmers_cost_only_the_letters_that_no_visible_token_shows():
    tokenizer = build_tokenizer("utrbert_3mer")
    rows = random_rows(60, 60, 17)
    offsets = [58 + 2] * 20
    train = [micro_batch(tokenizer, rows[n : n + 20], [sum(offsets[:s]) + 5 for s in range(20)]) for n in (0, 20, 40)]
    baselines = fitted(train, tokenizer)
    one = baselines.losses(micro_batch(tokenizer, [rows[0]], [5]))["markov_left_1"]
    assert one[0] < 0.05  # its neighbors show it all
    three = baselines.losses(micro_batch(tokenizer, [rows[0]], [5, 6, 7]))["markov_left_1"]
    assert three == pytest.approx([np.log(4)] * 3, abs=0.25)  # one letter is in hidden tokens only
    start = baselines.losses(micro_batch(tokenizer, [rows[0]], [1, 2]))["markov_left_1"]
    assert start == pytest.approx([2 * np.log(4), np.log(4)], abs=0.5)  # letters 0 and 1 are nowhere else


def test_a_shown_token_that_was_never_counted_has_a_finite_cost():
    """Of thousands of tokens a small corpus counts a few; the reader of what is shown stays a bar for all of them."""
    tokenizer = build_tokenizer("utrbert_3mer")
    rows = ["A" * 40] * 20
    train = micro_batch(tokenizer, rows, [5, 6, 47, 48], {5: "AAA", 47: "AAU"})
    never = micro_batch(tokenizer, ["A" * 40], [5], {5: "CGC"})
    loss = fitted([train], tokenizer).losses(never)["letters_given_shown"]
    assert np.isfinite(loss).all()


def test_the_next_letter_is_read_from_the_left_only():
    objectives = causal_objectives(ERNIE)

    def batches(rows: list[str]) -> list[MicroBatch]:
        made = []
        for start in range(0, len(rows), 20):
            batch = micro_batch(ERNIE, rows[start : start + 20], [])
            lengths = np.array(batch.packed.lengths)
            last = np.cumsum(lengths) - 1
            index = np.setdiff1d(np.arange(lengths.sum()), last)
            target = batch.packed.input_ids[torch.from_numpy(index + 1)]
            arrays = {"index": torch.from_numpy(index), "target": target, "group": torch.zeros(len(index), dtype=int)}
            made.append(
                MicroBatch(batch.packed, {"causal_lm": arrays}, {"causal_lm": len(index)},
                           {"causal_lm": float(len(index))}, {"causal_lm": np.array([len(index)])}, 0, 0, start)
            )  # fmt: skip
        return made

    draw = np.random.default_rng(18)
    rows = ["".join(letter * 2 for letter in draw.choice(list("ACGU"), 40)) for _ in range(120)]
    found = means(fitted(batches(rows[:80]), ERNIE, objectives, "causal_lm"), batches(rows[80:]), name="causal_lm")
    assert not [key for key in found if key.startswith(("markov_both", "nearest", "letters_given"))]
    assert found["markov_left_3"] < found["letters"] - 0.3
    batch = batches(rows[:1])[0]
    targets = token_targets(batch, "causal_lm", objectives, LetterTable(ERNIE))
    assert targets.usable.sum() == 80
    assert (targets.seen == targets.true).all()
