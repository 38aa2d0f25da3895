"""Instructions of our programs in bf16 on sm_90, as a warp issues them.

The gradient of scores is in bf16, the scores are in float32 or in float16, whichever takes more. ``reverse``: they are
rebuilt.

``tests/models/test_triton.py`` compiles the programs and holds them to these numbers.
"""

from __future__ import annotations

# attention as it is named in a ledger, heads of 64 -> instructions per tile of 64 x 64 pairs
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

# programs over rows of 768 values, exact GELU -> instructions per value
PER_VALUE: dict[str, float] = {
    "triton::sum_norm[]": 1.01,
    "triton::sum_norm[drop]": 1.84,
    "triton::sum_norm_backward[]": 1.12,
    "triton::sum_norm_backward[drop]": 1.67,
    "triton::sum_norm_backward[has_dsum]": 1.22,
    "triton::sum_norm_backward[has_dsum+drop]": 1.71,
    "triton::activate[]": 1.01,
    "triton::activate[drop]": 1.67,
    "triton::activate[gated]": 1.10,
    "triton::activate[gated+drop]": 1.76,
    "triton::activate_backward[]": 1.27,
    "triton::activate_backward[drop]": 1.77,
    "triton::activate_backward[gated]": 1.67,
    "triton::activate_backward[gated+drop]": 2.16,
}
