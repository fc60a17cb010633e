"""How the C library keeps memory that was given back: large blocks are to go back to the system at once."""

from __future__ import annotations

import contextlib
import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in glibc's malloc.h
_LARGE_BYTES = 1024 * 1024


def give_back_large_blocks() -> None:
    """Have blocks of 1 MiB and more taken from the system one by one, and given back to it one by one.

    By itself, glibc raises that size to that of the largest block which was ever freed. Pictures and their signed
    copies then come from heaps, one for each thread, which grow by some 30 MB and never shrink. Another C library has
    no such setting, and does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
