"""Small corpora made from synthetic sequences, and the tiny configs that train on them."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from data_prep.__main__ import main as data_prep
from data_prep.corpus import SequenceWriter
from data_prep.corpus.tally import Tally
from pretrain.config import Config, check
from pretrain.config.yaml_file import merge, nested
from tests.data_prep.variants_support import record, write_fasta, write_vcf

TYPES = ("miRNA", "pre_miRNA", "tRNA")


def random_sequences(count: int, shortest: int, longest: int, seed: int, letters: str = "ACGU") -> list[str]:
    """Uniform letters, with an N in every seventh sequence."""
    draw = np.random.default_rng(seed)
    rows = ["".join(draw.choice(list(letters), draw.integers(shortest, longest + 1))) for _ in range(count)]
    return [f"{row[:3]}N{row[4:]}" if number % 7 == 0 else row for number, row in enumerate(rows)]


def build_plain(folder: Path, seed: int = 1, count: int = 120, validation: float = 0.2) -> Path:
    """Sequences of 8-60 nt without labels, through the command line."""
    fasta, out = folder / f"plain-{seed}.fa", folder / f"plain-{seed}"
    rows = random_sequences(count, 8, 60, seed)
    fasta.write_text("".join(f">s{number}\n{row}\n" for number, row in enumerate(rows)))
    arguments = ["fasta", str(fasta), "--out", str(out), "--validation", str(validation), "--max-ambiguous", "0.5"]
    assert data_prep(arguments) == 0
    return out


def build_labeled(folder: Path) -> Path:
    """Sequences with structure, energy and type; each label is missing in some rows."""
    draw, out = np.random.default_rng(5), folder / "labeled"
    with SequenceWriter(
        out, stage="test", parameters={}, columns=("rna_type", "structure", "mfe_kcal_per_mol")
    ) as writer:
        for split, count in (("train", 90), ("validation", 20)):
            rows = random_sequences(count, 8, 60, seed=count)
            folds = ["".join(draw.choice(list("(.)"), len(row))) for row in rows]
            writer.append(
                split,
                [f"{split}-{number}" for number in range(count)],
                [row.encode() for row in rows],
                rna_type=[TYPES[number % 3] if number % 4 else None for number in range(count)],
                structure=[fold if number % 5 else None for number, fold in enumerate(folds)],
                mfe_kcal_per_mol=[float(draw.normal(-8, 3)) if number % 3 else None for number in range(count)],
            )
        writer.finish(Tally())
    return out


def build_alleles(folder: Path) -> Path:
    """A genome of two chromosomes with a variant about every seventh base."""
    draw, out = np.random.default_rng(9), folder / "alleles"
    bases = {name: "".join(draw.choice(list("ACGT"), length)) for name, length in (("chr1", 900), ("chr2", 400))}
    records = []
    for name, text in bases.items():
        for at in range(3, len(text) - 3, 7):
            other = "ACGT".replace(text[at], "")[at % 3]
            records.append(record(at + 1, text[at], other, info=f"AF={0.1 + 0.05 * (at % 9):.2f}", contig=name))
    genome, vcf = write_fasta(folder / "genome.fa", **bases), write_vcf(folder / "variants.vcf", *records)
    arguments = ["allele-frequencies", "--genome", str(genome), "--vcf", str(vcf), "--out", str(out)]
    assert data_prep([*arguments, "--validation-contigs", "chr2", "--window", "60"]) == 0
    return out


def build_genome(folder: Path) -> Path:
    """Two assemblies, one of them soft-masked in part and with a few N, and some named intervals."""
    draw, out = np.random.default_rng(12), folder / "genome-corpus"
    for name, letters, sizes in (("first", "ACGTacgt", (1500, 700)), ("second", "ACGT", (600,))):
        texts = ["".join(draw.choice(list(letters), size)) for size in sizes]
        texts[0] = f"{texts[0][:300]}NNNNN{texts[0][305:]}"
        write_fasta(folder / f"{name}.fa", **{f"{name}{number}": text for number, text in enumerate(texts)})
    (folder / "some.bed").write_text("first0\t20\t90\nfirst0\t400\t900\nfirst1\t0\t300\n")
    arguments = ["genomes", str(folder / "first.fa"), str(folder / "second.fa"), "--out", str(out), "--keep-case"]
    named = ["--intervals", f"first={folder / 'some.bed'}", "--weight", "second=2"]
    assert data_prep([*arguments, *named, "--window", "40", "--validation", "0.2"]) == 0
    return out


def tree(run_dir: Path, corpus: Path, **changes: Any) -> dict[str, Any]:
    """A config of two layers of width 32. ``changes`` name keys with two underscores for the dot."""
    result: dict[str, Any] = {
        "run": {"dir": str(run_dir), "seed": 3},
        "corpus": {"path": str(corpus)},
        "model": {
            "family": "ernie_rna",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
        },
        "masking": {"strategy": "base"},
        "objectives": {"mlm": {}},
        "batch": {"tokens": 200},
        "optimizer": {"lr": 1e-3},
        "schedule": {"warmup_steps": 4},
        "engine": {"zero_stage": 1},
        "train": {"steps": 20, "log_every": 1},
        "tracking": {"sinks": []},
    }
    for key, value in changes.items():
        result = merge(result, nested(key.replace("__", "."), value))
    return result


def config(run_dir: Path, corpus: Path, **changes: Any) -> Config:
    """The same, checked."""
    return check(tree(run_dir, corpus, **changes), "test")


def write_yaml(path: Path, values: dict[str, Any]) -> Path:
    """A config file."""
    path.write_text(yaml.safe_dump(values))
    return path
