"""Windows of a genome as the published recipes draw them."""

import json
from itertools import pairwise

import numpy as np
import pytest
import yaml

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.config.corpus import Sampling
from pretrain.data.samplers import Around, CutAndSample, Tiles, Uniform
from pretrain.data.sources import open_source
from pretrain.data.window_source import whole_contigs
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng, sample_keys
from pretrain.tokenizers import build_tokenizer

DRAW = np.random.default_rng(7)
GENOMES = {
    "one": {"c1": 1000, "c2": 333, "c3": 700},
    "two": {"c1": 450, "d1": 90},
}


def sequence(length):
    letters = DRAW.choice(list("ACGTacgt"), length)
    letters[length // 2 : length // 2 + 7] = "N"
    return "".join(letters)


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    """Contig -> letters, by assembly; and the corpus of both, with named intervals."""
    folder = tmp_path_factory.mktemp("genomes")
    contigs = {name: {contig: sequence(bases) for contig, bases in sizes.items()} for name, sizes in GENOMES.items()}
    for name, own in contigs.items():
        (folder / f"{name}.fa").write_text("".join(f">{contig}\n{letters}\n" for contig, letters in own.items()))
    (folder / "some.bed").write_text("c1\t10\t60\nc1\t400\t900\nc3\t0\t100\nc2\t300\t333\n")
    files = [str(folder / f"{name}.fa") for name in contigs]
    out = str(folder / "corpus")
    options = [
        "--window",
        "20",
        "--validation-contigs",
        "c3",
        "--keep-case",
        "--intervals",
        f"one={folder / 'some.bed'}",
    ]
    assert main(["genomes", *files, "--out", out, *options]) == 0
    weighted = str(folder / "weighted")
    assert main(["genomes", *files, "--out", weighted, *options, "--weight", "one=0.5", "--weight", "two=3"]) == 0
    return contigs, open_corpus(out, verify=True), open_corpus(weighted)


def letters_of(genomes, corpus, contig, start, length):
    names = (corpus.folder / "contig_names.txt").read_text().split()
    assembly = [name for name, sizes in GENOMES.items() for _ in sizes][contig]
    return genomes[0][assembly][names[contig]][start : start + length]


def rng_of(index, epoch=0):
    return SampleRng(sample_keys(1, np.full(len(index), epoch), index))


def drawn(sampler, epoch=0):
    index = np.arange(sampler.size)
    places = sampler.draw(index, rng_of(index, epoch))
    assert places[2].tolist() == sampler.lengths(index).tolist()  # the plan knows them beforehand
    some = np.array([sampler.size - 1, 0])
    alone = sampler.draw(some, rng_of(some, epoch))
    for whole, few in zip(places, alone, strict=True):
        assert few.tolist() == whole[some].tolist()
    return places


def inside(places, intervals):
    """Each window lies in one interval."""
    contig, start, length = places
    home = [
        any(c == i[0] and s >= i[1] and s + n <= i[2] for i in intervals.tolist())
        for c, s, n in zip(contig.tolist(), start.tolist(), length.tolist(), strict=True)
    ]
    return all(home)


def test_uniform_windows_are_all_windows_in_the_long_run(genomes):
    table = genomes[1].split("train")
    sampler = Uniform(table, 20)
    assert sampler.size == -(-table.window_count(20) // 20)
    seen = set()
    for epoch in range(400):
        places = drawn(sampler, epoch)
        assert epoch or inside(places, table.intervals)
        seen |= set(zip(places[0].tolist(), places[1].tolist(), strict=True))
    assert len(seen) == table.window_count(20)


def test_weights_of_assemblies_are_shares_of_samples(genomes):
    plain, weighted = (Uniform(corpus.split("train"), 20) for corpus in genomes[1:])
    store = genomes[1].split("train").contigs[:, 0]
    counts = [np.bincount(store[drawn(sampler)[0]], minlength=2) for sampler in (plain, weighted)]
    starts = [np.sum([e - s - 19 for c, s, e in genomes[1].split("train").intervals if store[c] == a]) for a in (0, 1)]
    assert counts[1].tolist() == [np.ceil(0.5 * starts[0] / 20), np.ceil(3 * starts[1] / 20)]
    tiles = [Tiles(corpus.split("train"), corpus.split("train").intervals, 20, 20) for corpus in genomes[1:]]
    places = drawn(tiles[1])
    once = np.bincount(store[drawn(tiles[0])[0]], minlength=2)
    assert np.bincount(store[places[0]], minlength=2).tolist() == [np.ceil(0.5 * once[0]), 3 * once[1]]
    two = store[places[0]] == 1
    _, repeats = np.unique(places[1][two] + 10_000 * places[0][two], return_counts=True)
    assert set(repeats) == {3}


def test_half_of_dnaberts_windows_are_cut_and_half_sampled(genomes):
    table = genomes[1].split("train")
    sampler = CutAndSample(table, 50, 5)
    contig, start, length = drawn(sampler)
    assert inside((contig, start, length), table.intervals)
    cut = slice(0, None, 2)
    expected = [
        (c, at, min(50, e - at)) for c, s, e in table.intervals.tolist() for at in range(s, e, 50) if e - at >= 5
    ]
    assert list(zip(contig[cut].tolist(), start[cut].tolist(), length[cut].tolist(), strict=True)) == expected
    sampled = length[1::2]
    assert sampled.min() >= 5
    assert sampled.max() <= 50
    many = CutAndSample(table, 50, 5).lengths(np.arange(1, 20_001, 2))
    assert set(many.tolist()) == set(range(5, 51))
    assert abs(many.mean() - 27.5) < 0.6


def test_windows_too_short_for_a_token_are_never_drawn(genomes):
    tokenizer = build_tokenizer("dnabert_6mer")
    for draw, fewest in (("cut_and_sample", 3), ("documents", 7)):  # 1,000 bases in pieces of 15 leave 10
        source = open_source(genomes[1], "train", tokenizer, CorpusSettings(sampling=Sampling(draw=draw)), 12)
        assert source.token_counts(np.arange(source.size)).min() == fewest


def test_chunks_share_their_overlap_and_begin_anywhere_in_it(genomes):
    table = genomes[1].split("train")
    fixed, moving = (Tiles(table, table.intervals, 100, 90, slack=slack) for slack in (0, 10))
    contig, start, length = drawn(fixed)
    expected = [(c, at) for c, s, e in table.intervals.tolist() for at in range(s, e - 99, 90)]
    assert list(zip(contig.tolist(), start.tolist(), strict=True)) == expected
    assert set(length.tolist()) == {100}
    offsets = {int(o) for epoch in range(40) for o in drawn(moving, epoch)[1] - start}
    assert offsets == set(range(11))
    assert set(moving.lengths(np.arange(moving.size)).tolist()) == {90}
    assert inside(drawn(moving), table.intervals)


def test_regions_are_walked_in_steps(genomes):
    table = genomes[1].split("train")
    sampler = Tiles(table, table.region_intervals("intervals"), 50, 25)
    contig, start, _ = drawn(sampler)
    assert list(zip(contig.tolist(), start.tolist(), strict=True)) == [
        (0, 10), *((0, at) for at in range(400, 851, 25)),
    ]  # fmt: skip
    with pytest.raises(Exception, match="no regions 'balanced' in this split; it has intervals"):
        table.region_intervals("balanced")


def test_documents_are_whole_contigs_in_pieces(genomes):
    table = genomes[1].split("train")
    sampler = Tiles(table, whole_contigs(table), 128, 128, shortest=1)
    contig, start, length = drawn(sampler)
    for number, bases in ((0, 1000), (1, 333), (3, 450), (4, 90)):
        own = contig == number
        assert start[own].tolist() == list(range(0, bases, 128))
        assert length[own].sum() == bases


def windows_of_hyenadna(golden, tmp_path, split, max_length, add_eos):
    """(golden cases, the windows of ours in the order of the BED rows) of one setting."""
    data = json.loads((golden / "tokenizers" / "hyenadna_windows.json").read_text())
    cases = [
        case for case in data["cases"]
        if case["split"] == split and case["max_length"] == max_length and case["add_eos"] == add_eos
        and not case["pad_interval"]
    ]  # fmt: skip
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in data["fasta"].items()))
    rows = [row for row in data["bed"] if row[3] == split]  # those of the others overlap, which a corpus refuses
    (tmp_path / "g.bed").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    out = str(tmp_path / "corpus")
    arguments = ["genomes", str(tmp_path / "g.fa"), "--out", out, "--intervals", str(tmp_path / "g.bed"), "--keep-case"]
    assert main([*arguments, "--window", "8", "--validation", "0"]) == 0
    return cases, open_corpus(out)


