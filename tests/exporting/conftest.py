"""Folders exported once from the golden weights; every test of this part reads them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.published_facts import published_facts
from pretrain.families import FAMILIES
from pretrain.families.published import PublishedModel
from pretrain.importing import import_published, read_source


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


def _converted(source: Path, family: str, out: Path, **settings: object) -> Path:
    found = read_source(source)
    imported = import_published(found, FAMILIES[family], settings)
    export_model(imported.state, imported.family, imported.settings, out, published_facts(found, imported))
    return out


@pytest.fixture(scope="session")
def mutbert(exports: Path, golden: Path) -> Path:
    source = golden / "mutbert" / "mlm_weights.safetensors"
    return _converted(source, "mutbert", exports / "mutbert", num_attention_heads=4, max_position_embeddings=64)


@pytest.fixture(scope="session")
def rnaernie(exports: Path, golden: Path) -> Path:
    return _converted(golden / "rnaernie" / "tiny_rnaernie" / "paddle_layout.npz", "rnaernie", exports / "rnaernie")


@pytest.fixture(scope="session")
def utr_lm(exports: Path, golden: Path) -> Path:
    """The golden weights with all three heads."""
    weights = load_file(golden / "utr_lm" / "weights.safetensors")
    torch.save(
        {key: tensor for key, tensor in weights.items() if key.startswith("module.")}, exports / "ESM2SISS_tiny.pkl"
    )
    return _converted(exports / "ESM2SISS_tiny.pkl", "utr_lm", exports / "utr_lm")


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
    for name, tensor in PublishedModel(settings).state_dict().items():
        found = family.upstream.to_theirs(name)
        assert found is not None
        tensors[found[0]] = tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
    tensors["bert.pooler.dense.weight"] = torch.randn(24, 24, generator=generator)
    tensors["bert.pooler.dense.bias"] = torch.randn(24, generator=generator)
    tensors |= {copy: tensors[first] for copy, first in family.upstream.duplicates.items()}
    torch.save(tensors, exports / "pytorch_model.bin")
    return exports / "pytorch_model.bin"


@pytest.fixture(scope="session")
def utrbert(exports: Path, utrbert_upstream: Path) -> Path:
    return _converted(utrbert_upstream, "utrbert_4mer", exports / "UTRBERT-4mer", num_attention_heads=3)


@pytest.fixture(scope="session")
def utrbert_encoder(exports: Path, utrbert_upstream: Path) -> Path:
    imported = import_published(read_source(utrbert_upstream), FAMILIES["utrbert_4mer"], {"num_attention_heads": 3})
    out = exports / "UTRBERT-4mer-encoder"
    export_model(imported.state, imported.family, imported.settings, out, CardFacts("Random weights."), "encoder")
    return out
