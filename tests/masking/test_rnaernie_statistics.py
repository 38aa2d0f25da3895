"""Our own draws give upstream's distributions (RNAErnie, 500-nt sequences)."""

import csv
import json
import random

import numpy as np
import pytest

from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.settings import BaseSettings, MotifDatabase, MotifSettings, SpanSettings
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, streams

TOKENIZER = build_tokenizer("rnaernie")
KINDS = ["bert", "ernie", "motif_normalised", "motif_literal"]


@pytest.fixture(scope="module")
def statistics(golden):
    return json.loads((golden / "rnaernie" / "masking_stats.json").read_text())


def settings_of(kind, request):
    if kind == "bert":
        return BaseSettings(count="round")
    if kind == "ernie":
        return SpanSettings(upstream_cut=True, shortfall="none")
    folder = request.getfixturevalue("shared") / "data" / "motifs"
    lists = [["ATtRACT.txt", "SpliceAid.txt"], ["Statistics.txt"]]
    databases = [MotifDatabase(files=[str(folder / file) for file in files]) for files in lists]
    return MotifSettings(
        databases=databases, order="in_turn", alphabet=kind.removeprefix("motif_"), shortfall="none", min_length=1
    )


def draw(rows, settings):
    """Tokens, the masked batch, and which nucleotides were selected, one bool array per row."""
    tokens = encode(TOKENIZER, rows)
    masked = build_strategy(settings, TOKENIZER)(tokens, SideInformation(), streams(range(len(rows))))
    selected = np.isin(np.arange(len(tokens.ids)), masked.positions)
    return tokens, masked, [row[1:-1] for row in np.split(selected, tokens.offsets[1:-1])]


def compare(expected, tolerance, tokens, masked, selected):
    budgets = [max(1, round(0.15 * len(row))) for row in selected]
    counts = np.array([row.sum() for row in selected])
    shortfall = budgets - counts
    shares = np.mean([row.mean() for row in selected])
    assert shares == pytest.approx(expected["masked_fraction_mean"], abs=tolerance["masked_fraction_mean"])
    limit = tolerance["budget_utilisation_mean"]
    assert (counts / budgets).mean() == pytest.approx(expected["budget_utilisation_mean"], abs=limit)
    for missing, share in expected["shortfall_hist"].items():
        limit = tolerance["shortfall_hist (each entry)"]
        assert (shortfall == int(missing)).mean() == pytest.approx(share, abs=limit), missing
    runs = np.concatenate([run_lengths(row) for row in selected])
    limit = tolerance["mean_runs_per_seq (relative)"]
    assert len(runs) / len(selected) == pytest.approx(expected["mean_runs_per_seq"], rel=limit)
    for length, share in expected["contiguous_run_length_hist"].items():
        if share >= 0.02:
            limit = tolerance["contiguous_run_length_hist (bins >= 0.02)"]
            assert (runs == int(length)).mean() == pytest.approx(share, abs=limit), length
    original, seen = tokens.ids[masked.positions], masked.input_ids[masked.positions]
    for name, share in {"mask": seen == TOKENIZER.mask_id, "unchanged": seen == original}.items():
        assert share.mean() == pytest.approx(expected["token_outcome"][name], abs=tolerance["token_outcome"]), name


def run_lengths(row):
    edges = np.diff(np.pad(row, 1).astype(np.int8))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_distributions_on_random_sequences(statistics, kind, request):
    source = random.Random(500)
    rows = ["".join(source.choices("ACGU", k=500)).encode() for _ in range(40)] * 125
    expected = statistics["random500"]["results"][kind]
    compare(expected, statistics["tolerance_advice"], *draw(rows, settings_of(kind, request)))


@pytest.mark.parametrize("kind", KINDS)
def test_distributions_and_position_profiles_on_real_sequences(statistics, shared, kind, request):
    lines = csv.DictReader((shared / "golden" / "rnaernie" / "motif_sequences.tsv").open(), delimiter="\t")
    sequences = {line["seq_id"]: line["sequence"].encode()[:508] for line in lines}
    ids = statistics["sequence_set"]["ids"]
    rows = [sequences[name] for name in ids] * 100
    expected, tolerance = statistics["fixed_set"][kind], statistics["tolerance_advice"]
    tokens, masked, selected = draw(rows, settings_of(kind, request))
    compare(expected, tolerance, tokens, masked, selected)
    long = [row for row in selected if len(row) >= 100]
    limit = tolerance["mask_rate_by_distance (each entry)"]
    from_start = np.mean([row[:20] for row in long], axis=0)
    assert from_start == pytest.approx(np.array(expected["mask_rate_by_distance_from_start"]), abs=limit)
    from_end = np.mean([row[:-21:-1] for row in long], axis=0)
    assert from_end == pytest.approx(np.array(expected["mask_rate_by_distance_from_end"]), abs=limit)
    for name, (mean, deviation, draws) in expected["per_sequence_masked_fraction"].items():
        ours = np.mean([row.mean() for row in selected[ids.index(name) :: len(ids)]])
        assert ours == pytest.approx(mean, abs=0.004 + 4 * deviation / min(draws, 100) ** 0.5), name


def test_whole_spans_start_anywhere_and_fill_the_budget():
    """The default has no cut spans: the border that upstream never reaches is masked like the rest."""
    tokens = encode(TOKENIZER, [b"ACGUU" * 40] * 4000)
    strategy = build_strategy(SpanSettings(), TOKENIZER)
    masked = strategy(tokens, SideInformation(), streams(range(4000)))
    grid = np.isin(np.arange(len(tokens.ids)), masked.positions).reshape(4000, 202)[:, 1:-1]
    assert (grid.sum(axis=1) == 30).all()
    inside = grid[:, 20:-20].mean()
    assert grid[:, -9:].mean() > 0.5 * inside
    unfilled = build_strategy(SpanSettings(shortfall="none"), TOKENIZER)(
        tokens, SideInformation(), streams(range(4000))
    )
    grid = np.isin(np.arange(len(tokens.ids)), unfilled.positions).reshape(4000, 202)
    edges = np.diff(grid.astype(np.int8), axis=1)
    runs = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    assert runs.min() >= 5
