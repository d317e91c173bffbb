"""What is wrong with a file of a checkpoint, in one line instead of a traceback."""

import contextlib
import json
import os
import pathlib
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from talkjax.errors import UserError

REMEDY = "the checkpoint is damaged: export or import it again"
SHOWN_CHARACTERS = 160
# What numpy says of a file that is no .npz, or of a broken one.
NO_ARRAYS = (
    *(OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error),
    tokenize.TokenError,
)


def read_object(path: str | os.PathLike, *, remedy: str = REMEDY) -> dict[str, Any]:
    """A JSON object.

    Raises:
      UserError: if the file is missing, cannot be read or holds something else.
    """
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing, want a JSON object; {remedy}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({short(error)}), want an object; {remedy}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds a {type(found).__name__}, want a JSON object; {remedy}")
    return found


def check_keys(
    found: Any, wanted: dict[str, type], *, where: str | os.PathLike, remedy: str = REMEDY
) -> None:
    """Raises UserError unless it is an object that has these keys with such values."""
    if not isinstance(found, dict):
        raise UserError(f"{where}: holds a {type(found).__name__}, want a JSON object; {remedy}")
    for key, kind in wanted.items():
        if key not in found:
            there = ", ".join(sorted(found)) or "nothing"
            raise UserError(f"{where}: found {there}, want {key!r} too; {remedy}")
        if not isinstance(found[key], kind):
            given = short(repr(found[key]))
            raise UserError(f"{where}: {key!r} is {given}, want a {kind.__name__}; {remedy}")


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; no pickle in it is opened.

    Raises:
      UserError: if it is something else, or damaged.
    """
    try:
        with open(path, "rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except NO_ARRAYS as error:
        size = f"{os.path.getsize(path):,} bytes"
        raise UserError(
            f"{path}: found {size} that are no whole .npz ({short(error)}), want the arrays of the "
            f"nets; {REMEDY}"
        ) from error


@contextlib.contextmanager
def named(place: str | os.PathLike, *, remedy: str) -> Iterator[None]:
    """Turns what orbax says of a damaged step into a UserError that names it."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{place}: cannot be read ({short(error)}), want a whole checkpoint; {remedy}"
        ) from error


def short(said: Any) -> str:
    """The beginning of a message, on one line."""
    line = " ".join(str(said).split()) or type(said).__name__
    return line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "..."
