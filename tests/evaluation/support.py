"""Tiny models with random weights, and commands as a user types them."""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.families import find_family
from pretrain.families.custom import custom_family
from pretrain.families.published import published_model
from pretrain.models import ARCHITECTURES, LanguageModel
from pretrain.models.record import field_types
from pretrain.tokenizers import build_tokenizer
from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64,
}  # fmt: skip


def tiny(family_name: str, seed: int = 0) -> TrainedModel:
    """A model of a family whose weights are large enough to have opinions."""
    family = find_family(family_name)
    settings = family.resized(SIZES)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = published_model(settings)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return TrainedModel(
        f"tiny {family_name}", family, settings, build_tokenizer(family.tokenizer), network.eval(), True,
        torch.device("cpu"),
    )  # fmt: skip


CAUSAL = {
    "causal": True, "norm_placement": "pre", "final_norm": True,  # transformers
    "attention_layers": (1,), "embedding_dropout_prob": 0.0,
}  # fmt: skip


def tiny_causal(architecture: str, tokenizer_name: str = "rnaernie2", seed: int = 3, **changes) -> TrainedModel:
    """A causal model of an architecture, no family's, whose weights are large enough to have opinions."""
    tokenizer, kind = build_tokenizer(tokenizer_name), ARCHITECTURES[architecture].settings
    ids = {"pad_token_id": tokenizer.pad_id, "mask_token_id": tokenizer.mask_id}
    keys = SIZES | CAUSAL | ids | {"vocab_size": len(tokenizer.vocab)} | changes
    settings = kind(**{key: value for key, value in keys.items() if key in field_types(kind)})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LanguageModel.build(settings)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if not name.endswith("filter.poles"):  # outside the unit circle a wave grows without end
                    parameter.add_(0.2 * torch.randn_like(parameter))
    family = custom_family(settings, tokenizer_name, {})
    return TrainedModel("tiny causal", family, settings, tokenizer, network.eval(), True, torch.device("cpu"))


def logits_after(model: TrainedModel, ids: list[int]) -> torch.Tensor:
    """Of the token that follows a prefix, computed from the prefix alone."""
    with torch.no_grad():
        return model.network.logits(model.network.encoder(pack(model, np.array(ids), [len(ids)])).hidden[-1:])[0]


def launch(script: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python launch/SCRIPT ARGUMENTS``."""
    command = [sys.executable, str(ROOT / "launch" / script), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
    )


def in_process(script: str, *arguments: str | Path) -> tuple[int, str, str]:
    """The same without a process of its own: exit status, stdout, stderr. Starting torch anew takes seconds."""
    out, err = io.StringIO(), io.StringIO()
    spec = importlib.util.spec_from_file_location(f"launch_{Path(script).stem}", ROOT / "launch" / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with (
        patch.object(sys, "path", ["", *sys.path]),  # the script replaces the first entry
        patch.object(sys, "argv", [script, *map(str, arguments)]),
        patch.dict(os.environ, POLYMERASE_TRACEBACK="1"),  # what nobody foresaw fails the test with its traceback
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        spec.loader.exec_module(module)
        status = module.main()
    return status, out.getvalue(), err.getvalue()


def error_line(script: str, *arguments: str | Path) -> str:
    """The one line of a command that refuses its input."""
    status, out, err = in_process(script, *arguments)
    assert status == 2, (out, err)
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]
