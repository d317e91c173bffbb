"""Where imported weights are from: goes with the checkpoint, as `Trained.origin`.

{"kind", "layout", "file", "bytes", "sha256", "form", "source", "source_from", "licence",
"licence_from", "values": how many numbers each net has, "ignored": {why: the keys that were left
out for it}}. It holds no date and no path, so that the same file always gives the same checkpoint.

Of a file, its bytes and the layout of its keys are known. Where it was got and under which terms
it is, the person who imports it says (`Statement`); else both are assumptions, and say so
themselves, as many who show them show nothing else.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from talkjax.arrays import Tree
from talkjax.weights.inert_pickle import shown
from talkjax.weights.kinds import Layout

BLOCK_BYTES = 2**22
STATED = "the person who imported it"
ASSUMED = "assumed: "
ASSUMED_SOURCE = (
    "nobody said where this file was got, and anybody's training has such keys; this is where the "
    "public files with its layout are from. Say it with --source"
)
ASSUMED_LICENCE = (
    "what is known of the public files with its layout; check that it holds for yours, and say it "
    "with --licence"
)
NOT_NOTED = "not noted by the TalkJAX that imported it, so assumed"
SHOWN_KEYS = 6
SHOWN_SHA256 = 12


class Statement(NamedTuple):
    """What is said of a file, and by whom."""

    text: str
    said_by: str


def source_of(given: str | None, layout: Layout) -> Statement:
    """Where a file was got: as given by the person who imports it, or assumed of its layout."""
    return _statement(given, layout.source, ASSUMED_SOURCE)


def licence_of(given: str | None, layout: Layout) -> Statement:
    """A file's terms; as `source_of`."""
    return _statement(given, layout.licence, ASSUMED_LICENCE)


def _statement(given: str | None, known: str, reason: str) -> Statement:
    return Statement(f"{ASSUMED}{known}", reason) if given is None else Statement(given, STATED)


def describe(
    path: str | os.PathLike,
    *,
    kind: str,
    layout: str,
    form: str,
    source: Statement,
    licence: Statement,
    variables: Mapping[str, Tree],
    ignored: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest of a file that was imported.

    Args:
      layout: the published layout of its keys, of the kind's `layouts`.
      form: of `torch_file.WeightsFile`.
      source, licence: where it was got, and its terms.
      variables: what was filled from it, keyed by net.
      ignored: {key: why it was left out}.
    """
    path = pathlib.Path(path)
    reasons: dict[str, list[str]] = {}
    for key, reason in sorted(ignored.items()):
        reasons.setdefault(reason, []).append(key)
    return {
        "kind": kind,
        "layout": layout,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "form": form,
        "source": source.text,
        "source_from": source.said_by,
        "licence": licence.text,
        "licence_from": licence.said_by,
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


def label(origin: Mapping[str, Any]) -> str:
    """What has to stand beside numbers of imported weights, in a line."""
    source = origin["source"].removeprefix(ASSUMED)
    stated = origin.get("source_from") == STATED
    who = f"source as stated by {STATED}" if stated else "source assumed, not stated by anybody"
    return (
        f"imported weights {origin['file']} ({who}: {source}), sha256 "
        f"{origin['sha256'][:SHOWN_SHA256]}"
    )


def as_text(origin: Mapping[str, Any]) -> list[str]:
    """The manifest in lines, for people; of earlier imports, which had less in it, too."""
    layout = f" of {origin['layout']}'s layout" if "layout" in origin else ""
    values = ", ".join(f"{net} {count:,}" for net, count in origin["values"].items())
    lines = [
        f"{origin['kind']}{layout} from {origin['file']} ({origin['form']}, "
        f"{origin['bytes']:,} bytes)",
        f"sha256   {origin['sha256']}",
        f"source   {origin['source']}",
        f"         ({origin.get('source_from', NOT_NOTED)})",
        f"licence  {origin['licence']}",
        f"         ({origin['licence_from']})",
        f"values   {values}",
    ]
    for reason, keys in origin["ignored"].items():
        more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
        listed = ", ".join(map(shown, keys[:SHOWN_KEYS]))
        lines.append(f"ignored  {listed}{more}: {reason}")
    return lines
