"""What is continued: per family a checkpoint as its authors released it, tiny, and real sequences of the right kind."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from data_prep.__main__ import main as data_prep
from data_prep.bpe.train import train
from pretrain.families import FAMILIES, TRANSFORMS
from pretrain.families.keys import put_together
from pretrain.families.published import published_model

STEPS = 20


@dataclass(frozen=True)
class Continued:
    """A family's chain.

    weights: writes the released file into a folder (golden folder, folder) -> file. sizes: what shapes cannot tell.
    corpus: which of :func:`real_corpora`. changes: overrides of ``configs/NAME.yaml``.
    """

    weights: Callable[[Path, Path], Path]
    sizes: tuple[str, ...]
    corpus: str
    changes: tuple[str, ...] = ()


def random_release(family: str) -> Callable[[Path, Path], Path]:
    """Random weights in the layout that the family was published in."""

    def write(_: Path, folder: Path) -> Path:
        chosen = FAMILIES[family]
        settings = replace(chosen.settings, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
                           intermediate_size=48, max_position_embeddings=64)  # fmt: skip
        torch.manual_seed(11)
        tensors: dict[str, Tensor] = {}
        for name, tensor in published_model(settings, chosen.heads).state_dict().items():
            found = chosen.upstream.to_theirs(name)
            assert found is not None
            tensors[found[0]] = TRANSFORMS[found[1].transform][1](tensor + 0.1 * torch.randn(tensor.shape))
        tensors |= {copy: tensors[first] for copy, first in chosen.upstream.duplicates.items()}
        torch.save(put_together(tensors), folder / "pytorch_model.bin")
        return folder / "pytorch_model.bin"

    return write


def with_byte_pairs(family: str) -> Callable[[Path, Path], Path]:
    """A random release with a tokenizer file beside it, made here of random letters."""

    def write(golden: Path, folder: Path) -> Path:
        letters = random.Random(0)
        text = ("".join(letters.choices("ACGT", k=1000)) for _ in range(300))
        train(text, FAMILIES[family].settings.vocab_size).save(str(folder / "tokenizer.json"))
        return random_release(family)(golden, folder)

    return write


def _golden(*parts: str) -> Callable[[Path, Path], Path]:
    return lambda golden, _: golden.joinpath(*parts)


def _utr_lm(golden: Path, folder: Path) -> Path:
    weights = load_file(golden / "utr_lm" / "weights.safetensors")
    torch.save({key: tensor for key, tensor in weights.items() if key.startswith("module.")}, folder / "ESM2SISS.pkl")
    return folder / "ESM2SISS.pkl"


_HEADS_3, _HEADS_4 = "model.num_attention_heads=3", "model.num_attention_heads=4"
_64, _CROP = "model.max_position_embeddings=64", ("corpus.max_tokens=64", "corpus.too_long=crop")
_SIX_MERS = ("corpus.window=90", "corpus.max_tokens=64", "schedule.name=cosine", "schedule.start_lr=0")
CONTINUED = {
    "ernie_rna": Continued(_golden("ernie_rna", "weights.safetensors"), (_HEADS_4, _64), "ncrna", _CROP),
    "rnaernie": Continued(
        _golden("rnaernie", "tiny_rnaernie", "paddle_layout.npz"), (), "ncrna",
        (*_CROP, "masking.parts=[{strategy: base}, {strategy: span}]"),
    ),
    "rnaernie2": Continued(random_release("rnaernie2"), (_HEADS_3,), "ncrna", _CROP),
    "utr_lm": Continued(_utr_lm, (), "utr5",
                        ("corpus.max_tokens=100", "optimizer.momentum=0", "schedule.total_steps=null")),
    "utrbert_4mer": Continued(random_release("utrbert_4mer"), (_HEADS_3,), "utr3", _CROP),
    "dnabert_3mer": Continued(random_release("dnabert_3mer"), (_HEADS_3,), "genome", _CROP),
    "mutbert": Continued(_golden("mutbert", "mlm_weights.safetensors"), (_HEADS_4, _64), "population",
                         ("corpus.window=62", "batch.sequences=8")),
    "rinalmo_nano": Continued(random_release("rinalmo_nano"), (_HEADS_3,), "ncrna", _CROP),
    "nt_v1_500m": Continued(random_release("nt_v1_500m"), (_HEADS_3,), "genome", _SIX_MERS),
    "nt_v2_50m": Continued(random_release("nt_v2_50m"), (_HEADS_3,), "genome", _SIX_MERS),
    "dnabert2": Continued(with_byte_pairs("dnabert2"), (_HEADS_3,), "ncrna",
                          ("corpus.max_tokens=64", "model.tokenizer_file=null")),
    "methylbert": Continued(random_release("methylbert"), (_HEADS_3,), "genome", ("corpus.window=62",)),
    "helm_mlm": Continued(random_release("helm_mlm"), (_HEADS_3,), "ncrna", (*_CROP, "corpus.partial_codon=crop")),
    "helm_clm": Continued(random_release("helm_clm"), (_HEADS_3,), "ncrna", (*_CROP, "corpus.partial_codon=crop")),
}  # fmt: skip


def real_corpora(data: Path, folder: Path) -> dict[str, Path]:
    """Corpora of public sequences: non-coding RNA, 3' and folded 5' UTRs, a piece of a genome, its population."""

    def make(*words: object) -> None:
        assert data_prep([str(word) for word in words]) == 0

    made = {name: folder / name for name in ("ncrna", "utr3", "utr5", "genome", "population")}
    make("fasta", data / "ncrna/nRC_test.fa", "--out", made["ncrna"], "--max-length", 150)
    slice_of_chr6 = ["--genome", data / "utr3/chr6_slice.fa", "--annotation", data / "utr3/chr6_slice.gff3"]
    make("utr3", *slice_of_chr6, "--out", made["utr3"])
    make("utr5", *slice_of_chr6, "--out", folder / "unfolded")
    make("fold", folder / "unfolded", "--out", made["utr5"], "--executor", "local:1", "--cache", "none")
    genome = data / "variants/chr20a.fa"
    make("genomes", genome, "--out", made["genome"], "--window", 100)
    make("allele-frequencies", "--genome", genome, "--vcf", data / "variants/chr20a.vcf.gz", "--out",
         made["population"], "--executor", "local:1")  # fmt: skip
    return made
