"""With upstream's random draws, our selection and replacement give upstream's output bit for bit.

Upstream draws one after another from one RandomState, as it walks; ours come from hashes. So the oracle below replays
upstream's walk, written from the spec, and hands its draws (orders, lengths, replacements) to our functions.
"""

import csv
import gzip
import io
import json

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.masking.budget import take_within_budget
from pretrain.masking.motif import match_candidates
from pretrain.masking.motif_finder import MotifFinder
from pretrain.masking.motif_list import load_motifs
from pretrain.masking.replacement import corrupt
from pretrain.masking.selection import choose, position_counts
from pretrain.masking.span import span_candidates
from pretrain.tokenizers import build_tokenizer
from pretrain.tokenizers.batch import TokenBatch

TOKENIZER = build_tokenizer("rnaernie")
MASK = TOKENIZER.mask_id


@pytest.fixture(scope="module")
def rnaernie(shared):
    return shared / "golden" / "rnaernie"


@pytest.fixture(scope="module")
def finders(shared):
    folder = shared / "data" / "motifs"
    lists = [[str(folder / "ATtRACT.txt"), str(folder / "SpliceAid.txt")], [str(folder / "Statistics.txt")]]
    return {
        alphabet: MotifFinder([load_motifs(files, alphabet, TOKENIZER, 1) for files in lists], TOKENIZER)
        for alphabet in ("normalised", "literal")
    }


@pytest.mark.parametrize(
    ("alphabet", "file"), [("normalised", "motif_matches.tsv.gz"), ("literal", "motif_matches_literal.tsv.gz")]
)
def test_all_motifs_of_the_published_lists_are_found(rnaernie, finders, alphabet, file):
    rows = list(csv.DictReader((rnaernie / "motif_sequences.tsv").open(), delimiter="\t"))
    expected = {}
    for line in csv.DictReader(io.StringIO(gzip.decompress((rnaernie / file).read_bytes()).decode()), delimiter="\t"):
        key = line["seq_id"], int(line["start"]), int(line["end"])
        expected[key] = expected.get(key, 0) | {"DataBases": 1, "Statistics": 2}[line["tree"]]
    ids = {line[0] for line in expected}
    rows = [row for row in rows if row["seq_id"] in ids or len(row["sequence"]) > 0]
    tokens = TOKENIZER.encode(Ragged.from_rows([row["sequence"].encode() for row in rows]))
    matches = finders[alphabet].find(tokens)
    s = np.searchsorted(tokens.offsets, matches.start, side="right") - 1
    first = tokens.nucleotide[matches.start]
    found = {
        (rows[i]["seq_id"], int(start), int(start + length)): int(databases)
        for i, start, length, databases in zip(s, first, matches.length, matches.databases, strict=True)
    }
    assert len(expected) > 5000
    assert found == expected


class Replay:
    """Upstream's replacement draws, remembered by position (0-based, on the nucleotides)."""

    def __init__(self, random):
        self.random, self.draws = random, {}

    def replace(self, position):
        outcome = "mask" if self.random.rand() < 0.8 else "keep" if self.random.rand() < 0.5 else "random"
        self.draws[position] = outcome, self.random.randint(35, 39) if outcome == "random" else 0

    def output(self, tokens, positions):
        drawn = [self.draws[p - 1] for p in positions.tolist()]
        to_mask = np.array([outcome == "mask" for outcome, _ in drawn], bool)
        to_random = np.array([outcome == "random" for outcome, _ in drawn], bool)
        return corrupt(tokens, positions, to_mask, to_random, np.array([token for _, token in drawn], np.int32), MASK)


def base(random, tokens, letters, budget):
    """Shuffle all positions, take the first of them."""
    replay = Replay(random)
    order = np.arange(letters)
    random.shuffle(order)
    for position in order[:budget]:
        replay.replace(int(position))
    priority = np.zeros(letters + 2, np.uint64)
    priority[order + 1] = np.arange(letters, dtype=np.uint64) << np.uint64(40)
    return replay.output(tokens, choose(tokens, tokens.maskable, np.array([budget]), priority))


