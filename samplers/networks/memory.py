"""How the C library treats memory that a step frees, which the next step asks for again."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT = 1 << 30  # bytes that may lie free at the end of the heap
LARGEST = 32 << 20  # bytes of a block; glibc allows no more


def keep_freed_memory() -> None:
    """Let freed blocks stay with the process; blocks above 32 MiB go back all the same.

    glibc returns large ones to the system, which clears every page that is asked for anew: at 8192
    codes a step then spends as long on pages as on its softmax. Nothing happens without glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
