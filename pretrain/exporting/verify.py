"""Proof that an exported folder is our model: stock transformers, in a fresh process, gives our ids and numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.form import Kind, class_of
from pretrain.families import Family, HuggingFaceForm
from pretrain.families.own_code import form_of
from pretrain.models import LanguageModel, ModelSettings, PackedBatch, side_inputs_of
from pretrain.tokenizers import Tokenizer

TOLERANCE = 2e-5  # largest absolute difference in float32
_FULL_SCALE = 10.0  # larger outputs have a larger rounding unit: beyond this the tolerance grows in proportion
_TIMEOUT_S = 900


@dataclass(frozen=True)
class Verification:
    """Largest absolute difference over a probe batch, the largest output in it, and the limit that held."""

    difference: float
    largest: float
    limit: float


@dataclass(frozen=True)
class Probe:
    """Texts, their ids by our tokenizer, and the places (row, column) that are masked before the model runs."""

    texts: list[str]
    ids: list[np.ndarray]
    masked: list[tuple[int, int]]


def verify(
    folder: Path,
    family: Family,
    settings: ModelSettings,
    state: Mapping[str, Tensor],
    tokenizer: Tokenizer | None,
    kind: Kind,
) -> Verification:
    """Compare a written folder with the state it was written from.

    Raises:
        PolymeraseError: it does not load, loads with tensors missing or left over, or differs beyond the tolerance.
    """
    probe = probe_of_ids(settings) if tokenizer is None else make_probe(tokenizer, settings.max_position_embeddings)
    found = _run_fresh(folder, form_of(family, settings), settings, probe, kind)
    ours = our_output(settings, state, tokenizer, probe, kind)
    difference = largest = 0.0
    for row, (ids, expected) in enumerate(zip(probe.ids, ours, strict=True)):
        real = found["attention_mask"][row].bool()
        if found["input_ids"][row][real].tolist() != ids.tolist():
            raise PolymeraseError(
                f"export failed: its tokenizer reads {(probe.texts or ['ids'])[row][:40]!r} differently from ours"
            )
        difference = max(difference, (found["output"][row][real] - expected).abs().max().item())
        largest = max(largest, expected.abs().max().item())
    limit = TOLERANCE * max(1.0, largest / _FULL_SCALE)
    if not difference <= limit:
        raise PolymeraseError(
            f"export failed: loaded by transformers, its output differs from the model's by {difference:.2e} "
            f"(limit {limit:.2e}); nothing was written"
        )
    return Verification(difference, largest, limit)


def make_probe(tokenizer: Tokenizer, max_tokens: int) -> Probe:
    """Build sequences of several lengths, with U, T, N and lower case among them.

    Every seventh token is masked, if there is a mask token.
    """
    rng = np.random.default_rng(20240317)
    longest = min(tokenizer.max_nucleotides(max_tokens), 90)
    lengths = [longest, max(longest // 2, 1), min(longest, 11), min(longest, tokenizer.min_nucleotides)]
    texts = ["".join(rng.choice(list("ACGU"), size=length)) for length in lengths]
    texts.append("".join(rng.choice(list("ACGTNacgu"), size=longest)))
    ids = [tokenizer.encode_text(text) for text in texts]
    masked = [
        (row, column)
        for row, tokens in enumerate(ids if tokenizer.mask_id >= 0 else [])
        for column in range(3, len(tokens) - 1, 7)
    ]
    return Probe(texts, ids, masked)


def probe_of_ids(settings: ModelSettings) -> Probe:
    """Build rows of ids of several lengths, for weights without a tokenizer; nothing is masked."""
    rng = np.random.default_rng(20240317)
    longest = min(settings.max_position_embeddings - 4, 90)
    lengths = [longest, max(longest // 2, 1), min(longest, 11), 1]
    usual = np.setdiff1d(np.arange(settings.vocab_size), [settings.pad_token_id, settings.mask_token_id])
    return Probe([], [rng.choice(usual, size=length).astype(np.int32) for length in lengths], [])


@torch.no_grad()
def our_output(
    settings: ModelSettings, state: Mapping[str, Tensor], tokenizer: Tokenizer | None, probe: Probe, kind: Kind
) -> list[Tensor]:
    """Return our model's output per probe sequence: logits (T, V), or hidden states (T, D) for an encoder export."""
    model = LanguageModel.build(settings).eval()
    model.load_state_dict(
        {name: tensor for name, tensor in state.items() if name.startswith(("encoder.", "mlm_head."))},
        strict=kind == "mlm",
    )
    ids = [tokens.copy() for tokens in probe.ids]
    for row, column in probe.masked:
        ids[row][column] = settings.mask_token_id
    flat = np.concatenate(ids)
    vocab = () if tokenizer is None else tokenizer.vocab
    side = {name: torch.from_numpy(fill(flat, None)) for name, fill in side_inputs_of(settings, vocab).items()}
    batch = PackedBatch.pack(torch.from_numpy(flat).long(), [len(tokens) for tokens in ids], side=side)
    hidden = model.encoder(batch).hidden
    output = model.logits(hidden) if kind == "mlm" else hidden
    return list(output.split([len(tokens) for tokens in ids]))


