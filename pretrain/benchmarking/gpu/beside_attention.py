"""What of a layer lies beside attention: against its formula in float64, and beside the same in torch's operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.benchmarking.gpu.bench import Bench
from pretrain.models.transformer.kernels.rows import row_programs
from pretrain.models.transformer.mlp import Mlp
from pretrain.models.transformer.norms import NORMS
from pretrain.models.transformer.settings import TransformerSettings

# relative distance of all values together; torch's layer norm on a CPU sums up its bias's gradient in bf16 (2.5e-2)
WRONG = {torch.float32: 1e-5, torch.bfloat16: 4e-2}
EPS = 1e-5
Formula = Callable[[nn.Module, Tensor, Tensor], Tensor]


def run_beside_attention(bench: Bench) -> None:
    """Norms behind a sum and MLPs: right or not, then milliseconds forwards and backwards."""
    by = "programs" if row_programs(bench.device) is not None else "torch's operations"
    width, inner = bench.sizes([768, 3072], [32, 64])
    for name, module, ours, formula in _cases(width, inner):
        module = module.to(bench.device)
        for dtype, limit in WRONG.items():
            found, exact = (
                _outcome(run, copy.deepcopy(module).to(dtype).to(as_dtype), _inputs(bench, 300, width, dtype, as_dtype))
                for run, as_dtype in ((ours, dtype), (formula, torch.float64))
            )
            distances = [
                float((one.double() - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True)
            ]
            verdict = "right" if max(distances) < limit else "WRONG"
            where = f"{name} {str(dtype).removeprefix('torch.')}"
            bench.note(where, {"distances": distances, "verdict": verdict, "by": by})
            bench.say(f"{where}: {verdict}, at most {max(distances):.1e} from the formula, by {by}")
        half = module.to(torch.bfloat16)
        x, y = _inputs(bench, bench.sizes([32768], [48])[0], width, torch.bfloat16, torch.bfloat16)
        for form, run in (("ours", ours), ("torch", formula)):
            output, leaves = run(half, x, y), [x, *half.parameters()]
            forward = bench.time(partial(run, half, x, y), seconds=2)
            above = torch.ones_like(output)
            backward = bench.time(
                partial(torch.autograd.grad, output, leaves, above, retain_graph=True, allow_unused=True), seconds=2
            )
            bench.note(f"{name}, {form}", {"forward_ms": forward.ms, "backward_ms": backward.ms})
            bench.say(f"{name}, {form}: forward {forward.ms:.3f} ms, backward {backward.ms:.3f} ms")
        bench.free()


def _cases(width: int, inner: int) -> list[tuple[str, nn.Module, Formula, Formula]]:
    """Name, module, ours, and the formula of each."""
    cases: list[tuple[str, nn.Module, Formula, Formula]] = []
    for kind, norm in NORMS.items():

        def summed(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            normed: Tensor = module(x, y, None, 0.0)[0]
            return normed

        def formula(module: nn.Module, x: Tensor, y: Tensor, kind: str = kind) -> Tensor:
            return NORMS[kind].formula(x + y, module.weight, module.bias, EPS)  # type: ignore[arg-type]

        cases.append((f"{kind} norm behind a sum", norm.behind_sum(width, EPS), summed, formula))
    mlps: tuple[Literal["gelu", "swiglu"], ...] = ("gelu", "swiglu")
    for mlp in mlps:
        sizes = TransformerSettings(
            8, width, 1, 8, inner, 16, pad_token_id=0, mask_token_id=1, mlp=mlp, hidden_dropout_prob=0.0
        )
        cases.append((f"MLP {mlp}", Mlp(sizes), lambda module, x, _: module(x)[0], _plain_mlp))
    return cases


def _plain_mlp(mlp: nn.Module, x: Tensor, _: Tensor) -> Tensor:
    assert isinstance(mlp, Mlp)
    inner = F.gelu(mlp.up(x)) if mlp.gate is None else F.silu(mlp.gate(x)) * mlp.up(x)
    return F.linear(inner, mlp.down.weight, mlp.down.bias)


def _inputs(bench: Bench, tokens: int, width: int, dtype: torch.dtype, as_dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two tensors of a dtype, whose values stay when they become another."""
    random = torch.Generator().manual_seed(0)
    x, y = (torch.randn(tokens, width, generator=random).to(bench.device, dtype) for _ in range(2))
    return x.to(as_dtype).requires_grad_(), y.to(as_dtype).requires_grad_()


def _outcome(run: Formula, module: nn.Module, inputs: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Output, and gradients of input and parameters."""
    output = run(module, *inputs)
    above = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).bfloat16()  # any dtype holds it
    grads = torch.autograd.grad(output, [inputs[0], *module.parameters()], above.to(output.device, output.dtype))
    return [output.detach(), *grads]