@pytest.mark.parametrize("max_length", [16, 32, 41, 80])
def test_windows_of_the_interval_reader_of_hyenadna(golden, tmp_path, max_length):
    cases, corpus = windows_of_hyenadna(golden, tmp_path, "train", max_length, True)
    assert len(cases) == 4
    table = corpus.split("train")
    sampler = Around(table, table.region_intervals("intervals"), max_length, max_length, False)
    contig, start, length = drawn(sampler)
    pieces = table.read(contig, start, length, soft_mask=True)
    letters = np.frombuffer(b"ACGTN", np.uint8)[pieces.codes.values] | pieces.soft_mask.astype(np.uint8) << 5
    rows = [letters[a:b].tobytes().decode() for a, b in pairwise(pieces.codes.offsets)]
    assert rows == [case["window"] for case in cases]


@pytest.mark.parametrize("max_length", [16, 32, 41, 80])
def test_windows_through_the_config_are_the_ids_of_hyenadna(golden, tmp_path, max_length):
    """The published reading, case trap included, and ours, which is upper case."""
    cases, corpus = windows_of_hyenadna(golden, tmp_path, "train", max_length, True)
    rows = []
    for upper in (False, True):
        settings = CorpusSettings(sampling=Sampling(draw="intervals"), window=max_length, upper_case=upper)
        tokenizer = build_tokenizer("hyenadna", case_sensitive=not upper)
        source = open_source(corpus, "train", tokenizer, settings, max_length)
        index = np.arange(source.size)
        tokens = tokenizer.encode(source.read(index, rng_of(index)).sequences)
        assert tokens.lengths.tolist() == source.token_counts(index).tolist()
        rows.append([row.tolist() for row in np.split(tokens.ids, tokens.offsets[1:-1])])
    as_released, ours = rows
    assert as_released == [[i for i in case["ids"] if i != tokenizer.pad_id] for case in cases]
    upper_cased = [[*case["window"].upper()[: len(ids) - 1]] for case, ids in zip(cases, ours, strict=True)]
    assert [[tokenizer.vocab[i] for i in ids[:-1]] for ids in ours] == upper_cased


