"""How a rank of a test ends: by its own status, past the interpreter's shutdown."""

import os
import sys
import traceback
from collections.abc import Callable


def leave_after(main: Callable[[], None]) -> None:
    """Run, show what went wrong, and end; gloo's threads now and then abort a normal shutdown."""
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
