"""Compiled functions, kept on disk for as long as all their sources stay as they are.

numba's own cache looks at the file of the function alone: a function that calls one of another file
goes on as before when that file changes. So each state of the sources has a folder of its own.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numba

# The modules that hold compiled functions.
SOURCES = ("bake", "paint", "raster", "shade")


def cache_folder(here: Path) -> Path:
    """Where the functions compiled from the sources in `here` are kept."""
    code = b"".join((here / f"{name}.py").read_bytes() for name in SOURCES)
    return here / "__pycache__" / f"numba-{hashlib.sha256(code).hexdigest()[:16]}"


def njit(function: Callable) -> Callable:
    """`numba.njit` with that cache; another place is numba's choice where it cannot be written."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER)
    try:
        return numba.njit(cache=True)(function)
    finally:
        numba.config.CACHE_DIR = before


_FOLDER = cache_folder(Path(__file__).parent)
