"""`talkjax inspect`: what a memory holds and who uses it, where weights are from, one clip."""

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from talkjax.commands import inspect_clip
from talkjax.errors import UserError

DESCRIPTION = """\
weights: prints the nets of a checkpoint, and where imported ones are from and under which terms.

memory: looks into the Audio-Lip Memory of a trained SyncTalkFace. Writes to --out:
  slots.png          the lips that each slot alone decodes to, the most used slots first
  use.png            how often each slot is on top, and how sharp the addresses are
  words.png          which words use which slot (data with word alignments)
  phones.png         which phones use which slot (data with phone times)
  interpolation.png  lips between two slots, from edited addresses
  memory.json        the numbers behind the pictures

clip: draws one clip of DATA to --out FILE.png: a row of frames and of mouths, under them the
waveform, phones, words, lip opening and mouth width (known, and as dlib measures them), lids and
head pitch, as far as the data set knows them. The bands behind the lips are p, b and m."""

INTERPOLATION_STEPS = 9
# Slots among which the two most different ones are taken for the interpolation.
INTERPOLATION_CANDIDATES = 24
BATCH_FRAMES = 32
SHUFFLE_SEED = 0
# In the printed summary: slots, and phones of each.
LISTED_SLOTS = 8
LISTED_PHONES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("what", choices=("memory", "weights", "clip"), help="what to look into")
    parser.add_argument("data_set", nargs="?", metavar="DATA", help="a prepared data set (clip)")
    parser.add_argument(
        "--checkpoint", type=Path, help="a training workdir or an exported folder (memory, weights)"
    )
    parser.add_argument(
        "--step", type=int, help="checkpoint step of a workdir (default: best, else latest)"
    )
    parser.add_argument("--data", help="a prepared data set (memory)")
    parser.add_argument(
        "--split", help="which of its splits (default: test; clip: any that has the clip)"
    )
    parser.add_argument("--clips", type=int, help="look at the first CLIPS clips only")
    parser.add_argument("--out", type=Path, help="folder (memory), or .png or .jpg file (clip)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    inspect_clip.add_arguments(parser)


class Listened(NamedTuple):
    """What the memory recalled over a split.

    Attributes:
      addresses: (t, q) of all frames of all clips.
      words: the word of each frame; () if no clip has an alignment.
      phones: the phone of each frame; () if no clip has any.
      face_u8: a frame with a resting mouth to decode slots on, at the model's size or above.
      window: (m, mel_frames) mean mel window: the fixed query under edited addresses.
      clips: how many clips.
    """

    addresses: np.ndarray
    words: tuple[str, ...]
    phones: tuple[str, ...]
    face_u8: np.ndarray
    window: np.ndarray
    clips: int


def run(args: argparse.Namespace) -> int:
    if args.what == "clip":
        return inspect_clip.run(args)
    if args.checkpoint is None:
        raise UserError(f"inspect {args.what}: --checkpoint is needed")
    if args.data_set is not None:
        raise UserError(f"inspect {args.what}: give the data set as --data {args.data_set}")
    if args.what == "weights":
        from talkjax.commands import inspect_weights

        return inspect_weights.run(args)
    if args.data is None or args.out is None:
        raise UserError("inspect memory: --data DATA and --out DIR are needed")
    return inspect_memory(args)


def inspect_memory(args: argparse.Namespace) -> int:
    """The memory's pictures and numbers."""
    from talkjax.infer import memory, memory_pictures
    from talkjax.infer.predict import Predictor
    from talkjax.train.checkpoint import load_trained
    from talkjax.train.trained import check_method

    trained = load_trained(args.checkpoint, step=args.step)
    check_method(trained, args.checkpoint)
    predictor = Predictor(trained, batch_frames=BATCH_FRAMES)
    split = args.split or "test"
    heard = listen(predictor, args.data, split=split, limit=args.clips)
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "checkpoint": str(args.checkpoint),
        "step": trained.step,
        "data": args.data,
        "split": split,
        "clips": heard.clips,
        **memory.summary(heard.addresses),
    }
    order = np.argsort(-memory.top_slot_counts(heard.addresses), kind="stable")
    decoded = decoded_slots(predictor, heard, num_slots=heard.addresses.shape[1])
    pair = memory.most_different_pair(decoded, order[:INTERPOLATION_CANDIDATES].tolist())
    path = memory.between(
        *np.eye(len(order), dtype=np.float32)[list(pair)], steps=INTERPOLATION_STEPS
    )
    facts["interpolated_slots"] = list(pair)
    memory_pictures.slots(args.out / "slots.png", decoded, order=order, facts=facts)
    memory_pictures.use(args.out / "use.png", facts)
    memory_pictures.strip(args.out / "interpolation.png", decode(predictor, heard, path))
    for unit, spoken in (("word", heard.words), ("phone", heard.phones)):
        if spoken:
            picture = args.out / f"{unit}s.png"
            facts[f"{unit}s"] = _user_facts(picture, heard.addresses, spoken, unit=unit)
    _write_json(args.out / "memory.json", facts)
    print(json.dumps(facts) if args.json else _text(facts, args.out))
    return 0


