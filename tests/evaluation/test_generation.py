"""Samples of causal models: against argmax over prefixes, and what is remembered against reading everything anew."""

import math
import random

import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.cli.generate import main as generate_command
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import is_causal
from pretrain.evaluation.generation import Sampling, generate
from pretrain.evaluation.masked_queries import encode_rows
from pretrain.evaluation.model import TrainedModel
from pretrain.models import PackedBatch
from pretrain.models.memory import Memory
from pretrain.models.transformer.settings import RopeScaling
from tests.evaluation.support import logits_after, tiny, tiny_causal

CASES = {
    "learned": ("transformer", {}),
    "alibi": ("transformer", {"position_embedding_type": "alibi", "num_attention_heads": 4}),
    "rotary": ("transformer", {"position_embedding_type": "rotary", "mlp": "swiglu", "norm": "rms"}),
    "no positions": ("transformer", {"position_embedding_type": "none"}),
    "hyena": ("hyena", {}),
    "evo": ("striped_hyena", {"rope_scaling": RopeScaling("linear", 16.0)}),
}


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return tiny_causal("transformer")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("prompt", [1, 2, 9])
def test_a_remembered_sequence_has_the_logits_of_one_read_anew(case, prompt):
    architecture, changes = CASES[case]
    model = tiny_causal(architecture, **changes)
    ids = torch.randint(4, len(model.tokenizer.vocab), (3, 30), generator=torch.Generator().manual_seed(prompt))
    ids[:, :prompt] = ids[0, :prompt]
    memory = Memory(40)
    with torch.no_grad():
        read = PackedBatch.pack(ids[0, :prompt], [prompt], memory=memory)
        model.network.encoder(read)
        memory.take(torch.zeros(3, dtype=torch.int64))
        for place in range(prompt, 30):
            memory.tokens = place
            hidden = model.network.encoder(PackedBatch.pack(ids[:, place], [1] * len(ids), memory=memory)).hidden
            found = model.network.logits(hidden)
            expected = torch.stack([logits_after(model, row[: place + 1].tolist()) for row in ids])
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
            if place == 20:  # one of them has ended
                ids = ids[[0, 2]]
                memory.take(torch.tensor([0, 2]))


@pytest.mark.parametrize("case", CASES)
def test_samples_are_the_same_with_and_without_a_memory(case):
    architecture, changes = CASES[case]
    model = tiny_causal(architecture, **changes)
    ways = [list(generate(model, b"GAU", 30, Sampling(25, seed=5, remember=remember))) for remember in (True, False)]
    assert ways[0] == ways[1]
    assert len({len(text) for text in ways[0]}) > 1, (
        "none ended before the others: the case does not test dropping rows"
    )


def test_a_model_whose_positions_stretch_is_read_anew():
    stretched = {"position_embedding_type": "rotary", "rope_scaling": RopeScaling("dynamic", 2.0)}
    model = tiny_causal("transformer", max_position_embeddings=12, **stretched)
    ways = [list(generate(model, b"GAU", 4, Sampling(25, seed=5, remember=remember))) for remember in (True, False)]
    assert ways[0] == ways[1]


def test_the_likeliest_sequence_is_what_argmax_over_prefixes_gives(model):
    (text,) = generate(model, b"GAU", 1, Sampling(12, temperature=0.0))
    (ids,) = encode_rows(model.tokenizer, Ragged.from_rows([b"GAU"]))
    ids, letters = ids[:-1].tolist(), "GAU"
    forbidden = [i for i in (*model.tokenizer.special_ids, model.tokenizer.unk_id) if i != model.tokenizer.eos_id]
    for _ in range(12):
        logits = logits_after(model, ids)
        logits[forbidden] = -math.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == model.tokenizer.eos_id:
            break
        letters += model.tokenizer.vocab[ids[-1]]
    assert text == letters
    assert list(generate(model, b"GAU", 1, Sampling(12, temperature=1.0, top_k=1))) == [text]


def test_samples_follow_their_seed_and_the_model(model):
    first, again, other = (list(generate(model, b"", 400, Sampling(1, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other
    (ids,) = encode_rows(model.tokenizer, Ragged.from_rows([b""]))
    probabilities = logits_after(model, ids[:-1].tolist())
    letters = {token: i for i, token in enumerate(model.tokenizer.vocab) if token in "ACGUN"}
    eos = model.tokenizer.eos_id
    kept = torch.stack([probabilities[i] for i in (*letters.values(), eos)]).softmax(-1)
    for letter, share in zip((*letters, ""), kept.tolist(), strict=True):
        assert abs(first.count(letter) / 400 - share) < 5 * math.sqrt(share * (1 - share) / 400) + 1e-9


def test_a_masked_model_draws_nothing():
    masked = tiny("rnaernie2")
    assert not is_causal(masked)
    with pytest.raises(PolymeraseError, match="use a causal model"):
        next(generate(masked, b"A", 1, Sampling(4)))


def test_more_than_the_model_holds_is_refused(model):
    with pytest.raises(PolymeraseError, match="the longest input is 64"):
        next(generate(model, b"ACGU" * random.Random(0).randint(10, 12), 1, Sampling(40)))


def test_rows_of_the_table_that_are_no_token_are_never_drawn():
    model = tiny_causal("hyena", "hyenadna", vocab_size=16)  # 16 rows for 12 tokens
    for text in generate(model, b"ACGT", 20, Sampling(30)):
        assert set(text) <= set("ACGTN")


@pytest.mark.parametrize(
    ("tokenizer", "prompt", "message"),
    [
        ("codon", b"ATGA", "--prompt ATGA: its last 1 letters make no whole token of codon"),
        ("codon", b"AT", "its last 2 letters make no whole token"),
        ("codon", b"ATGNNN", "codon does not know all of its letters"),
        ("hyenadna", b"ACGX", "hyenadna does not know all of its letters"),
    ],
)
def test_a_prompt_that_samples_would_not_begin_with_is_refused(tokenizer, prompt, message):
    with pytest.raises(PolymeraseError, match=message):
        next(generate(tiny_causal("transformer", tokenizer), prompt, 1, Sampling(3)))


@pytest.mark.parametrize("words", [["--temperature", "nan"], ["--temperature", "inf"], ["--out", "."]])
def test_options_that_cannot_be_are_one_line_before_the_work(words, capsys):
    assert generate_command(["nowhere", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith((f"error: {words[0]}", f"error: argument {words[0]}"))
