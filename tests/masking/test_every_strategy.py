"""Promises that hold for every strategy, every vocabulary and every batch."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pretrain.masking import SideInformation, build_strategy
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, every_strategy, random_rows, streams

NAMES = [
    *("base", "base with specials", "base ceil", "base bernoulli", "span", "span upstream", "motif", "motif in turn"),
    *("motif literal", "kmer", "kmer on letters", "variant first", "mixture"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motifs")
    built = {}
    for name, tokenizer_name, chosen in every_strategy(folder):
        tokenizer = build_tokenizer(tokenizer_name)
        built[name] = (tokenizer, build_strategy(chosen, tokenizer))
    assert list(built) == NAMES
    return built


def mask(built, name, rows, index, variants=None, epoch=0):
    """Per sequence: (tokens, selected positions, ids after corruption, replaced, strategy)."""
    tokenizer, strategy = built[name]
    tokens = encode(tokenizer, rows)
    side = SideInformation() if variants is None else SideInformation(variants(tokens))
    masked = strategy(tokens, side, streams(index, epoch))
    assert (np.diff(masked.positions) > 0).all()
    assert len(masked.input_ids) == len(tokens.ids)
    assert len(masked.replaced) == len(masked.positions)
    kept = np.ones(len(tokens.ids), bool)
    kept[masked.positions[masked.replaced]] = False
    assert (masked.input_ids[kept] == tokens.ids[kept]).all()
    result = []
    for s in range(len(rows)):
        first, last = tokens.offsets[s : s + 2]
        inside = (masked.positions >= first) & (masked.positions < last)
        result.append(
            (
                tokens.ids[first:last].tolist(),
                (masked.positions[inside] - first).tolist(),
                masked.input_ids[first:last].tolist(),
                masked.replaced[inside].tolist(),
                int(masked.strategy[s]),
            )
        )
    return tokens, masked, result


def every_third_letter(tokens):
    return np.flatnonzero(tokens.nucleotide % 3 == 1)


rows_strategy = st.lists(st.lists(st.sampled_from(b"ACGUTNacgR-"), max_size=40).map(bytes), max_size=6)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", NAMES)
@quick
@given(rows=rows_strategy, data=st.data())
def test_a_sample_is_masked_alike_in_any_batch(built, name, rows, data):
    variants = every_third_letter if name == "variant first" else None
    _, _, together = mask(built, name, rows, range(len(rows)), variants)
    order = data.draw(st.permutations(range(len(rows))))
    kept = order[: data.draw(st.integers(0, len(rows)))]
    _, _, others = mask(built, name, [rows[i] for i in kept], kept, variants)
    assert others == [together[i] for i in kept]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "base with specials"])
@quick
@given(rows=rows_strategy)
def test_specials_are_never_selected(built, name, rows):
    tokens, masked, _ = mask(built, name, rows, range(len(rows)))
    assert tokens.maskable[masked.positions].all()


@pytest.mark.parametrize("name", NAMES)
def test_another_epoch_gives_another_mask_and_the_same_epoch_the_same(built, name):
    rows = random_rows([60] * 8)
    first = mask(built, name, rows, range(8))[2]
    assert mask(built, name, rows, range(8))[2] == first
    again = mask(built, name, rows, range(8), epoch=1)[2]
    # any one sample may come out alike by chance, not most of them
    assert sum(a[1] != b[1] for a, b in zip(first, again, strict=True)) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_single_letter_sequences_pass_through(built, name):
    _, _, result = mask(built, name, [b"", b"A", b"", b"N"], range(4))
    if name != "base with specials":
        assert [result[0][1], result[2][1]] == [[], []]


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_no_sequence_passes_through(built, name):
    _, masked, result = mask(built, name, [], [])
    assert (result, len(masked.positions), len(masked.strategy)) == ([], 0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_selected_share_and_its_fate_are_as_set(built, name):
    tokenizer, strategy = built[name]
    tokens = encode(tokenizer, random_rows([200] * 400, letters=b"ACGT"))
    masked = strategy(tokens, SideInformation(), streams(range(400)))
    # k-mers: 1 - (1 - rate / k)^k, less at the ends
    low, high = {"kmer": (0.13, 0.15), "kmer on letters": (0.133, 0.152)}.get(name, (0.147, 0.153))
    if name in ("span upstream", "motif in turn"):  # a part of the budget is left
        low = 0.14
    assert low < len(masked.positions) / tokens.maskable.sum() < high
    shares = {
        "base ceil": (1.0, 0.0, 0.0),
        "variant first": (0.8, 0.0, 0.2),
    }.get(name, (0.8, 0.1, 0.1))
    original, seen = tokens.ids[masked.positions], masked.input_ids[masked.positions]
    to_mask = (seen == tokenizer.mask_id) & masked.replaced
    random_masks = 1 / 21 if name == "base with specials" else 1 / 11 if name == "base bernoulli" else 0
    assert to_mask.mean() == pytest.approx(shares[0] + shares[1] * random_masks, abs=0.015)
    assert (~masked.replaced).mean() == pytest.approx(shares[2], abs=0.012)
    assert (seen == original)[~masked.replaced].all()


def test_random_tokens_are_nucleotides_unless_the_recipe_says_otherwise(built):
    for name, allowed in (
        ("base", {4, 5, 6, 7}),
        ("base with specials", set(range(4, 25))),
        ("kmer", set(range(5, 4101))),
    ):
        tokenizer, strategy = built[name]
        tokens = encode(tokenizer, random_rows([300] * 150))
        masked = strategy(tokens, SideInformation(), streams(range(150)))
        seen = masked.input_ids[masked.positions[masked.replaced]]
        drawn = set(seen[seen != tokenizer.mask_id].tolist())
        assert drawn <= allowed
        if len(allowed) < 30:
            assert drawn | {tokenizer.mask_id} == allowed | {tokenizer.mask_id}