def _run_fresh(
    folder: Path, form: HuggingFaceForm, settings: ModelSettings, probe: Probe, kind: Kind
) -> dict[str, Tensor]:
    # an encoder that was trained without a pooler gets a random one from BertModel; its card says so
    may_be_new = ("pooler.",) if kind == "encoder" else ()
    # BertForMaskedLM has no place for the release's pooler, which AutoModel and classifiers read
    return run_fresh(
        folder, class_of(form, settings, kind)[1], probe, may_be_new, ("bert.pooler.",), settings.pad_token_id
    )


def run_fresh(
    folder: Path,
    auto_class: str,
    probe: Probe,
    may_be_new: tuple[str, ...] = (),
    may_be_left: tuple[str, ...] = (),
    pad_id: int = 0,
) -> dict[str, Tensor]:
    """Run a folder with stock transformers in a process of its own: token ids, attention mask and first output.

    Args:
        folder: an export.
        auto_class: class that loads it.
        probe: texts, or rows of ids.
        may_be_new: prefixes of tensors that the class may draw.
        may_be_left: prefixes of tensors that it may leave unread.
        pad_id: of rows of ids, for folders without a tokenizer.

    Raises:
        PolymeraseError: transformers cannot load it, or not all of it.
    """
    file, config = folder / "tokenizer_config.json", json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer_config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    task: dict[str, Any] = {
        "texts": probe.texts,
        "masked": probe.masked,
        "auto_class": auto_class,
        "remote_model": "auto_map" in config,
        "remote_tokenizer": tokenizer_config is not None and "auto_map" in tokenizer_config,
        "ids": None if tokenizer_config is not None else [row.tolist() for row in probe.ids],
        "pad_id": pad_id,
        "may_be_new": may_be_new,
        "may_be_left": may_be_left,
    }
    with tempfile.TemporaryDirectory() as scratch:
        probe_file, out_file = Path(scratch, "probe.json"), Path(scratch, "out.safetensors")
        probe_file.write_text(json.dumps(task), encoding="utf-8")
        environment = os.environ | {
            "HF_MODULES_CACHE": str(Path(scratch, "modules")),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        script = Path(__file__).with_name("fresh_process.py")
        command = [sys.executable, "-P", str(script), str(folder.resolve()), str(probe_file), str(out_file)]
        try:
            done = subprocess.run(
                command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise PolymeraseError(f"export failed: loading it took more than {_TIMEOUT_S} s") from None
        if done.returncode or not out_file.is_file():
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
            raise PolymeraseError(f"export failed: transformers cannot load it: {lines[-1] if lines else 'no output'}")
        return load_file(out_file)
