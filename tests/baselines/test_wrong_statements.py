"""What this project used to say and must not say again, on made-up data."""

import numpy as np
import pytest

from pretrain.baselines.figures import TargetLosses, verdict
from pretrain.baselines.words import clause, conclusion
from pretrain.reporting.report import verdicts
from pretrain.tokenizers import build_tokenizer
from tests.baselines.batches import masked_batches, random_rows
from tests.baselines.test_tokens import ERNIE, fitted, means


@pytest.fixture(scope="module")
def random_letters():
    """Letters that follow from nothing: whoever does not see one cannot know it."""
    train = masked_batches(ERNIE, random_rows(400, 100, 1), seed=2)
    return fitted(train), masked_batches(ERNIE, random_rows(300, 100, 3), seed=4)


def losses_of(baselines, held_out, loss_of_batch) -> tuple[TargetLosses, np.ndarray]:
    """A reader's losses beside the baselines, and which targets are shown."""
    parts: dict[str, list[np.ndarray]] = {}
    losses, sequence, shown = [], [], []
    for batch in held_out:
        for key, loss in baselines.losses(batch).items():
            parts.setdefault(key, []).append(loss)
        losses.append(loss_of_batch(batch))
        offsets = batch.packed.cu_seqlens.numpy()
        index = batch.targets["mlm"]["index"].numpy()
        sequence.append(batch.start + np.searchsorted(offsets, index, side="right") - 1)
        shown.append(batch.targets["mlm"]["group"].numpy() == 1)
    whole = np.concatenate(losses)
    baselines_ = {key: np.concatenate(each) for key, each in parts.items()}
    return TargetLosses(whole, None, np.ones(len(whole)), np.concatenate(sequence), baselines_), np.concatenate(shown)


def reader_of_the_shown_token(batch) -> np.ndarray:
    """Knows no context: the letter that is shown is right in five cases of eight, and nothing else is known."""
    inputs = batch.packed.input_ids.numpy()[batch.targets["mlm"]["index"].numpy()]
    target, shown = batch.targets["mlm"]["target"].numpy(), batch.targets["mlm"]["group"].numpy() == 1
    return np.where(shown, np.where(inputs == target, -np.log(0.625), -np.log(0.125)), np.log(4))


def test_a_reader_without_context_does_not_pass_for_one_with_context(random_letters):
    """(a) A fifth of the scored positions shows a letter: together they were below letter frequencies."""
    found, shown = losses_of(*random_letters, reader_of_the_shown_token)
    everything = found.figures()
    assert everything["loss"] < everything["baselines"]["letters"] - 0.03  # what used to be said: it uses context
    for rows in (None, shown, ~shown):
        figures = found.figures(rows)
        assert verdict(figures) != "better"
        assert " below " not in clause("mlm", "all", figures)
    parts = {"hidden": found.figures(~shown), "shown": found.figures(shown), "all": everything}
    assert conclusion({"mlm": parts})[0].startswith("learned nothing")


def test_worse_than_letters_at_hidden_positions_cannot_hide_behind_shown_ones(random_letters):
    """(b) The mean was below letter frequencies while the hidden letters were above them."""

    def reader(batch) -> np.ndarray:
        shown = batch.targets["mlm"]["group"].numpy() == 1
        return reader_of_the_shown_token(batch) + np.where(shown, 0.0, 0.02)

    found, shown = losses_of(*random_letters, reader)
    parts = {"hidden": found.figures(~shown), "shown": found.figures(shown), "all": found.figures()}
    assert parts["all"]["loss"] < parts["all"]["baselines"]["letters"]
    assert verdict(parts["hidden"]) == "worse"
    (sentence,) = conclusion({"mlm": parts})
    assert "at hidden positions" in sentence
    assert "worse than" in sentence


def test_letter_frequencies_reached_and_nothing_else_is_never_green(random_letters):
    """A run that ended at letter frequencies was told so in green, by the fourth digit."""

    def reader(batch) -> np.ndarray:
        jitter = np.random.default_rng(batch.start).normal(0, 0.05, len(batch.targets["mlm"]["index"]))
        return reader_of_the_shown_token(batch) + jitter - 0.0005

    found, shown = losses_of(*random_letters, reader)
    parts = {"hidden": found.figures(~shown), "shown": found.figures(shown), "all": found.figures()}
    assert parts["hidden"]["loss"] < parts["hidden"]["baselines"]["letters"]
    report = {"objectives": {"mlm": {"held_out": {"loss": parts["all"]["loss"]}, **parts}}}
    assert "good" not in {kind for _, kind in verdicts(report)}


def test_kmers_whose_neighbors_give_the_letters_away_are_no_achievement():
    """Single 3-mers hidden: a loss of 0.03 nats is what reading the neighbors costs."""
    tokenizer = build_tokenizer("utrbert_3mer")
    rows = random_rows(120, 62, 5)
    from tests.baselines.batches import micro_batch

    made = [
        micro_batch(tokenizer, rows[n : n + 20], [62 * s + 1 + p for s in range(20) for p in range(3, 60, 9)], start=n)
        for n in range(0, 120, 20)
    ]
    made = [batch for batch in made if batch.counts["mlm"]]
    found = means(fitted(made[:4], tokenizer), made[4:])
    assert found["letters"] > 4.0
    assert found["markov_left_1"] < 0.06
