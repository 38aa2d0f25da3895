"""No key of the section `corpus` is silently without effect; the other strand of RNA must be asked for."""

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.config.corpus import Sampling
from pretrain.data.effects import check_effects
from pretrain.data.sources import open_source
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import build_tokenizer
from pretrain.training.components import build_components
from tests.training.corpora import config, random_sequences


@pytest.fixture(scope="module")
def dna(tmp_path_factory):
    """Sequences of DNA, half of their letters soft-masked."""
    folder = tmp_path_factory.mktemp("dna")
    rows = random_sequences(40, 20, 60, seed=8, letters="ACGTacgt")
    (folder / "s.fa").write_text("".join(f">s{number}\n{row}\n" for number, row in enumerate(rows)))
    out = folder / "corpus"
    options = ["--alphabet", "dna", "--keep-case", "--max-ambiguous", "1", "--validation", "0.2"]
    assert main(["fasta", str(folder / "s.fa"), "--out", str(out), *options]) == 0
    return out


KEYS = {
    "corpus.weight has no effect: there is no other corpus": ("plain", {"weight": 2.0}),
    "corpus.window has no effect: a corpus of sequences has no windows": ("plain", {"window": 30}),
    "corpus.sampling has no effect": ("plain", {"sampling": Sampling(draw="documents")}),
    "corpus.temperature has no effect: only allele-frequency": ("plain", {"temperature": 0.5}),
    "corpus.temperature_mode has no effect": ("plain", {"temperature_mode": "power"}),
    "corpus.temperature has no effect: temperature_mode is none": ("alleles", {"temperature": 0.5}),
    "corpus.crop has no effect: windows of genomes": ("alleles", {"crop": "keep_end"}),
    "corpus.crop has no effect: too_long=skip": ("plain", {"crop": "keep_end", "too_long": "skip"}),
    "corpus.too_long has no effect": ("alleles", {"too_long": "skip"}),
    "corpus.soft_mask_weight has no effect: no letter of this corpus is soft-masked": (
        "plain",
        {"soft_mask_weight": 0.1},
    ),
    "corpus.upper_case has no effect: the case of the source was not kept": ("plain", {"upper_case": False}),
    "corpus.partial_codon has no effect: ernie_rna does not read codons": ("plain", {"partial_codon": "crop"}),
    "corpus.reverse_complement_rna has no effect": ("plain", {"reverse_complement_rna": True}),
    "holds RNA, whose other strand is another molecule": ("plain", {"reverse_complement": 0.5}),
}


@pytest.mark.parametrize("message", KEYS)
def test_a_key_without_effect_is_named_with_the_reason(corpora, message):
    name, keys = KEYS[message]
    with pytest.raises(PolymeraseError, match=message) as error:
        check_effects(CorpusSettings(**keys), [open_corpus(corpora[name])], build_tokenizer("ernie_rna"))
    assert "\n" not in str(error.value)


def test_every_key_may_be_set_where_something_uses_it(corpora, dna):
    tokenizer = build_tokenizer("codon")
    both = [open_corpus(dna), open_corpus(corpora["alleles"]), open_corpus(corpora["plain"])]
    settings = CorpusSettings(
        window=30, sampling=Sampling(draw="documents"), temperature=0.5, temperature_mode="power", crop="keep_end",
        soft_mask_weight=0.5, upper_case=False, partial_codon="crop", reverse_complement=0.5,
        reverse_complement_rna=True,
    )  # fmt: skip
    check_effects(settings, both, tokenizer)
    check_effects(CorpusSettings(too_long="skip", reverse_complement=0.5), both, tokenizer)


def test_a_run_says_so_before_it_starts(corpora, tmp_path):
    with pytest.raises(PolymeraseError, match=r"corpus\.window has no effect"):
        build_components(config(tmp_path, corpora["plain"], corpus__window=20))


def test_weights_without_an_objective_that_weighs_are_refused(dna, tmp_path):
    run = config(tmp_path, dna, corpus__soft_mask_weight=0.5)
    with pytest.raises(PolymeraseError, match="no objective of this run predicts tokens"):
        check_effects(run.corpus, [open_corpus(dna)], build_tokenizer("gpn"), weighs_tokens=False)
    build_components(run)


