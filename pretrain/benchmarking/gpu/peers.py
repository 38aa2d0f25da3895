"""What a user would run instead, in the same process: transformers' BERT, and the eager twin of ERNIE-RNA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.benchmarking.contestants import hugging_face_model
from pretrain.benchmarking.gpu.bench import Bench
from pretrain.benchmarking.gpu.models import ragged, report, tiny_words
from pretrain.config import load_config
from pretrain.training.initial_weights import settings_of


def run_peers(bench: Bench) -> None:
    """Padded, padded and compiled, unpadded in one long row; then the twin."""
    full, mixed = bench.sizes([512] * 64, [24] * 2), ragged(200 if bench.tiny else 32768)
    for name, lengths in (("full", full), ("ragged", mixed)):
        _padded(bench, f"transformers' BERT padded, {name}", "rnaernie2.yaml", lengths)
    _padded(bench, "transformers' BERT padded, compiled, full", "rnaernie2.yaml", full, compiles=True)
    for name, lengths in (("full", full), ("ragged", mixed)):
        _unpadded(bench, f"transformers' BERT unpadded, no attention dropout, {name}", lengths)
    _padded(bench, "ERNIE-RNA's eager twin", "ernie.yaml", bench.sizes([1024] * 32, [24] * 2))


def _made(bench: Bench, recipe: str) -> tuple[nn.Module, Any, Any]:
    config = load_config(recipe, list(tiny_words(recipe)) if bench.tiny else [])
    family, settings, _ = settings_of(config)
    torch.manual_seed(0)
    model = hugging_face_model(family, settings).to(bench.device, torch.bfloat16).train()
    return model, family, settings


def _step(model: nn.Module, **inputs: Tensor) -> Any:
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _padded(bench: Bench, name: str, recipe: str, lengths: Sequence[int], compiles: bool = False) -> None:
    try:
        model, _, settings = _made(bench, recipe)
        ids, real = _ids(bench, len(lengths), max(lengths)), _real(bench, lengths)
        chosen = (torch.rand(ids.shape, device=bench.device) < 0.15) & real
        inputs = {"input_ids": ids, "labels": torch.where(chosen, ids, -100), "attention_mask": real.long()}
        if recipe == "ernie.yaml":
            inputs["selected_positions"] = chosen
        if compiles and bench.on_gpu:
            model.forward = torch.compile(model.forward)  # type: ignore[method-assign]
        report(bench, name, settings, lengths, bench.time(_step(model, **inputs), rounds=6, seconds=8))
    except torch.OutOfMemoryError:
        bench.note(name, "out of memory")
        bench.say(f"{name}: out of memory")
    bench.free()


def _unpadded(bench: Bench, name: str, lengths: Sequence[int]) -> None:
    """All sequences in one row; attention inside each of them, by torch's kernel for packed sequences."""
    import transformers
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    sizes = torch.tensor(lengths)
    bounds = F.pad(sizes.cumsum(0), (1, 0)).to(bench.device, torch.int32)

    def packed(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (N, H, h)
        return _inside(q, k, v, bounds, list(lengths))[None], None

    transformers.AttentionInterface.register("packed", packed)
    ALL_MASK_ATTENTION_FUNCTIONS.register("packed", lambda *_, **__: None)
    model, _, settings = _made(bench, "rnaernie2.yaml")
    model.set_attn_implementation("packed")  # type: ignore[operator]
    ids = _ids(bench, 1, sum(lengths))
    places = torch.cat([torch.arange(length) for length in lengths])[None].to(bench.device)
    labels = torch.where(torch.rand(ids.shape, device=bench.device) < 0.15, ids, -100)
    step = _step(model, input_ids=ids, position_ids=places, labels=labels)
    report(bench, name, settings, lengths, bench.time(step, rounds=6, seconds=8))
    bench.free()


def _inside(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, lengths: list[int]) -> Tensor:
    if q.device.type == "cuda":
        from torch.nn.attention.varlen import varlen_attn

        output = varlen_attn(q, k, v, bounds, bounds, max(lengths), max(lengths))
        assert isinstance(output, Tensor)
        return output
    parts = zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
    blocks = [F.scaled_dot_product_attention(*(x.transpose(0, 1)[None] for x in part))[0] for part in parts]
    return torch.cat([block.transpose(0, 1) for block in blocks])


def _ids(bench: Bench, rows: int, columns: int) -> Tensor:
    return torch.randint(5, 10, (rows, columns), device=bench.device)


def _real(bench: Bench, lengths: Sequence[int]) -> Tensor:
    sizes = torch.tensor(lengths, device=bench.device)
    return torch.arange(max(lengths), device=bench.device) < sizes[:, None]
