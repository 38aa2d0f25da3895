"""UTRs equal the goldens: toy set by every route, real slice, pieces."""

import hashlib
import json
from dataclasses import replace

import pytest

from data_prep.corpus.tally import Tally
from data_prep.formats.annotation import read_annotation
from data_prep.formats.genome import read_contigs
from data_prep.utr.candidates import Candidate
from data_prep.utr.from_genome import genome_candidates
from data_prep.utr.from_transcripts import transcript_candidates
from data_prep.utr.pieces import cut
from data_prep.utr.policy import PRESETS, UtrPolicy
from data_prep.utr.select import select, sound
from tests.data_prep.utr_support import build, rows

ROUTES = ("gencode.gtf", "ensembl.gtf", "ensembl.gff3", "pc_transcripts.fa")


@pytest.fixture
def toy(golden):
    return golden / "utrbert" / "utr_toy"


@pytest.fixture
def expected(toy):
    return json.loads((toy / "expected.json").read_text())


def candidates(toy, route, policy):
    if route == "pc_transcripts.fa":
        annotation = read_annotation(toy / "gencode.gtf")
        return transcript_candidates(str(toy / route), annotation, policy, Tally())
    annotation = read_annotation(toy / route)
    return genome_candidates(str(toy / "genome.fa"), route, annotation, policy, Tally(), match_chr=True)


def rna(candidate):
    return candidate.sequence.decode().upper().replace("T", "U")  # case is the source's


def bare(identifier):
    return identifier.partition(".")[0].partition(":")[0]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("side", [3, 5])
def test_every_route_gives_the_golden_utrs(toy, expected, route, side):
    policy = UtrPolicy(side=side, biotypes=None, contigs=None, drop_incomplete=False)
    found = {bare(c.transcript_id): rna(c) for c in candidates(toy, route, policy)}
    coding = {bare(i): t for i, t in expected["transcripts"].items() if t["biotype"] != "lncRNA"}
    assert found == {i: t[f"utr{side}"] for i, t in coding.items()}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("per_gene", ["all", "longest_transcript"])
@pytest.mark.parametrize("min_len", [1, 10])
@pytest.mark.parametrize("side", [3, 5])
def test_every_route_selects_the_golden_transcripts(toy, expected, route, side, per_gene, min_len):
    policy = UtrPolicy(side=side, contigs=None, per_gene=per_gene, min_length=min_len)
    chosen = select(sound(candidates(toy, route, policy), policy, Tally()), policy, Tally())
    wanted = expected["selected"][f"utr{side}_{per_gene}_min{min_len}"]
    assert [bare(c.transcript_id) for c in chosen] == [bare(i) for i in wanted]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("side", [3, 5])
def test_the_command_writes_the_golden_corpus_from_every_route(toy, expected, tmp_path, route, side):
    annotation = toy / (route if route != "pc_transcripts.fa" else "gencode.gtf")
    fasta = ("--genome", toy / "genome.fa") if annotation.name == route else ("--transcripts", toy / route)
    options = (*(["--match-chr"] if "--genome" in fasta else []), "--max-ambiguous", 1, "--validation", 0)
    corpus = build(tmp_path / "out", *fasta, "--annotation", annotation, *options, stage=f"utr{side}")
    per_gene = {3: "longest_transcript", 5: "all"}[side]
    wanted = {i: expected["transcripts"][i][f"utr{side}"] for i in expected["selected"][f"utr{side}_{per_gene}_min10"]}
    assert {bare(i): s for i, s in rows(corpus).items()} == {bare(i): s for i, s in wanted.items()}


@pytest.fixture
def chr6(shared):
    expected = json.loads((shared / "golden" / "utrbert" / "utr_real_chr6.json").read_text())
    folder = shared / "data" / "utr3"
    return folder / "chr6_slice.fa", folder / "chr6_slice.gff3", expected


@pytest.mark.parametrize("side", [3, 5])
def test_the_real_slice_gives_the_golden_utrs(chr6, side):
    genome, gff3, expected = chr6
    policy = UtrPolicy(side=side, biotypes=None, drop_incomplete=False)
    found = {
        c.transcript_id: c for c in genome_candidates(str(genome), str(gff3), read_annotation(gff3), policy, Tally())
    }
    for transcript_id, wanted in expected["transcripts"].items():
        utr = rna(found[transcript_id]) if transcript_id in found else ""
        assert len(utr) == wanted[f"utr{side}_len"]
        assert hashlib.sha256(utr.encode()).hexdigest() == wanted[f"utr{side}_sha256"]
        assert (utr[:30], utr[-30:]) == (wanted["utr3_first30"], wanted["utr3_last30"]) or side == 5


def test_the_real_slice_gives_the_golden_corpus(chr6, tmp_path):
    genome, gff3, expected = chr6
    corpus = build(tmp_path / "out", "--genome", genome, "--annotation", gff3, "--validation", 0)
    chosen = expected["selected_utr3_longest_transcript_min10"]
    assert {i.partition(":")[0] for i in rows(corpus)} == set(chosen)
    assert sum(map(len, rows(corpus).values())) == sum(expected["transcripts"][i]["utr3_len"] for i in chosen)


@pytest.mark.parametrize("name", ["utr3_annotated_chr6.fa", "utr3_predicted_chr21.fa"])
def test_pieces_of_real_utrs_are_the_golden_ones(shared, name):
    wanted = json.loads((shared / "golden" / "utrbert" / "utr3_pieces.json").read_text())[name]
    records = list(read_contigs(shared / "data" / "utr3" / name))
    utrs = [
        Candidate(r.name, r.name, "", "", "", frozenset(), len(r.sequence), 0, r.sequence.upper(), b"", b"")
        for r in records
    ]
    every = list(cut(utrs, replace(PRESETS[3]["utrbert"], min_length=1), Tally()))
    assert len(every) == wanted["pieces_510"]
    assert min(len(piece.sequence) for piece in every) == wanted["shortest_piece"]
    joined = b"\n".join(piece.sequence for piece in every)
    assert hashlib.sha256(joined).hexdigest() == wanted["sha256_of_pieces_joined_by_newline"]
    kept = list(cut(utrs, PRESETS[3]["utrbert"], Tally()))
    assert len(kept) == wanted["pieces_at_least_10"]
    for k, count in wanted["kmers_by_k_pieces_at_least_10"].items():
        assert sum(len(piece.sequence) - int(k) + 1 for piece in kept) == count