def test_every_other_sequence_is_read_on_the_other_strand(dna):
    corpus = open_corpus(dna)
    tokenizer = build_tokenizer("mutbert")
    settings = {"soft_mask_weight": 0.25, "upper_case": False}
    plain, turned, half = (
        open_source(corpus, "train", tokenizer, CorpusSettings(reverse_complement=share, **settings), 62)
        for share in (0.0, 1.0, 0.5)
    )
    index = np.arange(plain.size)
    rng = SampleRng(index.astype(np.uint64))
    one, other, mixed = (source.read(index, rng) for source in (plain, turned, half))
    partner = str.maketrans("ACGTNacgtn", "TGCANtgcan")
    there = [row.decode() for row in other.sequences.rows()]
    here = [row.decode() for row in one.sequences.rows()]
    assert there == [row[::-1].translate(partner) for row in here]
    weights = [np.split(raw.weights, raw.sequences.offsets[1:-1]) for raw in (one, other)]
    for straight, back in zip(*weights, strict=True):
        assert straight.tolist() == back[::-1].tolist()
    chosen = [row.decode() for row in mixed.sequences.rows()]
    assert {text == a for text, a in zip(chosen, here, strict=True)} == {True, False}
    assert all(text in pair for text, *pair in zip(chosen, here, there, strict=True))
    assert (one.weights == np.where(one.sequences.values >= ord("a"), np.float32(0.25), np.float32(1))).all()


def test_rna_beside_dna_is_turned_only_if_asked(corpora, dna):
    tokenizer, index = build_tokenizer("mutbert"), np.arange(30)
    rng = SampleRng(index.astype(np.uint64))
    rna = open_corpus(corpora["labeled"])
    plain, still, turned = (
        open_source(rna, "train", tokenizer, CorpusSettings(**keys), 62).read(index, rng)
        for keys in ({}, {"reverse_complement": 1.0}, {"reverse_complement": 1.0, "reverse_complement_rna": True})
    )
    assert still.sequences.rows() == plain.sequences.rows() != turned.sequences.rows()
    assert {len(row) for row in turned.structure.rows()} == {len(row) for row in plain.structure.rows()}


def test_codons_out_of_frame_are_one_line_or_counted(tmp_path):
    (tmp_path / "s.fa").write_text(">whole\nATGAAATAA\n>partial\nATGAAATA\n>short\nAT\n")
    assert main(["fasta", str(tmp_path / "s.fa"), "--out", str(tmp_path / "c"), "--validation", "0"]) == 0
    corpus, tokenizer = open_corpus(tmp_path / "c"), build_tokenizer("codon")
    with pytest.raises(PolymeraseError, match=r"'partial' has 8 nt, which is not a whole number of codons \(2 such"):
        open_source(corpus, "train", tokenizer, CorpusSettings(), 20)
    source = open_source(corpus, "train", tokenizer, CorpusSettings(partial_codon="crop"), 20)
    assert source.size == 2
    assert source.skipped["last letters of partial codons (sequences)"] == 2
    raw = source.read(np.arange(2), SampleRng(np.arange(2, dtype=np.uint64)))
    assert sorted(raw.sequences.rows()) == [b"AUGAAA", b"AUGAAAUAA"]
    cropped = open_source(corpus, "train", tokenizer, CorpusSettings(partial_codon="crop", crop="random"), 3)
    codons = {
        row
        for n in range(40)
        for row in cropped.read(np.arange(2), SampleRng(np.full(2, n, np.uint64))).sequences.rows()
    }
    assert codons == {b"AUG", b"AAA", b"UAA"}  # always in frame


def test_weights_reach_the_objective(dna, tmp_path):
    changes = {"model__family": "mutbert", "masking__rate": 0.5}
    full, part = (
        build_components(config(tmp_path, dna, corpus__soft_mask_weight=weight, **changes)).batches("train").make(0, 20)
        for weight in (1.0, 0.25)
    )
    assert full.digest == part.digest
    assert full.denominators["mlm"] == full.counts["mlm"] == part.counts["mlm"]
    weights = part.targets["mlm"]["weight"]
    assert set(weights.tolist()) == {0.25, 1.0}
    assert part.denominators["mlm"] == weights.double().sum()
