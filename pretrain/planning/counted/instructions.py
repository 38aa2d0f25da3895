"""Instructions of our attention programs in bf16 with heads of 64, per warp and tile of 64 x 64 pairs, on sm_90.

``tests/models/test_triton.py`` compiles the programs and holds them to these numbers.
"""

from __future__ import annotations

# as they are named in a ledger -> instructions in the loop over tiles
INSTRUCTIONS: dict[str, int] = {
    "triton::forward[]": 587,
    "triton::forward[drop]": 1068,
    "triton::forward[has_before]": 1000,
    "triton::forward[has_before+drop]": 1460,
    "triton::backward_queries[]": 532,
    "triton::backward_queries[drop]": 1145,
    "triton::backward_queries[has_scores]": 1065,
    "triton::backward_queries[has_scores+drop]": 1678,
    "triton::backward_keys[]": 626,
    "triton::backward_keys[drop]": 1413,
    "triton::backward_keys[has_scores]": 986,
    "triton::backward_keys[has_scores+drop]": 1773,
    "triton::add_product[]": 444,
}
