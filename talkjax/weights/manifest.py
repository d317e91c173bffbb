"""Where imported weights are from: goes with the checkpoint, as `Trained.origin`.

{"kind", "file", "bytes", "sha256", "form", "source", "licence", "licence_from", "values": how
many numbers each net has, "ignored": {why: the keys that were left out for it}}. It holds no
date and no path, so that the same file always gives the same checkpoint.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from talkjax.arrays import Tree

BLOCK_BYTES = 2**22
KNOWN_TERMS = "what is known of the public files of this kind; check that it holds for yours"
GIVEN_TERMS = "the person who imported it"
SHOWN_KEYS = 6


def describe(
    path: str | os.PathLike,
    *,
    kind: str,
    form: str,
    source: str,
    licence: str,
    licence_is_given: bool,
    variables: Mapping[str, Tree],
    ignored: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest of a file that was imported.

    Args:
      form: of `torch_file.WeightsFile`.
      licence: its terms; given by the person who imports it, or known of the kind.
      variables: what was filled from it, keyed by net.
      ignored: {key: why it was left out}.
    """
    path = pathlib.Path(path)
    reasons: dict[str, list[str]] = {}
    for key, reason in sorted(ignored.items()):
        reasons.setdefault(reason, []).append(key)
    return {
        "kind": kind,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "form": form,
        "source": source,
        "licence": licence,
        "licence_from": GIVEN_TERMS if licence_is_given else KNOWN_TERMS,
        "values": {net: count_values(tree) for net, tree in variables.items()},
        "ignored": reasons,
    }


def sha256(path: str | os.PathLike) -> str:
    """Of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def count_values(tree: Tree) -> int:
    """How many numbers a tree of arrays has."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(tree))


def as_text(origin: Mapping[str, Any]) -> list[str]:
    """The manifest in lines, for people."""
    values = ", ".join(f"{net} {count:,}" for net, count in origin["values"].items())
    lines = [
        f"{origin['kind']} from {origin['file']} ({origin['form']}, {origin['bytes']:,} bytes)",
        f"sha256   {origin['sha256']}",
        f"source   {origin['source']}",
        f"licence  {origin['licence']}",
        f"         ({origin['licence_from']})",
        f"values   {values}",
    ]
    for reason, keys in origin["ignored"].items():
        more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
        lines.append(f"ignored  {', '.join(keys[:SHOWN_KEYS])}{more}: {reason}")
    return lines
