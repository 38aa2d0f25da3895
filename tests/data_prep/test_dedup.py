"""Duplicates are found however many keys were seen, and held-out rows depend on their key alone."""

import random

import numpy as np

from data_prep.filters.dedup import SeenKeys, sequence_keys
from data_prep.filters.holdout import is_held_out


def test_first_occurrences_are_found_across_memory_and_disk(tmp_path):
    generator = random.Random(0)
    keys = sequence_keys([b"%d" % generator.randrange(4000) for _ in range(10_000)])
    expected, known = [], set()
    for key in keys:
        expected.append(key not in known)
        known.add(key)
    seen = SeenKeys(tmp_path, young_keys=500)
    found = np.concatenate([seen.first_seen(keys[first : first + 37]) for first in range(0, len(keys), 37)])
    assert found.tolist() == expected
    files = [path.stat().st_size // 16 for path in tmp_path.iterdir()]
    assert len(files) < 5  # files were merged
    assert sum(files) > 3000  # and hold most of the keys


def test_held_out_rows_are_a_stable_share():
    keys = sequence_keys([b"%d" % number for number in range(20_000)])
    share = is_held_out(keys, 0.1)
    assert abs(share.mean() - 0.1) < 0.01
    assert (is_held_out(keys[::-1], 0.1)[::-1] == share).all()
    assert not (share & ~is_held_out(keys, 0.2)).any()  # a larger fraction holds out a superset
    assert not is_held_out(keys, 0.0).any()
    assert is_held_out(keys, 1.0).all()


def test_keys_are_those_of_the_published_hash():
    # XXH3-128 of the empty string, from the reference implementation: keys must not change between versions.
    assert sequence_keys([b""])[0].hex() == "99aa06d3014798d86001c324468d497f"
