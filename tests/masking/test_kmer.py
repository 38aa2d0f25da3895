"""Contiguous k-mer masking equals the DNABERT script."""

import json

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.kmer import expand_to_overlapping_kmers
from pretrain.masking.replacement import corrupt
from pretrain.masking.settings import KmerSettings
from pretrain.tokenizers import build_tokenizer
from pretrain.tokenizers.batch import TokenBatch
from tests.masking.samples import encode, random_rows, streams

KS = ["3", "4", "5", "6"]


def trace(golden, k):
    return json.loads((golden / "utrbert" / "masking_trace.json").read_text())["by_k"][k]


@pytest.mark.parametrize("k", KS)
def test_centers_reach_the_traced_positions(golden, k):
    tokenizer = build_tokenizer(f"utrbert_{k}mer")
    for case in trace(golden, k)["cases"]:
        tokens = encode(tokenizer, random_rows([case["n_kmers"] + int(k) - 1]))
        assert (
            expand_to_overlapping_kmers(tokens, np.array(case["centres"], np.int64), int(k)).tolist() == case["masked"]
        ), case


@pytest.mark.parametrize("k", KS)
def test_upstreams_draws_give_upstreams_inputs_and_labels(golden, k):
    case = trace(golden, k)["full_injection"]
    tokenizer = build_tokenizer(f"utrbert_{k}mer")
    padded = np.array(case["input_ids"])
    real = padded != tokenizer.pad_id
    ids = padded[real].astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(real.sum(axis=1))))
    letters = (ids != tokenizer.cls_id) & (ids != tokenizer.eos_id)
    tokens = TokenBatch(ids, offsets, letters)
    centers = np.array([offsets[row] + c for row, columns in enumerate(case["centres"]) for c in columns], np.int64)
    positions = expand_to_overlapping_kmers(tokens, centers, int(k))

    def drawn(name):
        return np.array(case[name])[real][positions]

    to_mask = drawn("draw_replace_with_MASK(p=0.8)") == 1
    to_random = ~to_mask & (drawn("draw_random(p=0.5)") == 1)
    masked = corrupt(tokens, positions, to_mask, to_random, drawn("random_ids"), tokenizer.mask_id)
    assert masked.input_ids.tolist() == np.array(case["expected_input_ids"])[real].tolist()
    labels = np.full(len(ids), -100)
    labels[positions] = ids[positions]
    assert labels.tolist() == np.array(case["expected_labels"])[real].tolist()


@pytest.mark.parametrize("k", KS)
def test_the_masked_share_is_that_of_upstream(golden, k):
    runs = json.loads((golden / "utrbert" / "masking_stats.json").read_text())["runs"]
    tokenizer = build_tokenizer(f"utrbert_{k}mer")
    for run in (run for run in runs if run["k"] == int(k) and run["p_rule"] in ("0.15/k", "0.20/k")):
        rows = 2000 if run["n_kmers"] > 100 else run["rows"]
        rate = run["mlm_probability"] * int(k)
        strategy = build_strategy(KmerSettings(rate=rate, random_ids="vocabulary_from:0"), tokenizer)
        tokens = encode(tokenizer, random_rows([run["n_kmers"] + int(k) - 1] * rows))
        masked = strategy(tokens, SideInformation(), streams(range(rows)))
        share = len(masked.positions) / tokens.maskable.sum()
        error = run["standard_error_of_fraction"] * (run["rows"] / rows) ** 0.5
        assert abs(share - run["masked_fraction_expected"]) < 4 * error
        seen = masked.input_ids[masked.positions]
        assert (seen == tokenizer.mask_id).mean() == pytest.approx(0.8 + 0.1 / len(tokenizer.vocab), abs=0.005)
        places = np.bincount(tokens.nucleotide[masked.positions], minlength=run["n_kmers"]) / rows
        noise = 4.5 * (0.15 / rows) ** 0.5
        assert places[:8] == pytest.approx(np.array(run["first8_expected"]), abs=noise)
        assert places[-8:] == pytest.approx(np.array(run["last8_expected"]), abs=noise)