def listen(predictor, data: str, *, split: str, limit: int | None) -> Listened:
    """Runs the sound of a split's clips through the memory.

    Raises:
      UserError: if there is no clip, or the method has no memory.
    """
    from talkjax.data import pipeline, schema
    from talkjax.data.source import open_source
    from talkjax.infer import memory
    from talkjax.progress import progress

    addresses, words, phones, totals, face = [], [], [], 0.0, None
    total = len(range(len(open_source(data, split)))[:limit])
    clips = pipeline.iterate_clips(data, split, limit=limit)
    for record in progress(clips, total=total, label="listen", unit="clips"):
        windows = predictor.mel_windows(record.mel.astype(np.float32), np.arange(record.num_frames))
        addresses.append(predictor.addresses(windows))
        clock = {"num_frames": record.num_frames, "fps": schema.FPS}
        words += memory.at_frames(record.words, **clock)
        phones += memory.at_frames(phone_spans(record), **clock)
        totals = totals + windows.sum(axis=0, dtype=np.float64)
        if face is None:
            face = first_frame(record)
    if face is None:
        raise UserError(f"{data}: split {split!r} has no clips; prepare some or name another split")
    mean = (totals / len(words)).astype(np.float32)
    # Where nothing is aligned every frame is silent.
    words, phones = (
        tuple(names) if set(names) - {memory.SILENCE} else () for names in (words, phones)
    )
    return Listened(np.concatenate(addresses), words, phones, face, mean, len(addresses))


def phone_spans(record) -> tuple[tuple[float, float, str], ...]:
    """(start_s, end_s, phone) of a record's labels, () where it has none.

    Raises:
      UserError: if there are not as many times as phones.
    """
    if "phone_times_s" not in record.labels or "phones" not in record.texts:
        return ()
    times_s, names = record.labels["phone_times_s"], record.texts["phones"].split()
    if times_s.shape != (len(names), 2):
        raise UserError(
            f"{record.clip_id}: label phone_times_s has shape {times_s.shape}, want "
            f"({len(names)}, 2) for its phones; prepare the data again"
        )
    return tuple((start, end, name) for (start, end), name in zip(times_s, names, strict=True))


def first_frame(record) -> np.ndarray:
    """The first frame of a record, RGB uint8."""
    import simplejpeg

    return simplejpeg.decode_jpeg(record.frames_jpeg[0], colorspace="RGB")


def decode(predictor, heard: Listened, addresses: np.ndarray) -> np.ndarray:
    """Frames that the memory gives for edited addresses, face and query kept; uint8."""
    count = len(addresses)
    faces = np.broadcast_to(heard.face_u8, (count, *heard.face_u8.shape))
    windows = np.broadcast_to(heard.window, (count, *heard.window.shape))
    return predictor.outputs(faces, faces, windows, key_address=addresses)["generated"]


def decoded_slots(predictor, heard: Listened, *, num_slots: int) -> np.ndarray:
    """The frame that each slot alone gives."""
    from talkjax.infer import memory

    slots = memory.one_hot_addresses(np.arange(num_slots), num_slots=num_slots)
    return decode(predictor, heard, slots)


def _user_facts(
    picture: Path, addresses: np.ndarray, spoken: tuple[str, ...], *, unit: str
) -> dict:
    from talkjax.infer import memory, memory_pictures

    top, num_slots = addresses.argmax(axis=1), addresses.shape[1]
    table = memory.use_table(top, spoken, num_slots=num_slots, seed=SHUFFLE_SEED)
    memory_pictures.users(picture, table, unit=unit)
    return {
        "mutual_information_bits": table.information_bits,
        "chance_bits": table.chance_bits,
        "names": list(table.names),
        "counts": table.counts.tolist(),
        "slot_users": memory.slot_users(table, slots=LISTED_SLOTS, names=LISTED_PHONES),
    }


def _write_json(path: Path, facts: dict) -> None:
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _text(facts: dict, out: Path) -> str:
    lines = [
        f"{facts['frames']} frames of {facts['clips']} clips; {facts['slots_ever_on_top']} of "
        f"{facts['slots']} slots are ever on top",
        f"address perplexity: median {facts['perplexity']['median']:.1f} "
        f"(10% {facts['perplexity']['p10']:.1f}, 90% {facts['perplexity']['p90']:.1f}); "
        f"top weight: median {facts['top_weight']['median']:.3f}",
    ]
    for unit in ("word", "phone"):
        if f"{unit}s" in facts:
            bits = facts[f"{unit}s"]
            lines.append(
                f"{unit} and top slot share {bits['mutual_information_bits']:.3f} bits "
                f"({bits['chance_bits']:.3f} by chance)"
            )
    if "phones" in facts:
        for slot, users in facts["phones"]["slot_users"].items():
            shares = ", ".join(f"{name} {share:.0%}" for name, share in users)
            lines.append(f"slot {slot}: {shares}")
    return "\n".join([*lines, f"wrote {out}"])
