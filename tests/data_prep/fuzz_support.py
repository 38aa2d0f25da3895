"""How long fuzz tests run: FUZZ_EXAMPLES=100000 makes a long run of them, `--hypothesis-seed N` another one."""

import os

from hypothesis import HealthCheck, settings

ASKED = os.environ.get("FUZZ_EXAMPLES")


def fuzz(usually: int) -> settings:
    """Settings of a test: `usually` examples, or the number asked for."""
    return settings(
        max_examples=int(ASKED or usually), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
