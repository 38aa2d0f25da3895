"""Folders exported once from the golden weights; every test of this part reads them."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pretrain.exporting import CardFacts, export_model
from pretrain.families import FAMILIES
from pretrain.families.published import published_model
from pretrain.importing import import_published, read_source

Command = Callable[..., None]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above all exported folders."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="session")
def ernie(exports: Path, golden: Path, root: Path) -> Path:
    """ERNIE-RNA's golden weights as a fairseq training checkpoint, through the command line."""
    checkpoint = exports / "ERNIE-RNA_pretrain.pt"
    torch.save(
        {
            "args": argparse.Namespace(arch="rna_twod_mlm_base", lr=[0.0001], max_tokens=9216),
            "model": load_file(golden / "ernie_rna" / "weights.safetensors"),
            "optimizer_history": [{"num_updates": 4321}],
        },
        checkpoint,
    )
    convert = [sys.executable, str(root / "launch" / "convert.py"), "--family", "ernie_rna", str(checkpoint)]
    done = subprocess.run(
        [*convert, "--out", str(exports / "ernie"), "model.num_attention_heads=4", "model.max_position_embeddings=64"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "optimizer_history[-1].num_updates = 4321" in done.stdout
    return exports / "ernie"


@pytest.fixture(scope="session")
def command(root: Path) -> Command:
    """A script of ``launch/``, in this process; it has to end well."""

    def run(script: str, *words: object) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [script, *map(str, words)])
            patch.setattr(sys, "path", list(sys.path))  # the script replaces the first entry
            assert runpy.run_path(str(root / "launch" / script))["main"]() == 0

    return run


@pytest.fixture(scope="session")
def mutbert(exports: Path, golden: Path, command: Command) -> Path:
    source, sizes = (
        golden / "mutbert" / "mlm_weights.safetensors",
        {"num_attention_heads": 4, "max_position_embeddings": 64},
    )
    words = [f"model.{key}={value}" for key, value in sizes.items()]
    command("convert.py", "--family", "mutbert", source, "--out", exports / "mutbert", *words)
    return exports / "mutbert"


@pytest.fixture(scope="session")
def rnaernie(exports: Path, golden: Path, command: Command) -> Path:
    source = golden / "rnaernie" / "tiny_rnaernie" / "paddle_layout.npz"
    command("convert.py", "--family", "rnaernie", source, "--out", exports / "rnaernie")
    return exports / "rnaernie"


@pytest.fixture(scope="session")
def utr_lm(exports: Path, golden: Path, command: Command) -> Path:
    """The golden weights with all three heads."""
    weights = load_file(golden / "utr_lm" / "weights.safetensors")
    torch.save(
        {key: tensor for key, tensor in weights.items() if key.startswith("module.")}, exports / "ESM2SISS_tiny.pkl"
    )
    command("convert.py", "--family", "utr_lm", exports / "ESM2SISS_tiny.pkl", "--out", exports / "utr_lm")
    return exports / "utr_lm"


@pytest.fixture(scope="session")
def utrbert_upstream(exports: Path) -> Path:
    """A file as 3UTRBERT released it: fp32, pooler, tied output matrix, the output bias once under each name."""
    family = FAMILIES["utrbert_4mer"]
    settings = replace(
        family.settings, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        max_position_embeddings=40,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    tensors: dict[str, Tensor] = {}
    for name, tensor in published_model(settings).state_dict().items():
        found = family.upstream.to_theirs(name)
        assert found is not None
        tensors[found[0]] = tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
    tensors["bert.pooler.dense.weight"] = torch.randn(24, 24, generator=generator)
    tensors["bert.pooler.dense.bias"] = torch.randn(24, generator=generator)
    tensors |= {copy: tensors[first] for copy, first in family.upstream.duplicates.items()}
    torch.save(tensors, exports / "pytorch_model.bin")
    return exports / "pytorch_model.bin"


@pytest.fixture(scope="session")
def utrbert(exports: Path, utrbert_upstream: Path, command: Command) -> Path:
    words = [utrbert_upstream, "--out", exports / "UTRBERT-4mer", "model.num_attention_heads=3"]
    command("convert.py", "--family", "utrbert_4mer", *words)
    return exports / "UTRBERT-4mer"


@pytest.fixture(scope="session")
def utrbert_encoder(exports: Path, utrbert_upstream: Path) -> Path:
    imported = import_published(read_source(utrbert_upstream), FAMILIES["utrbert_4mer"], {"num_attention_heads": 3})
    out = exports / "UTRBERT-4mer-encoder"
    export_model(imported.state, imported.family, imported.settings, out, CardFacts("Random weights."), "encoder")
    return out
