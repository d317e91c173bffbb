"""The heap of a process that streams frames: what is freed is used again, not kept beside."""

import ctypes
import platform

# mallopt(3), malloc.h: the greatest number of arenas.
_M_ARENA_MAX = -8
ARENAS = 1


def share_heap() -> bool:
    """Lets all threads of the process share one heap; call it before threads start.

    glibc gives each thread a heap of its own, up to eight for each core, and frames that one
    thread makes and another frees leave holes in all of them, more the longer it runs: a fifth more
    memory for the same video, and no faster (`benchmarks/README.md`).

    Returns:
      Whether the C library took it; one that is not glibc has no such option and is left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS) == 1
