"""What the corpora of ``model.init_from`` hold out, nobody trains on later; what they trained on is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pretrain.data.held_out import REASONS, held_out_of
from pretrain.data.trained_before import trained_before
from pretrain.importing.source import stated_corpora
from tests.data.test_held_out import write
from tests.training.corpora import random_sequences

ROWS = random_sequences(40, 12, 30, 5)


def test_a_continuation_leaves_out_what_its_first_corpus_holds_out(tmp_path: Path) -> None:
    first = write(tmp_path / "first", ROWS[:20], ROWS[20:30])
    later = write(tmp_path / "later", [*ROWS[25:40], ROWS[0]], [ROWS[3], ROWS[4], "ACGUACGUACGUACGUACGUA"])
    found = held_out_of([later], [first])
    (bits,) = found.rows
    assert bits is not None
    assert np.flatnonzero(np.unpackbits(bits[0] | bits[1])).tolist() == [0, 1, 2, 3, 4]  # ROWS[25:30]
    assert found.counts == [5]
    left_out, seen = found.notes
    assert left_out == f"{later.folder}: 5 training sequences are {REASONS[0]}; they are left out of training"
    assert seen.startswith(f"model.init_from was trained on 2 sequences of {first.folder} that this run holds out")


def test_clusters_count_too(tmp_path: Path) -> None:
    clusters = {row: f"c{number // 2}" for number, row in enumerate(ROWS)}
    first = write(tmp_path / "first", ROWS[0:10:2], ROWS[10:20:2], clusters=clusters)
    later = write(tmp_path / "later", ROWS[11:21:2], ROWS[1:5:2], clusters=clusters)
    found = held_out_of([later], [first])
    assert found.counts == [5]
    assert "trained on 2 sequences" in found.notes[-1]


def test_corpora_are_found_by_their_content_and_what_is_not_known_is_said(tmp_path: Path) -> None:
    first = write(tmp_path / "renamed", ROWS[:20], ROWS[20:30])
    later = write(tmp_path / "later", ROWS[30:], ROWS[:1])
    (tmp_path / "no-corpus").mkdir()
    stated = {"first": first.fingerprint, "later": later.fingerprint, "gone": "0123456789abcdef" * 4}
    found, (note,) = trained_before("exports/first", stated, [later])
    assert [corpus.fingerprint for corpus in found] == [first.fingerprint]
    assert note.startswith(
        "exports/first was trained on corpus gone (fingerprint 0123456789abcdef), which is not next to"
    )
    assert trained_before("exports/first", None, [later]) == (
        [],
        ["exports/first does not name its training corpus, which may hold sequences that this run holds out"],
    )


def test_what_a_folder_says_is_read_as_data(tmp_path: Path) -> None:
    for stated, expected in (({"rfam": "0123"}, {"rfam": "0123"}), ({}, None), ("rfam", None), (None, None)):
        (tmp_path / "config.json").write_text(json.dumps({"polymerase_corpora": stated}))
        assert stated_corpora(tmp_path) == expected