def test_a_random_start_lies_anywhere_inside_a_long_interval(genomes):
    table = genomes[1].split("train")
    sampler = Around(table, np.array([[0, 400, 440]]), 30, 30, True)
    starts = {
        int(drawn_at)
        for epoch in range(300)
        for drawn_at in sampler.draw(np.zeros(1, np.int64), rng_of(np.zeros(1, np.int64), epoch))[1]
    }
    assert starts == set(range(400, 411))


@pytest.mark.parametrize("name", ["kmer6_nonoverlapping", "bpe", "dnabert_6mer", "codon", "gpn"])
def test_tokens_of_windows_are_known_before_they_are_read(genomes, golden, name):
    file = {"file": str(golden / "tokenizers" / "bpe_tiny.json")} if name == "bpe" else {}
    tokenizer = build_tokenizer(name, **file)
    source = open_source(genomes[1], "train", tokenizer, CorpusSettings(reverse_complement=0.5), 12)
    index = np.arange(source.size)
    for epoch in range(3):
        raw = source.read(index, rng_of(index, epoch))
        tokens = tokenizer.encode(raw.sequences)
        if raw.crop is not None:
            tokens = tokens.cropped(raw.crop.limit, raw.crop.place, tokenizer.lengths.specials - tokenizer.leading)
        assert tokens.lengths.tolist() == source.token_counts(index).tolist()
        assert set(tokens.lengths.tolist()) == {12}


