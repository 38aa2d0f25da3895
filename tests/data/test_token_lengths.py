"""Corpora whose sequences must be tokenized to know how long they become."""

import os
import shutil

import numpy as np
import pytest

from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data import counted_once
from pretrain.data import token_lengths as store
from pretrain.data.sources import open_source
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import build_tokenizer

MAX_TOKENS = 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    draw, out = np.random.default_rng(3), tmp_path_factory.mktemp("measured") / "corpus"
    rows = ["".join(draw.choice(list("ACGTN"), draw.integers(1, 130), p=[0.24] * 4 + [0.04])) for _ in range(70)]
    with SequenceWriter(out, stage="test", parameters={}, alphabet="dna") as writer:
        writer.append("train", [f"s{number}" for number in range(70)], [row.encode() for row in rows])
        writer.finish(Tally())
    return open_corpus(out)


@pytest.fixture(params=["bpe", "kmer6_nonoverlapping"])
def tokenizer(request, golden):
    file = {"file": str(golden / "tokenizers" / "bpe_tiny.json")} if request.param == "bpe" else {}
    return build_tokenizer(request.param, **file)


def source_of(corpus, tokenizer, **settings):
    return open_source(corpus, "train", tokenizer, CorpusSettings(**settings), MAX_TOKENS)


def tokens_of(raw, tokenizer):
    tokens = tokenizer.encode(raw.sequences)
    return tokens.cropped(raw.crop.limit, raw.crop.place, tokenizer.lengths.specials - tokenizer.leading)


@pytest.mark.parametrize("crop", ["random", "keep_start", "keep_end"])
def test_counts_of_the_plan_are_those_of_the_tokens(corpus, tokenizer, crop):
    source = source_of(corpus, tokenizer, crop=crop)
    index = np.random.default_rng(0).permutation(source.size)
    tokens = tokens_of(source.read(index, SampleRng(index.astype(np.uint64))), tokenizer)
    assert source.token_counts(index).tolist() == tokens.lengths.tolist()
    assert tokens.lengths.max() == MAX_TOKENS
    whole = tokenizer.encode(corpus.split("train").gather(index))
    ends = {"keep_start": whole.offsets[:-1] + tokenizer.leading, "keep_end": None}.get(crop)
    if ends is not None:
        first = tokens.offsets[:-1] + tokenizer.leading
        assert tokens.ids[first].tolist() == whole.ids[ends].tolist()


def test_sequences_too_long_in_tokens_are_left_out_and_counted(corpus, tokenizer):
    counts = tokenizer.encode(corpus.split("train").gather(np.arange(70))).lengths
    source = source_of(corpus, tokenizer, too_long="skip")
    assert source.skipped[f"longer than {MAX_TOKENS} tokens"] == (counts > MAX_TOKENS).sum() > 0
    assert sorted(source.token_counts(np.arange(source.size))) == sorted(counts[counts <= MAX_TOKENS])


def test_a_corpus_is_counted_once_per_vocabulary(corpus, tokenizer, golden, monkeypatch):
    first = source_of(corpus, tokenizer)
    monkeypatch.setattr(counted_once, "write_atomic", lambda *_: pytest.fail("counted again"))
    assert source_of(corpus, tokenizer).size == first.size
    files = sorted((corpus.folder / store.FOLDER).glob("*/train.npy"))
    other = build_tokenizer("kmer3_nonoverlapping")
    with pytest.raises(pytest.fail.Exception, match="counted again"):
        source_of(corpus, other)
    assert all(np.load(file).dtype == np.uint16 for file in files)
    assert open_corpus(corpus.folder, verify=True).fingerprint == corpus.fingerprint  # no part of the corpus


def copied(corpus, folder):
    return open_corpus(shutil.copytree(corpus.folder, folder, ignore=shutil.ignore_patterns(store.FOLDER)))


def test_a_file_of_other_counts_is_one_line(corpus, tokenizer, tmp_path):
    there = copied(corpus, tmp_path / "copy")
    source_of(there, tokenizer)
    (path,) = (there.folder / store.FOLDER).glob("*/train.npy")
    for damaged in (path.read_bytes()[:-20], b"other"):
        path.write_bytes(damaged)
        with pytest.raises(PolymeraseError, match="expected the token counts of 70 rows, got another file; remove it"):
            source_of(there, tokenizer)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(corpus, tmp_path, tokenizer):
    there = copied(corpus, tmp_path / "copy")
    there.folder.chmod(0o555)
    try:
        with pytest.raises(PolymeraseError, match="cannot be written"):
            source_of(there, tokenizer)
    finally:
        there.folder.chmod(0o755)


def test_thirty_million_sequences_are_found_by_number(tokenizer, monkeypatch):
    """Neither rule looks at more rows than it is asked for."""
    from pretrain.data.sequence_source import SequenceSource

    class Touched(np.ndarray):
        rows = 0

        def __getitem__(self, key):
            found = super().__getitem__(key)
            Touched.rows += np.size(found)
            return found

    lengths = np.broadcast_to(np.int32(90), 30_000_000)  # a view of one number: no memory

    class Table:
        def __len__(self):
            return len(lengths)

    table = Table()
    table.lengths = lengths
    counts = np.broadcast_to(np.uint16(17), 30_000_000)
    for reader, measured in ((tokenizer, counts), (build_tokenizer("ernie_rna"), None)):
        source = SequenceSource(table, reader, CorpusSettings(), MAX_TOKENS, measured)
        assert source.size == 30_000_000
        for name in ("_lengths", "_counts"):
            if getattr(source, name) is not None:
                setattr(source, name, getattr(source, name).view(Touched))
        Touched.rows = 0
        assert source.token_counts(np.array([29_999_999, 3])).tolist() == [17 if measured is not None else 20] * 2
        assert Touched.rows == 2
