"""Compiles every Triton program for GPUs that are not there, and reads what the assembler made; run by test_triton.py.

    python -m tests.models.triton_ahead [80 90 ...]

Prints one JSON object per program: registers and stack per thread, shared memory, instructions in the loop over tiles.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pretrain.models.transformer.kernels import triton_programs
from pretrain.models.transformer.kernels.triton_kernel import TILES, launch_options

ATTENTION, ALONE = ("forward", "backward_queries", "backward_keys"), ("delta", "class_scores", "class_sums")
_RECURRENT = {"HAS_BEFORE", "WRITE", "DROP", "HAS_SCORES", "HAS_GRAD", "ADD"}
FLAGS = {  # what a run compiles: scores that are handed on, nothing, or a bias that the kernel works out
    "recurrent": _RECURRENT | {"REVERSE"},
    "stored": _RECURRENT,
    "stored in float16": _RECURRENT,
    "dropout": {"DROP"},
    "biased": {"DROP", "SLOPED", "CAUSAL"},
}
SCORES = ("SCORES", "BEFORE", "AFTER")
DTYPES = {"*bf16": torch.bfloat16, "*fp32": torch.float32}
TYPES = {
    **dict.fromkeys(("programs", "sequences", "heads", "size", "threshold", "rows"), "i32"),
    **dict.fromkeys(("LSE", "DELTA", *SCORES, "SLOPES", "TABLE"), "*fp32"),
    **dict.fromkeys(("TILES", "SPANS"), "*i64"),
    **dict.fromkeys(("scale", "keep"), "fp32"),
    "seed": "i64",
    "CLASSES": "*u8",
}
BIN = Path(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", "cuobjdump")


def compiled(name: str, tokens: str, use: str, capability: int):
    """A program on tokens of a dtype with heads of 64 values, with what the JIT knows of pointers and sizes."""
    tile = TILES[DTYPES[tokens]]
    options = launch_options(name, DTYPES[tokens], "HAS_SCORES" in FLAGS[use], tile) if name in ATTENTION else {}
    constants = {flag: flag in FLAGS[use] for flag in set.union(*FLAGS.values())}
    constants |= {"SIZE": 64, "TILE": tile, "PRECISION": "ieee" if tokens == "*fp32" else "tf32"}
    constants |= {"STEP": options.pop("STEP", 0), "COUNT": 6 if name == "class_scores" else 16}
    known = TYPES | (dict.fromkeys(SCORES, "*fp16") if use == "stored in float16" else {})
    if name.startswith("class"):
        known = {**TYPES, "OUT": "*fp16" if name == "class_scores" else "*fp32"}
    return assembled(getattr(triton_programs, name), constants, known, tokens, capability, options)


def assembled(program, constants: dict, known: dict[str, str], tokens: str, capability: int, options: dict):
    """A program with its constants; pointers to tokens have one dtype, the others that which is known."""
    constants = {name: value for name, value in constants.items() if name in program.arg_names}
    types = {name: "constexpr" if name in constants else known.get(name, tokens) for name in program.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(program.arg_names)
        if types[name].startswith("*") or name in ("size", "width", "values")
    }
    source = ASTSource(program, types, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def longest_loop(assembly: str) -> int:
    """Instructions of the longest loop."""
    found = re.findall(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", assembly, re.MULTILINE)
    place = {int(address, 16): number for number, (address, _) in enumerate(found)}
    longest = 0
    for number, (address, text) in enumerate(found):
        jump = re.search(r"BRA.*?0x([0-9a-f]+)", text)
        if jump and (target := int(jump[1], 16)) < int(address, 16) and target in place:
            longest = max(longest, number - place[target] + 1)
    return longest


def look(binary: bytes, shared: int) -> dict[str, int]:
    """What the assembler made of a program; its instructions are those of the longest loop, or all."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        said, assembly = (
            subprocess.run([BIN, option, file.name], capture_output=True, text=True, check=True).stdout
            for option in ("--dump-resource-usage", "-sass")
        )
    numbers = re.search(r"REG:(\d+) STACK:(\d+)", said)
    assert numbers is not None, said
    return {
        "registers": int(numbers[1]),
        "stack": int(numbers[2]),
        "shared": shared,
        "instructions": longest_loop(assembly) or len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/", assembly, re.MULTILINE)),
    }


def main() -> None:
    for capability in map(int, sys.argv[1:] or ["80", "90"]):
        cases = [*product(ATTENTION, DTYPES, FLAGS), *product(ALONE, DTYPES, ["dropout"])]
        for name, tokens, use in cases:
            if tokens == "*fp32" and use.startswith("stored"):
                continue  # "recurrent" does more
            made = compiled(name, tokens, use, capability)
            found = look(made.asm["cubin"], made.metadata.shared)
            if name == "backward_keys":  # per tile of as many queries as keys
                tile = TILES[DTYPES[tokens]]
                options = launch_options(name, DTYPES[tokens], "HAS_SCORES" in FLAGS[use], tile)
                found["instructions"] *= tile // options["STEP"]
            print(
                json.dumps({"capability": capability, "name": name, "tokens": tokens, "use": use, **found}), flush=True
            )


if __name__ == "__main__":
    main()
