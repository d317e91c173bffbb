"""One heap for all threads: what the C library itself reports."""

import platform
import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, sys, threading
from talkjax.infer.heap import share_heap
if sys.argv[1] == "shared":
    assert share_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def work():
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stream = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(stream))
libc.fflush(ctypes.c_void_p(stream))
"""


def heaps(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_HEAPS, mode], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of glibc")
def test_threads_share_one_heap_where_they_would_have_one_each():
    assert heaps("own") > 1
    assert heaps("shared") == 1
