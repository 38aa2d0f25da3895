"""Instructions of our attention programs in bf16 with heads of 64, per warp and tile of 64 x 64 pairs, on sm_90.

The gradient of scores is in bf16, the scores are in float32 or in float16, whichever takes more. ``reverse``: they are
rebuilt.

``tests/models/test_triton.py`` compiles the programs and holds them to these numbers.
"""

from __future__ import annotations

# as they are named in a ledger -> instructions in the loop over tiles
INSTRUCTIONS: dict[str, int] = {
    "triton::forward[]": 399,
    "triton::forward[drop]": 672,
    "triton::forward[has_before]": 616,
    "triton::forward[has_before+drop]": 891,
    "triton::backward_queries[]": 353,
    "triton::backward_queries[drop]": 625,
    "triton::backward_queries[has_scores]": 533,
    "triton::backward_queries[has_scores+drop]": 809,
    "triton::backward_keys[]": 420,
    "triton::backward_keys[drop]": 987,
    "triton::backward_keys[has_scores]": 482,
    "triton::backward_keys[has_scores+drop]": 846,
    "triton::backward_keys[has_scores+reverse]": 658,
    "triton::backward_keys[has_scores+reverse+drop]": 978,
}
