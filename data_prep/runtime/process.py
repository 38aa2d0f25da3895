"""Settings of a process that makes millions of rows and arrays of a few megabytes, over and over."""

import ctypes
import gc

OBJECTS_BETWEEN_COLLECTIONS = 100_000  # of stages hardly one is in a cycle; Python's 700 costs them 4 %
KEPT_BYTES = 64 << 20  # of memory that was freed
OWN_MAPPING_BYTES = 16 << 20  # arrays above go back to the system at once
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


def tune_process() -> None:
    """Look for cycles of garbage less often, and keep a little memory that was freed.

    glibc gives the memory of an array back when it is freed and asks for it again for the next one: every page costs a
    fault, a third of the time of reading a VCF without samples. Without mallopt (musl, macOS) memory is as it was.
    Both settings hold until the process ends.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)