def ernie(random, tokens, letters, budget):
    """Shuffle the starts; draw a length at each start walked over; skip what overlaps or does not fit."""
    replay, taken = Replay(random), set()
    limit = max(letters - 9, 0)
    starts = list(range(limit))
    random.shuffle(starts)
    lengths = np.full(limit, 5)
    for number, start in enumerate(starts):
        if len(taken) >= budget:
            break
        lengths[number] = random.choice([5, 6, 7, 8], p=np.array([1, 1 / 2, 1 / 3, 1 / 4]) / (25 / 12))
        cut = [min(length, limit - start) for length in range(lengths[number], 4, -1)]
        fitting = [length for length in cut if len(taken) + length <= budget]
        if fitting and not taken & set(range(start, start + fitting[0])):
            for position in range(start, start + fitting[0]):
                taken.add(position)
                replay.replace(position)
    flat = np.array(starts, np.int64) + 1
    candidates = span_candidates(tokens, flat, lengths, np.array([limit]), np.array([limit]), 5)
    return replay.output(tokens, np.flatnonzero(take_within_budget(candidates, np.array([budget]), letters + 2)))


def motif(random, tokens, letters, budget, finder):
    """Shuffle the DataBases matches, append the others in text order (by end, then longest first)."""
    replay, taken = Replay(random), set()
    matches = finder.find(tokens)
    text_order = np.lexsort((-matches.length, matches.start + matches.length))
    walked = [[], []]
    for number in text_order.tolist():
        for database in (0, 1):
            if matches.databases[number] >> database & 1:
                walked[database].append(number)
    random.shuffle(walked[0])
    order = np.array(walked[0] + walked[1], np.int64)
    for number in order.tolist():
        span = range(matches.start[number] - 1, matches.start[number] - 1 + matches.length[number])
        if len(taken) >= budget:
            break
        if len(taken) + len(span) <= budget and not taken & set(span):
            for position in span:
                taken.add(position)
                replay.replace(position)
    candidates = match_candidates(matches, np.zeros(len(order), np.int64), order, 1)
    return replay.output(tokens, np.flatnonzero(take_within_budget(candidates, np.array([budget]), letters + 2)))


def test_base_span_and_motif_masking_are_upstreams(rnaernie, finders):
    lines = gzip.decompress((rnaernie / "masking_exact.jsonl.gz").read_bytes()).decode().splitlines()
    checked = {"BERT": 0, "ERNIE": 0, "MOTIF": 0}
    for line in map(json.loads, lines):
        ids = np.array(line["full_ids"][:-2] + line["full_ids"][-1:], np.int32)  # without the label
        letters = len(ids) - 2
        maskable = np.r_[False, np.ones(letters, bool), False]
        tokens = TokenBatch(ids, np.array([0, len(ids)]), maskable)
        budget = int(position_counts("round", 0.15, np.array([letters]), np.zeros(1))[0])
        random = np.random.RandomState(line["seed"])
        outputs = {
            "BERT": base(random, tokens, letters, budget),
            "ERNIE": ernie(random, tokens, letters, budget),
            "MOTIF": motif(random, tokens, letters, budget, finders[line["trees"]]),
        }
        for strategy, expected in line["strategies"].items():
            masked = outputs[strategy]
            assert (masked.positions - 1).tolist() == expected["positions"], (line["seq_id"], strategy)
            assert masked.input_ids[1:-1].tolist() == expected["output_ids"], (line["seq_id"], strategy)
            assert tokens.ids[masked.positions].tolist() == expected["labels"], (line["seq_id"], strategy)
            checked[strategy] += 1
    assert checked == {"BERT": 92, "ERNIE": 92, "MOTIF": 184}
