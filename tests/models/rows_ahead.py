"""Compiles the programs over rows for GPUs that are not there; run by test_triton.py, see ``triton_ahead``.

    python -m tests.models.rows_ahead [80 90 ...]

Prints one JSON object per program; instructions are of a warp, per value.
"""

import json
import sys
from itertools import product

from pretrain.models.transformer.kernels import rows, triton_rows
from tests.models.triton_ahead import DTYPES, assembled, look

FLAGS = {
    "sum_norm": ["DROP"],
    "sum_norm_backward": ["HAS_DSUM", "DROP"],
    "activate": ["GATED", "DROP"],
    "activate_backward": ["GATED", "DROP"],
}
WIDTHS = (768, 2560)  # of the base models, and the widest of the recipes
KNOWN = {
    **dict.fromkeys(("tokens", "width", "strip", "values", "threshold"), "i32"),
    **dict.fromkeys(("STATISTICS", "SUMS"), "*fp32"),
    **dict.fromkeys(("keep", "eps"), "fp32"),
    "seed": "i64",
}


def compiled(name: str, tokens: str, flags: list[str], width: int, capability: int):
    """A program over rows of so many values, of a layer norm or with GELU."""
    constants: dict = {flag: flag in flags for flag in ("HAS_DSUM", "DROP", "GATED")}
    constants |= {"CENTERED": True, "HAS_BIAS": True, "ACT": "gelu", "BLOCK": rows.BLOCK, "COLUMNS": rows.COLUMNS}
    constants |= rows.tile_of(width)
    options = {"num_warps": constants.pop("num_warps")}
    if name.startswith("activate"):
        constants["ROWS"], options = rows.ROWS, {}
    return assembled(getattr(triton_rows, name), constants, KNOWN, tokens, capability, options)


def main() -> None:
    for capability, name, tokens, width in product(map(int, sys.argv[1:] or ["80", "90"]), FLAGS, DTYPES, WIDTHS):
        if name.startswith("activate") and width != WIDTHS[0]:
            continue  # these have columns of one width
        estimated = (capability, tokens, width) == (90, "*bf16", WIDTHS[0])  # so each combination of flags
        for chosen in product((False, True) if estimated else (True,), repeat=len(FLAGS[name])):
            flags = [flag for flag, use in zip(FLAGS[name], chosen, strict=True) if use]
            made = compiled(name, tokens, flags, width, capability)
            found: dict = look(made.asm["cubin"], made.metadata.shared)
            held = {"activate": rows.BLOCK, "activate_backward": rows.ROWS * rows.COLUMNS}
            values = held.get(name) or rows.tile_of(width)["ROWS"] * width
            found["instructions"] *= made.metadata.num_warps / values
            keys = {"capability": capability, "name": name, "tokens": tokens, "width": width}
            print(json.dumps({**keys, "use": "+".join(flags).lower(), **found}), flush=True)


if __name__ == "__main__":
    main()
