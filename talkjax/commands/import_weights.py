"""`talkjax import-weights`: public PyTorch weights to a checkpoint of ours."""

import argparse
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talkjax.errors import UserError

DESCRIPTION = """\
Public PyTorch weights to a TalkJAX checkpoint (a folder as `talkjax export` writes it).

The file is read as data: no pickle in it is executed, and PyTorch is not needed. Every key of
it is used or listed as ignored, and all shapes are checked. Its sha256 and where it is from go
with the checkpoint, and `talkjax inspect weights --checkpoint OUT` shows them. Nothing in a file
tells where it was got: say it with --source, else it is marked as assumed.

KIND is one of
{kinds}"""
# How the data are read on which a critic of a method is measured.
VALIDATION_BATCHES = 8
CRITIC_METHOD = "sync_critic"
READING = dict(
    sampler="sync",
    batch_size=8,
    windows_per_clip=4,
    consecutive=False,
    flip=False,
    read_threads=1,
    read_ahead_mb=64.0,
    keep_decoded_mb=0.0,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from talkjax.weights.kinds import KINDS

    width = max(map(len, KINDS))
    kinds = "\n".join(f"  {name:{width}}  {kind.summary}" for name, kind in KINDS.items())
    parser.description = DESCRIPTION.format(kinds=kinds)
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help="see above")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file of public weights")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--data",
        help="a prepared data set: crops will be cut as its are; the accuracy of a "
        "wav2lip-expert, and of no other kind, is measured on it, which an expert of a training "
        "needs",
    )
    parser.add_argument("--split", default="val", help="split of --data to measure (default: val)")
    parser.add_argument(
        "--source",
        metavar="TEXT",
        help="where this very file was got, an address for example (default: where the public "
        "files with its layout are from, marked as assumed)",
    )
    parser.add_argument(
        "--licence",
        metavar="TEXT",
        help="terms of this very file (default: those known of the public files with its layout, "
        "marked as assumed)",
    )
    parser.add_argument(
        "--ignore",
        metavar="ENTRY",
        action="append",
        default=[],
        help="leave out this entry of the file although it holds tensors; may be repeated",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier import at OUT")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(args: argparse.Namespace) -> int:
    from talkjax.train.trained import write_export
    from talkjax.weights import manifest

    _check_out(args.out, overwrite=args.overwrite)
    trained = import_file(
        args.kind,
        args.file,
        data=args.data,
        split=args.split,
        source=_stated(args.source, "--source"),
        licence=_stated(args.licence, "--licence"),
        ignore=tuple(args.ignore),
    )
    if args.out.exists():
        _replace(trained, args.out)
    else:
        write_export(trained, args.out)
    if args.json:
        print(json.dumps(trained.origin | {"scores": trained.scores}))
    else:
        print(
            "\n".join(
                [
                    *manifest.as_text(trained.origin),
                    *_scores(trained, args.data),
                    f"wrote {args.out}",
                ]
            )
        )
    return 0


def import_file(
    kind: str,
    path: Path,
    *,
    data: str | None,
    split: str,
    source: str | None,
    licence: str | None,
    ignore: tuple[str, ...],
) -> Any:
    """A file of public weights as a `Trained`.

    Args:
      source, licence: where the file was got and its terms, as far as its importer says so.

    Raises:
      UserError: if it is no such file, or not of the kind.
    """
    import ml_collections

    from talkjax.train.files import hashable
    from talkjax.train.trained import Trained
    from talkjax.weights import building, kinds, manifest, states, torch_file

    where = str(path)
    read = torch_file.read(path)
    found = states.entries(read.content, where=where)
    states.check_sizes(found, file_bytes=path.stat().st_size, where=where)
    built = building.build(kind, found, ignore=ignore, where=where)
    layout = kinds.KINDS[kind].layouts[built.layout]
    origin = manifest.describe(
        path,
        kind=kind,
        layout=built.layout,
        form=read.form,
        source=manifest.source_of(source, layout),
        licence=manifest.licence_of(licence, layout),
        variables=built.variables,
        ignored=built.ignored,
    )
    config = built.config | {"run": {"seed": _seed(origin["sha256"])}}
    trained = Trained(
        config=ml_collections.ConfigDict(hashable(config)),
        params={net: tree["params"] for net, tree in built.variables.items()},
        model_vars={
            net: {name: part for name, part in tree.items() if name != "params"}
            for net, tree in built.variables.items()
        },
        step=0,
        scores={},
        data_settings=_crops(config, data),
        experts=None,
        origin=origin,
    )
    return _measured(trained, data, split=split) if data else trained


def _stated(given: str | None, option: str) -> str | None:
    """What the user says, in one line, as it will stand in tables. Raises UserError if empty."""
    text = None if given is None else " ".join(given.split())
    if text == "":
        raise UserError(f"{option}: got nothing, want a few words; leave it out if unknown")
    return text


def _seed(sha256: str) -> int:
    """Stands for the unknown seed of the public training: no seed of ours, and the file's own."""
    return -1 - int(sha256[:7], 16)


def _crops(config: Mapping[str, Any], data: str | None) -> dict[str, Any]:
    """How crops are to be cut for it: as the data's, or else as `prepare` cuts them.

    Raises:
      UserError: if nets that see no crops are given data.
    """
    from data_prep.settings import Settings
    from talkjax.data.source import data_settings
    from talkjax.weights.kinds import NO_METHOD

    if config["method"] == NO_METHOD:
        if data:
            raise UserError("--data: these nets see no prepared crops; leave it out")
        return {}
    if data:
        return data_settings(data)
    defaults = Settings()
    size_px = max(defaults.size_px, config["data"]["image_size"])
    return {"size_px": size_px, "smooth_sigma_frames": defaults.smooth_sigma_frames}


def _measured(trained: Any, data: str, *, split: str) -> Any:
    """The same with the validation scores that a critic has on a split; others as they are."""
    import dataclasses

    import jax
    import numpy as np
    from ml_collections import ConfigDict

    from talkjax import assemble
    from talkjax.train.rng import root_key, stream

    if trained.config.method != CRITIC_METHOD:
        return trained
    config = ConfigDict(trained.config.to_dict())
    config.data.update(READING | {"path": data})
    scores_fn = jax.jit(assemble.build_method(config).scores_fn)
    batches = assemble.make_data(config, split=split, seed=0)
    found = []
    for index in range(VALIDATION_BATCHES):
        key = stream(root_key(0), index, "validation")
        found.append(
            jax.device_get(scores_fn(trained.params, trained.model_vars, next(batches), key))
        )
    batches.close()
    scores = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    return dataclasses.replace(trained, scores=scores)


def _scores(trained: Any, data: str | None) -> list[str]:
    if not trained.scores:
        return [f"{data} tells how to cut crops; this kind is not measured on it"] if data else []
    shown = ", ".join(f"{name} {value:.3f}" for name, value in sorted(trained.scores.items()))
    return [f"measured {shown}"]


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Raises UserError unless OUT is free, or an export that may be replaced."""
    from talkjax.train.trained import is_export

    try:
        is_there = out.exists()
    except OSError as error:  # of a name that no file can have
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); name another folder"
        ) from error
    if not is_there:
        for parent in out.absolute().parents:
            if parent.exists():
                if not parent.is_dir():
                    raise UserError(f"{out}: {parent} is a file, want a folder; name another OUT")
                return
    if not (out.is_dir() and is_export(out)):
        raise UserError(f"{out}: exists and is no exported checkpoint; name another OUT")
    if not overwrite:
        raise UserError(f"{out}: exists; name another OUT, or replace it with --overwrite")


def _replace(trained: Any, out: Path) -> None:
    """Writes beside the old export first, so that a failure leaves that as it was."""
    from talkjax.train.trained import write_export

    fresh = out.with_name(f".{out.name}.new-{os.getpid()}")
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    try:
        write_export(trained, fresh)
        os.replace(out, old)
        os.replace(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
