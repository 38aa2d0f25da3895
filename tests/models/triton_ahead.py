"""Compiles every Triton program for an H100 or H200, which needs no GPU; run by test_triton.py."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pretrain.models.transformer.kernels import triton_programs

HOPPER = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 227 * 1024  # bytes that a program can have there
PROGRAMS = ("forward", "add_product", "backward_queries", "backward_keys")
FLAGS = ("HAS_BEFORE", "WRITE", "DROP", "HAS_SCORES", "HAS_GRAD")
TYPES = {
    **dict.fromkeys(("programs", "sequences", "heads", "size"), "i32"),
    **dict.fromkeys(("LSE", "DELTA", "SCORES", "GRAD", "BEFORE", "AFTER"), "*fp32"),
    **dict.fromkeys(("TILES", "SPANS"), "*i64"),
    **dict.fromkeys(("scale", "rate"), "fp32"),
    "seed": "i64",
}


def compile_program(name: str, tokens: str) -> int:
    """Shared memory in bytes of a program on tokens of a dtype, heads of 64 values, tiles of 64."""
    program = getattr(triton_programs, name)
    constants = {**dict.fromkeys(FLAGS, True), "SIZE": 64, "TILE": 64}
    constants["PRECISION"] = "ieee" if tokens == "*fp32" else "tf32"
    constants = {name: value for name, value in constants.items() if name in program.arg_names}
    types = {name: "constexpr" if name in constants else TYPES.get(name, tokens) for name in program.arg_names}
    options = {"num_stages": 2 if name.startswith("backward") else 3}
    compiled = triton.compile(ASTSource(program, types, constexprs=constants), target=HOPPER, options=options)
    assert compiled.asm["cubin"]
    return compiled.metadata.shared


if __name__ == "__main__":
    for program in PROGRAMS:
        for tokens in ("*bf16", "*fp32"):
            shared = compile_program(program, tokens)
            assert shared <= SHARED_MEMORY, f"{program} on {tokens}: {shared} bytes of shared memory"
            print(f"{program} {tokens}: {shared} bytes of shared memory")
