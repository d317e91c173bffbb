"""`talkjax env`: what is installed and which devices are seen, to paste into a report."""

import argparse
import json
import os
import platform
import sys
from importlib import metadata

PACKAGES = (
    "talkjax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "array_record",
    "numpy",
    "av",
    "opencv-python-headless",
    "dlib-bin",
    "simplejpeg",
    "soxr",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    facts = environment()
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name in ("python", "platform", "cores"):
        print(f"{name:24}{facts[name]}")
    for name, version in facts["packages"].items():
        print(f"{name:24}{version}")
    for name in ("backend", "processes"):
        print(f"{name:24}{facts[name]}")
    for device in facts["devices"]:
        print(f"{'device':24}{device}")
    for name, value in facts["variables"].items():
        print(f"{name:24}{value}")
    return 0


def environment() -> dict:
    """Versions, devices and the variables that change how JAX runs; JSON-ready."""
    import jax

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "processes": jax.process_count(),
        "devices": [f"{d.id}: {d.platform} {d.device_kind}" for d in jax.devices()],
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("JAX_", "XLA_", "CUDA_VISIBLE")) or name == "TALKJAX_SHARED"
        },
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
