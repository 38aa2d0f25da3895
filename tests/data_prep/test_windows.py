"""Windows of an allele-frequency corpus: which there are, and what they hold."""

import multiprocessing
import pickle

import numpy as np
import pytest

from data_prep.corpus.genome import ARRAYS, GenomeTable
from tests.data_prep.variants_support import ONE_HOT, dense_windows

LENGTHS = (700, 300, 90)
INTERVALS = [(0, 0, 250), (0, 260, 700), (2, 5, 90), (1, 20, 21), (1, 30, 300)]


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """Folders of three contigs, and the dense rows float32 (bases, 4) they were made from."""
    rng = np.random.default_rng(3)
    folders, dense = [], []
    for number, bases in enumerate(LENGTHS):
        codes = rng.integers(0, 5, bases, dtype=np.uint8)
        pos0 = np.sort(rng.choice(bases, bases // 8 * (number != 2), replace=False)).astype(np.int32)
        frequencies = rng.dirichlet(np.ones(4), size=5).astype(np.float32)
        row = rng.integers(0, 5, len(pos0)).astype(np.uint16)
        rows = ONE_HOT[codes]
        rows[pos0] = frequencies[row]
        folder = tmp_path_factory.mktemp("contig")
        for name, array in zip(ARRAYS, (codes, pos0, row, frequencies), strict=True):
            np.save(folder / ARRAYS[name], array)
        folders.append(folder)
        dense.append(rows)
    return folders, dense


@pytest.fixture(scope="module")
def table(genome):
    return GenomeTable(genome[0], np.array(INTERVALS))


def starts(width):
    """(contig, start) of every window, interval after interval."""
    return [(contig, at) for contig, start, end in INTERVALS for at in range(start, end - width + 1)]


@pytest.mark.parametrize("width", [1, 20, 85, 86, 251, 440, 441])
def test_every_start_of_every_interval_is_one_window(table, width):
    assert table.window_count(width) == len(starts(width))
    contig, start = table.locate(np.arange(len(starts(width))), width)
    assert list(zip(contig.tolist(), start.tolist(), strict=True)) == starts(width)


def test_windows_equal_the_dense_genome_bit_for_bit(table, genome):
    width = 40
    index = np.random.default_rng(0).permutation(len(starts(width)))
    ours = dense_windows(table.gather(index, width))
    theirs = [genome[1][contig][at : at + width] for contig, at in np.array(starts(width))[index].tolist()]
    assert ours.tobytes() == np.stack(theirs).tobytes()


def test_types_and_shapes_are_the_contract(table):
    windows = table.gather(np.array([7, 7, 3]), 30)
    assert windows.codes.shape == (3, 30)
    assert windows.freq.shape == (len(windows.row), 4)
    types = {name: getattr(windows, name).dtype for name in windows._fields}
    assert types == {"codes": np.uint8, "row": np.int64, "column": np.int64, "freq": np.float32}


def test_empty_batches_and_contigs_without_variants_work(table):
    assert table.gather(np.empty(0, np.int64), 10).codes.shape == (0, 10)
    last_of_contig_2 = starts(85).index((2, 5))
    assert len(table.gather(np.array([last_of_contig_2]), 85).row) == 0


@pytest.mark.parametrize("index", [-1, len(starts(50))])
def test_a_number_beyond_the_windows_is_an_error(table, index):
    with pytest.raises(IndexError, match="from 0 to"):
        table.gather(np.array([index]), 50)


def test_a_split_without_intervals_has_no_windows(genome):
    assert GenomeTable(genome[0], np.empty((0, 3), np.int64)).window_count(10) == 0


def test_workers_map_the_files_themselves(table):
    table.gather(np.arange(200), 40)  # every contig is open
    blob = pickle.dumps(table)
    assert len(blob) < 3000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(_gather_pickled, (blob, 11, 40))
    assert there == table.gather(np.array([11]), 40).codes.tobytes()


def _gather_pickled(blob, index, width):
    return pickle.loads(blob).gather(np.array([index]), width).codes.tobytes()
