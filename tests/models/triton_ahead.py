"""Compiles every Triton program for an H100 or H200, which needs no GPU; run by test_triton.py."""

from itertools import product

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pretrain.models.transformer.kernels import triton_programs

HOPPER = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 227 * 1024  # bytes that a program can have there
PROGRAMS = ("forward", "add_product", "backward_queries", "backward_keys")
FLAGS = {  # what a run compiles: scores that are handed on, or a bias that the kernel works out
    "recurrent": {"HAS_BEFORE", "WRITE", "DROP", "HAS_SCORES", "HAS_GRAD"},
    "biased": {"DROP", "SLOPED", "CAUSAL"},
}
TYPES = {
    **dict.fromkeys(("programs", "sequences", "heads", "size"), "i32"),
    **dict.fromkeys(("LSE", "DELTA", "SCORES", "GRAD", "BEFORE", "AFTER", "SLOPES"), "*fp32"),
    **dict.fromkeys(("TILES", "SPANS"), "*i64"),
    **dict.fromkeys(("scale", "rate"), "fp32"),
    "seed": "i64",
}


def compile_program(name: str, tokens: str, flags: set[str]) -> int:
    """Shared memory in bytes of a program on tokens of a dtype, heads of 64 values, tiles of 64."""
    program = getattr(triton_programs, name)
    constants = {flag: flag in flags for flag in set.union(*FLAGS.values())} | {"SIZE": 64, "TILE": 64}
    constants["PRECISION"] = "ieee" if tokens == "*fp32" else "tf32"
    constants = {name: value for name, value in constants.items() if name in program.arg_names}
    types = {name: "constexpr" if name in constants else TYPES.get(name, tokens) for name in program.arg_names}
    options = {"num_stages": 2 if name.startswith("backward") else 3}
    compiled = triton.compile(ASTSource(program, types, constexprs=constants), target=HOPPER, options=options)
    assert compiled.asm["cubin"]
    return compiled.metadata.shared


if __name__ == "__main__":
    for program, tokens, use in product(PROGRAMS, ("*bf16", "*fp32"), FLAGS):
        if program == "add_product" and use == "biased":
            continue
        shared = compile_program(program, tokens, FLAGS[use])
        assert shared <= SHARED_MEMORY, f"{use} {program} on {tokens}: {shared} bytes of shared memory"
        print(f"{use} {program} {tokens}: {shared} bytes of shared memory")
