"""How freed memory is kept for the next record, picture and batch."""

import ctypes
import functools
import platform

# From <malloc.h> of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
MMAP_THRESHOLD_BYTES = 32 * 2**20
TRIM_THRESHOLD_BYTES = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Has glibc keep up to 64 MiB of freed memory instead of giving it back at once.

    A window takes and frees a few MB, and as delivered glibc gives the pages back each time: they
    then come again, zeroed, through hundreds of page faults a window. These are the thresholds
    that glibc arrives at by itself in a process that has once freed an array of 32 MiB.

    Returns:
      Whether it was done; where there is no glibc, nothing is.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        and mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    )
