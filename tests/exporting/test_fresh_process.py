"""Released weights, converted on the command line and opened by stock transformers alone, give the release's logits.

Oracles: outputs of the original code where there are any (ERNIE-RNA, UTR-LM, MutBERT), of an independent port
(RNAErnie), and formulas in float64 on the released tensors (the BERT families).
"""

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
from pretrain.tokenizers import build_tokenizer
from tests.exporting import plain_bert
from tests.recipes.continued import random_release

Cases = dict[str, tuple[Tensor, Tensor, Tensor]]  # name -> inputs (B, T[, V]), attention mask (B, T), logits (B, T, V)


def ernie_rna(golden: Path) -> Cases:
    inputs, outputs = (load_file(golden / "ernie_rna" / f"{name}.safetensors") for name in ("inputs", "outputs"))
    cases = ("single", "padded", "masked", "gapped")
    ids = {name: inputs[f"{name}.input_ids"] for name in cases}
    return {name: (ids[name], (ids[name] != 1).long(), outputs[f"{name}.logits"]) for name in cases}


def rnaernie(golden: Path) -> Cases:
    inputs, expected = (np.load(golden / "rnaernie" / "tiny_rnaernie" / f"{n}.npz") for n in ("inputs", "expected"))
    arrays = (inputs["input_ids"], inputs["attention_mask"], expected["logits"])
    return {"padded": tuple(map(torch.from_numpy, arrays))}


def utr_lm(golden: Path) -> Cases:
    found = load_file(golden / "utr_lm" / "forward.safetensors")
    ids = {"masked": found["masked_tokens"], "unmasked": found["tokens"], "single": found["single.masked_tokens"]}
    return {name: (row, (row != 0).long(), found[f"{name}.logits_mlm"]) for name, row in ids.items()}


def mutbert(golden: Path) -> Cases:
    found = load_file(golden / "mutbert" / "model_cases.safetensors")
    ids = found["A.input_ids"]
    return {
        "ids": (ids, torch.ones_like(ids), found["A.logits"]),
        "rows": (found["B.input"], found["B.attention_mask"], found["B.logits"]),
    }


GOLDEN: dict[str, tuple[str, Callable[[Path], Cases], float]] = {  # family -> fixture, cases, tolerance
    "ernie_rna": ("ernie", ernie_rna, 5e-5),
    "rnaernie": ("rnaernie", rnaernie, 2e-5),
    "utr_lm": ("utr_lm", utr_lm, 2e-5),
    "mutbert": ("mutbert", mutbert, 1e-4),
}
# family -> times that upstream adds its output bias
BERT = {"rnaernie2": 1} | {f"{kind}_{k}mer": 2 for kind in ("utrbert", "dnabert") for k in (3, 4, 5, 6)}
LATER = Verification(0.0, 1.0, 5e-5)  # what a conversion would find itself


@pytest.fixture(scope="session")
def bert_cases(exports: Path, command: Callable[..., None], golden: Path, utrbert_upstream: Path) -> dict[str, Cases]:
    """Converts the BERT families from random weights in their released layout; as 3UTRBERT's 4-mers are already."""
    cases: dict[str, Cases] = {}
    for name, biases in BERT.items():
        released = utrbert_upstream
        if name != "utrbert_4mer":  # that one is there already
            (exports / f"released-{name}").mkdir()
            released = random_release(name)(golden, exports / f"released-{name}")
            with pytest.MonkeyPatch.context() as patch:  # one process looks at all of them below
                patch.setattr(sys.modules["pretrain.exporting.export_model"], "verify", lambda *_: LATER)
                command(
                    "convert.py", "--family", name, released, "--out", exports / name, "model.num_attention_heads=3"
                )
        ids = torch.from_numpy(build_tokenizer(name).encode_text("ACGUNACGGAUUAGCCAUACG")).long()
        ids[5] = FAMILIES[name].settings.mask_token_id
        eps = FAMILIES[name].settings.layer_norm_eps
        tensors = torch.load(released, weights_only=True)
        logits = plain_bert.logits(tensors, ids, layers=2, heads=3, eps=eps, biases=biases)
        cases[name] = {"row": (ids[None], torch.ones_like(ids)[None], logits[None])}
    return cases


@pytest.fixture(scope="session")
def stock(exports: Path, bert_cases: dict[str, Cases], golden: Path, request) -> dict[str, tuple[Tensor, Tensor]]:
    """``family.case`` -> logits by stock transformers, and those of the oracle, at real tokens."""
    folders = {name: request.getfixturevalue(fixture) for name, (fixture, _, _) in GOLDEN.items()}
    folders |= {name: exports / name for name in BERT} | {"utrbert_4mer": request.getfixturevalue("utrbert")}
    cases = bert_cases | {name: read(golden) for name, (_, read, _) in GOLDEN.items()}
    jobs = {name: [str(at), FAMILIES[name].hugging_face.kind == "remote", False] for name, at in folders.items()}
    (exports / "jobs.json").write_text(json.dumps(jobs))
    inputs = {}
    for name, found in cases.items():
        for case, (given, mask, _) in found.items():
            inputs |= {f"{name}.{case}.input_ids": given, f"{name}.{case}.attention_mask": mask}
    save_file(inputs, exports / "inputs.safetensors")
    files = [str(exports / name) for name in ("jobs.json", "inputs.safetensors", "logits.safetensors")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", str(Path(__file__).with_name("stock.py")), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exports, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    logits = load_file(exports / "logits.safetensors")
    return {
        f"{name}.{case}": (logits[f"{name}.{case}"][mask.bool()], expected[mask.bool()])
        for name, found in cases.items()
        for case, (_, mask, expected) in found.items()
    }


@pytest.mark.parametrize("name", [*GOLDEN, *BERT])
def test_stock_transformers_alone_give_the_logits_of_the_release(stock, name: str) -> None:
    tolerance = GOLDEN[name][2] if name in GOLDEN else 5e-5
    compared = {case: pair for case, pair in stock.items() if case.startswith(f"{name}.")}
    assert compared
    for case, (found, expected) in compared.items():
        assert (found - expected).abs().max().item() <= tolerance, case
        assert expected.std() > 0.1