def test_what_is_read_are_the_letters_of_the_file(genomes):
    corpus = genomes[1]
    table = corpus.split("train")
    contig, start, length = drawn(Tiles(table, whole_contigs(table), 37, 37, shortest=1))
    pieces = table.read(contig, start, length, soft_mask=True)
    letters = np.frombuffer(b"ACGTN", np.uint8)[pieces.codes.values] | pieces.soft_mask.astype(np.uint8) << 5
    for row, place in enumerate(zip(contig.tolist(), start.tolist(), length.tolist(), strict=True)):
        own = letters[pieces.codes.offsets[row] : pieces.codes.offsets[row + 1]].tobytes().decode()
        assert own == letters_of(genomes, corpus, *place)


def test_soft_masked_letters_weigh_what_the_run_says(genomes):
    settings = CorpusSettings(soft_mask_weight=0.1, upper_case=False, reverse_complement=0.5)
    source = open_source(genomes[1], "train", build_tokenizer("bytes", case_sensitive=True), settings, 33)
    raw = source.read(np.arange(source.size), rng_of(np.arange(source.size)))
    lower = raw.sequences.values >= ord("a")
    assert 0.3 < lower.mean() < 0.7
    assert (raw.weights == np.where(lower, np.float32(0.1), np.float32(1))).all()


SILENT = {
    "shortest has no effect with draw=uniform": {"shortest": 5},
    "overlap has no effect with draw=regions": {"draw": "regions", "overlap": 5},
    "random_start has no effect with draw=documents": {"draw": "documents", "random_start": True},
    "regions has no effect with draw=chunks": {"draw": "chunks", "regions": "balanced"},
    "step has no effect with draw=cut_and_sample": {"draw": "cut_and_sample", "step": 3},
}


@pytest.mark.parametrize("message", SILENT)
def test_no_key_of_sampling_is_silently_without_effect(message):
    with pytest.raises(ValueError, match=message):
        Sampling(**SILENT[message])


def test_windows_that_cannot_be_are_one_line(genomes, golden):
    tokenizer = build_tokenizer("gpn")
    for settings, message in (
        ({"window": 50}, "40 tokens hold 40 bases"),
        ({"window": 39, "sampling": Sampling(draw="chunks", overlap=39)}, "must be below corpus.window=39"),
        ({"sampling": Sampling(draw="regions")}, "no regions 'balanced'"),
    ):
        with pytest.raises(PolymeraseError, match=message):
            open_source(genomes[1], "train", tokenizer, CorpusSettings(**settings), 40)
    with pytest.raises(PolymeraseError, match="no interval of 600 known bases"):
        open_source(genomes[1], "train", tokenizer, CorpusSettings(), 600)
    bpe = build_tokenizer("bpe", file=str(golden / "tokenizers" / "bpe_tiny.json"))
    with pytest.raises(PolymeraseError, match="leave it out"):
        open_source(genomes[1], "train", bpe, CorpusSettings(window=30), 40)


def test_the_section_is_written_as_the_docs_say():
    text = "window: 6100\nsampling: {draw: chunks, overlap: 50, random_start: true}\n"
    settings = CorpusSettings(**yaml.safe_load(text))
    assert (settings.sampling.draw, settings.sampling.overlap) == ("chunks", 50)
