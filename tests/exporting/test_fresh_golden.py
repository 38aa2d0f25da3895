"""Golden weights of the later families, converted on the command line and opened by stock transformers alone.

One process for all of them gives the logits of the original code. Where the golden's vocabulary is nobody's, the
weights are converted without a tokenizer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pretrain.exporting.verify import Verification
from pretrain.families import FAMILIES
from pretrain.families.golden_references import PADDED_GOLDENS
from tests.exporting.test_fresh_process import BERT, GOLDEN

Case = tuple[Tensor, Tensor, Tensor]  # ids (B, T), attention mask (B, T), logits (B, T, V)

PADDED = tuple(PADDED_GOLDENS)
HYENAS, EVOS = ([name for name in FAMILIES if name.startswith(kind)] for kind in ("hyenadna", "evo1"))
OTHERS = {  # family -> file, settings that no tensor tells
    "gpn_brassicales": ("gpn/convnet_legacy.safetensors", ()),
    "gpn_convnet": ("gpn/gpn_convnet.safetensors", ()),
    "gpn_promoter": ("gpn/gpn_bytenet_slim.safetensors", ()),
    **dict.fromkeys(HYENAS, ("hyenadna/weights.safetensors", ("max_position_embeddings=130",))),
    **dict.fromkeys(EVOS, ("evo1/weights.safetensors", ("num_attention_heads=4",))),
}
TOLERANCES = {**dict.fromkeys(("methylbert", "methylbert_6l"), 5e-5), **dict.fromkeys((*HYENAS, *EVOS), 1e-4)}
NOBODYS = {name for name in PADDED if name.startswith(("nt_", "dnabert2"))}  # vocabularies of the goldens
LATER = Verification(0.0, 1.0, 2e-5)  # what a conversion would find itself; here that is asked below
CAUSAL = {"helm_clm", *HYENAS, *EVOS}


def padded(name: str, golden: Path) -> Case:
    reference = PADDED_GOLDENS[name]
    io = load_file(golden / reference.folder / "io.safetensors")
    logits = io[reference.prefix + reference.logits]
    ids = io[reference.prefix + reference.ids].long()[:, : logits.shape[1]]
    pad = FAMILIES[name].settings.pad_token_id
    return ids, (ids != pad if reference.mask is None else io[reference.prefix + reference.mask]).long(), logits


def other(name: str, golden: Path) -> Case:
    if name.startswith("gpn"):
        with np.load(golden / "gpn" / "io.npz") as io:
            ids, logits = (torch.from_numpy(io[key]) for key in ("input_ids", f"{Path(OTHERS[name][0]).stem}/logits"))
        return ids.long(), torch.ones_like(ids).long(), logits
    io = load_file(golden / OTHERS[name][0].partition("/")[0] / "io.safetensors")
    if name.startswith("hyenadna"):
        return io["single_130"].long(), torch.ones_like(io["single_130"]).long(), io["shift0.05.single_130.logits"]
    mask = io["padding_mask"].long()
    if FAMILIES[name].settings.rope_scaling is not None:  # of positions / 16 only the sums over all bytes are kept
        return io["input_ids"].long(), mask, io["interpolated16.logsumexp_512"][..., None]
    return io["input_ids"].long(), mask, io["logits_ascii_columns_0_127"]


@pytest.fixture(scope="module")
def cases(golden: Path) -> dict[str, Case]:
    return {name: padded(name, golden) for name in PADDED} | {name: other(name, golden) for name in OTHERS}


@pytest.fixture(scope="module")
def folders(exports: Path, golden: Path, command: Callable[..., None]) -> dict[str, Path]:
    """Converted folders. Each conversion would look at its own in a process; here one process looks at all."""
    made = {}
    for name in (*PADDED, *OTHERS):
        source, out = exports / f"published-{name}.safetensors", exports / f"fresh-{name}"
        if name in PADDED:
            reference = PADDED_GOLDENS[name]
            save_file({key: tensor.contiguous() for key, tensor in reference.weights(golden).items()}, source)
            told: tuple[str, ...] = (f"num_attention_heads={reference.sizes['num_attention_heads']}",)
        else:
            source, told = golden / OTHERS[name][0], OTHERS[name][1]
        words = ["--without-tokenizer"] if name in NOBODYS else []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["pretrain.exporting.export_model"], "verify", lambda *_: LATER)
            command("convert.py", "--family", name, source, "--out", out, *words, *(f"model.{one}" for one in told))
        made[name] = out
    return made


@pytest.fixture(scope="module")
def stock(folders: dict[str, Path], cases: dict[str, Case], exports: Path) -> dict[str, Tensor]:
    """Logits by stock transformers in a process without this project."""
    # HELM's causal golden has no positions, which GPT-2 cannot do without
    remote = {name: "auto_map" in json.loads((folder / "config.json").read_text()) for name, folder in folders.items()}
    jobs = {name: [str(folder), remote[name], name in CAUSAL] for name, folder in folders.items()}
    (exports / "golden-jobs.json").write_text(json.dumps(jobs))
    inputs = {}
    for name, (ids, mask, _) in cases.items():
        inputs |= {f"{name}.golden.input_ids": ids.contiguous(), f"{name}.golden.attention_mask": mask.contiguous()}
    save_file(inputs, exports / "golden-inputs.safetensors")
    files = [str(exports / f"golden-{name}") for name in ("jobs.json", "inputs.safetensors", "logits.safetensors")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", str(Path(__file__).with_name("stock.py")), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exports, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return load_file(exports / "golden-logits.safetensors")


@pytest.mark.parametrize("name", [*PADDED, *OTHERS])
def test_stock_transformers_give_the_logits_of_the_original_code(stock, cases, folders, name: str) -> None:
    _, mask, expected = cases[name]
    logits = stock[f"{name}.golden"]
    summed = expected.shape[-1] == 1
    found = logits.logsumexp(-1, keepdim=True) if summed else logits[..., : expected.shape[-1]]
    difference = (found - expected)[mask.bool()].abs().max().item()
    assert difference <= TOLERANCES.get(name, 2e-5), difference  # as the goldens state
    assert expected.std() > 0.01
    assert bool(list(folders[name].glob("tokenizer*"))) == (name not in NOBODYS)


def test_every_family_is_opened_here_or_in_the_test_of_the_first_ones() -> None:
    assert {*PADDED, *OTHERS, *GOLDEN, *BERT} == set(FAMILIES)
