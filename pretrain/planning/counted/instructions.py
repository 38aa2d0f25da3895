"""Instructions of our attention programs in bf16 with heads of 64, per warp and tile of 64 x 64 pairs, on sm_90.

``tests/models/test_triton.py`` compiles the programs and holds them to these numbers.
"""

from __future__ import annotations

# as they are named in a ledger -> instructions in the loop over tiles
INSTRUCTIONS: dict[str, int] = {
    "triton::forward[]": 399,
    "triton::forward[drop]": 672,
    "triton::forward[has_before]": 940,
    "triton::forward[has_before+drop]": 1212,
    "triton::backward_queries[]": 353,
    "triton::backward_queries[drop]": 625,
    "triton::backward_queries[has_scores]": 990,
    "triton::backward_queries[has_scores+drop]": 1262,
    "triton::backward_keys[]": 420,
    "triton::backward_keys[drop]": 987,
    "triton::backward_keys[has_scores]": 1391,
    "triton::backward_keys[has_scores+drop]": 1958,
}
