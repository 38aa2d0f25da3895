"""How long a test waits for something that must happen. It catches a hang, never slowness.

A busy machine is no failure: the slowest thing that is waited for takes two minutes on a quiet one.
"""

HANG_S = 1800
