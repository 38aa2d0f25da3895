"""The definition of allele-frequency rows, against a plain restatement of it, on random records."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.variants import store
from data_prep.variants.definition import ALLELE, frequency_rows

BASES = 12
CODES = np.random.default_rng(1).integers(0, 4, BASES, dtype=np.uint8)
ALLELES = st.lists(
    st.tuples(st.integers(0, BASES - 1), st.integers(1, 3), st.floats(0.021, 1).map(lambda f: round(f, 6))), max_size=40
)


def as_records(alleles):
    rows = [(pos0, CODES[pos0], (CODES[pos0] + step) % 4, frequency) for pos0, step, frequency in alleles]
    return np.array(rows, dtype=ALLELE)


def restated(records):
    """{pos0: row} by the words of the spec."""
    by_site = {}
    for pos0, _, alt, frequency in records.tolist():
        by_site.setdefault(pos0, {})[alt] = frequency
    rows = {}
    for pos0, site in by_site.items():
        if sum(site.values()) > 1.01:
            continue
        row = [site.get(code, 0.0) for code in range(4)]
        row[CODES[pos0]] = max(0.0, 1 - sum(row))
        rows[pos0] = np.array(row) / sum(row)
    return rows


@given(ALLELES)
@settings(max_examples=200, deadline=None)
def test_rows_follow_the_definition_and_sum_to_one(alleles):
    records = as_records(alleles)
    rows = frequency_rows(records, CODES, drop_multiallelic=False)
    expected = restated(records)
    assert rows.pos0.tolist() == sorted(expected)
    for pos0, freq in zip(rows.pos0.tolist(), rows.freq, strict=True):
        np.testing.assert_allclose(freq, expected[pos0], atol=1e-6)
    np.testing.assert_allclose(rows.freq.sum(axis=1), 1, atol=1e-6)
    assert (rows.freq >= 0).all()
    assert rows.alleles + rows.dropped.total() == len(records)


@given(ALLELES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_order_of_different_records_does_not_matter(alleles, random):
    unique = list({(pos0, step): (pos0, step, frequency) for pos0, step, frequency in alleles}.values())
    shuffled = random.sample(unique, len(unique))
    one, other = (frequency_rows(as_records(rows), CODES, drop_multiallelic=False) for rows in (unique, shuffled))
    assert one.pos0.tobytes() == other.pos0.tobytes()
    assert one.freq.tobytes() == other.freq.tobytes()


@given(ALLELES)
@settings(max_examples=100, deadline=None)
def test_drop_keeps_exactly_the_sites_with_one_alternative(alleles):
    records = as_records(alleles)
    rows = frequency_rows(records, CODES, drop_multiallelic=True)
    alternatives = {}
    for pos0, _, alt, _ in records.tolist():
        alternatives.setdefault(pos0, set()).add(alt)
    assert rows.pos0.tolist() == sorted(pos0 for pos0, found in alternatives.items() if len(found) == 1)


def test_of_the_same_substitution_twice_the_last_counts():
    rows = frequency_rows(as_records([(3, 1, 0.3), (3, 1, 0.6)]), CODES, drop_multiallelic=False)
    assert rows.freq[0].max() == np.float32(0.6)
    assert rows.dropped == {"duplicate": 1}


def test_rounding_above_one_is_shared_out_and_more_is_dropped():
    rounding = frequency_rows(as_records([(3, 1, 0.604), (3, 2, 0.4)]), CODES, drop_multiallelic=False)
    np.testing.assert_allclose(np.sort(rounding.freq[0]), [0, 0, 0.4 / 1.004, 0.604 / 1.004], atol=1e-7)
    excess = frequency_rows(as_records([(3, 1, 0.7), (3, 2, 0.6)]), CODES, drop_multiallelic=False)
    assert (len(excess.pos0), excess.dropped) == (0, {"sum_above_one": 2})


@pytest.mark.parametrize("collide", [False, True])
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 4), max_size=30))
@settings(max_examples=60, deadline=None)
def test_distinct_rows_are_those_of_a_sort_whether_hashes_collide_or_not(collide, rows):
    freq = np.array(rows, np.float32).reshape(-1, 4)
    with mock.patch.object(store, "HASH", np.zeros(2, np.uint64) if collide else store.HASH):
        number, distinct = store._distinct(freq)
    assert number.dtype == np.uint16
    assert distinct[number].tobytes() == freq.tobytes()
    assert [row.tobytes() for row in distinct] == sorted({row.tobytes() for row in freq})
