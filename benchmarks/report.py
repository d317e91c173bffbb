"""What every benchmark says of the machine, and how its result is written."""

import json
import os
import pathlib
import platform
import sys
import time
from importlib import metadata
from typing import Any

from talkjax.errors import UserError

PACKAGES = (
    "array_record",
    "flax",
    "grain",
    "jax",
    "librosa",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "talkjax",
)


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, load at this moment, versions. Starts no device."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def processor_name() -> str:
    information = pathlib.Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


_started_s = time.monotonic()


def say(text: str) -> None:
    """What is done now, on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - _started_s:4.0f} s] {text}", file=sys.stderr, flush=True)


def write(path: str | os.PathLike, result: dict[str, Any]) -> None:
    """Writes the result as JSON, atomically.

    Raises:
      UserError: if the folder is missing.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise UserError(f"{path}: folder {path.parent} is missing; make it or choose another --out")
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