def test_methylberts_centers_select_what_its_code_selected(golden):
    """Its centers are drawn at 15 % of 3-mers, a rate of 0.45; cases with other letters follow another rule there."""
    tokenizer, compared = build_tokenizer("methylbert"), 0
    traces = json.loads((golden / "methylbert" / "masking_traces.json").read_text())
    for case in traces["cases"]:
        if case["sequence"].strip("ACGT") or len(case["sequence"]) != traces["seq_len"] + 2:
            continue
        tokens = encode(tokenizer, [case["sequence"].encode()])
        centers = np.flatnonzero(case["centre_draw"]) + 1  # <sos> goes first
        selected = np.flatnonzero(np.array(case["labels"]) != -100)
        assert expand_to_overlapping_kmers(tokens, centers, 3).tolist() == selected.tolist()
        compared += 1
    assert compared


def test_methylberts_share_of_selected_3_mers_is_that_of_its_page():
    rows = 4000
    tokens = encode(build_tokenizer("methylbert"), random_rows([60] * rows))
    masked = build_strategy(KmerSettings(rate=0.45), build_tokenizer("methylbert"))(
        tokens, SideInformation(), streams(range(rows))
    )
    places = np.bincount(tokens.nucleotide[masked.positions], minlength=58) / rows
    noise = 4.5 * (0.386 * 0.614 / rows) ** 0.5
    assert places[1:57] == pytest.approx(np.full(56, 1 - 0.85**3), abs=noise)
    assert places[[0, 57]] == pytest.approx(np.full(2, 1 - 0.85**2), abs=noise)


def test_methylberts_end_token_stands_where_its_code_put_it(golden):
    """Over the last known 3-mer, of all 20 cases, those with N at the end too; what it hides stays a target."""
    tokenizer = build_tokenizer("methylbert")
    cases = json.loads((golden / "methylbert" / "masking_traces.json").read_text())["cases"]
    tokens = encode(tokenizer, [case["sequence"].encode() for case in cases])
    settings = KmerSettings(rate=0.45, eos_over_last=True)
    masked = build_strategy(settings, tokenizer)(tokens, SideInformation(), streams(range(len(cases))))
    before = build_strategy(KmerSettings(rate=0.45), tokenizer)(tokens, SideInformation(), streams(range(len(cases))))
    ends = [int(tokens.offsets[row]) + case["input"].index(tokenizer.eos_id) for row, case in enumerate(cases)]
    assert (masked.input_ids[ends] == tokenizer.eos_id).all()
    others = np.setdiff1d(np.arange(len(tokens.ids)), ends)
    assert np.array_equal(masked.input_ids[others], before.input_ids[others])
    assert np.array_equal(masked.positions, before.positions)
    selected = np.isin(masked.positions, ends)
    assert selected.any()
    assert masked.replaced[selected].all(), "nothing of them is seen"


def test_an_end_token_over_the_last_k_mer_needs_a_tokenizer_that_closes_with_none():
    with pytest.raises(
        PolymeraseError, match=r"masking\.eos_over_last: expected a tokenizer with an end token .* utrbert_3mer"
    ):
        build_strategy(KmerSettings(eos_over_last=True), build_tokenizer("utrbert_3mer"))


def test_centers_do_not_reach_into_the_next_sequence():
    tokens = encode(build_tokenizer("utrbert_6mer"), [b"ACGUACGUAC", b"ACGUACGUAC", b"ACG", b"ACGUACGUAC"])
    last_of_first = int(tokens.offsets[1]) - 2
    first_of_second = int(tokens.offsets[1]) + 1
    reached = expand_to_overlapping_kmers(tokens, np.array([last_of_first]), 6)
    assert reached.tolist() == [last_of_first - 2, last_of_first - 1, last_of_first]
    reached = expand_to_overlapping_kmers(tokens, np.array([first_of_second]), 6)
    assert reached.tolist() == [first_of_second + i for i in range(4)]
