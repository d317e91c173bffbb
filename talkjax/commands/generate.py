"""`talkjax generate`: a face and a sound to a video of that face saying it."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talkjax.errors import UserError

# A model that has seen fewer draws their features into every face.
MANY_PEOPLE = 10

DESCRIPTION = """\
A picture or a video, and any sound, to a video whose lips follow the sound.

The output has the frame size of FACE, 25 frames a second, and the length and the sound of
AUDIO (as AAC, mono or stereo as it is, more channels as stereo). A longer FACE video is cut; a
shorter one runs to and fro, so that it never jumps; a picture stands still.
Outside a soft-edged area around the mouth the pixels are those of FACE."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="a training workdir or an exported folder"
    )
    parser.add_argument(
        "--step", type=int, help="checkpoint step of a workdir (default: best, else latest)"
    )
    parser.add_argument("--face", type=Path, required=True, help="a picture or a video")
    parser.add_argument("--audio", type=Path, required=True, help="any file with sound")
    parser.add_argument("--out", type=Path, required=True, help="video to write, e.g. out.mp4")
    parser.add_argument(
        "--missing-face",
        choices=("error", "hold", "pass"),
        default="error",
        help="frames without a face: refuse the video, keep the last place for up to 1 s, or "
        "pass such frames through unchanged (default: error)",
    )
    parser.add_argument(
        "--face-choice",
        choices=("largest", "center"),
        default="largest",
        help="which of several faces, judged over the first second (default: largest)",
    )
    parser.add_argument(
        "--reference",
        choices=("first", "self"),
        default="first",
        help="what shows the model who it is: the first frame with a face, or each frame itself, "
        "whose own lips the model then sees (default: first)",
    )
    parser.add_argument(
        "--batch", type=_positive, help="frames per call of the device (default: by frame size)"
    )
    parser.add_argument(
        "--crf", type=_crf, default=18, help="quality, 0 (lossless) to 51 (default: 18)"
    )
    parser.add_argument("--contact-sheet", type=Path, help="also write this PNG to look at")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    _check_outputs(args)
    # What costs nothing is checked first: sound, face file, checkpoint; then the face's way.
    from talkjax.infer import scan
    from talkjax.infer.heap import share_heap
    from talkjax.infer.source import frame_size

    share_heap()
    speech = scan.read_speech(args.audio)
    width, height = frame_size(args.face)

    from talkjax.infer import generate
    from talkjax.infer.predict import Predictor
    from talkjax.media.detector import DlibDetector
    from talkjax.train.checkpoint import load_trained
    from talkjax.train.trained import check_method

    batch_frames = generate.batch_frames_for(width, height, wanted=args.batch)
    trained = load_trained(args.checkpoint, step=args.step)
    check_method(trained, args.checkpoint)
    predictor = Predictor(trained, batch_frames=batch_frames)
    plan = scan.scan_face(
        args.face,
        DlibDetector(),
        num_frames=speech.num_frames,
        size_px=predictor.crop_px,
        smooth_sigma_frames=predictor.smooth_sigma_frames,
        missing_face=args.missing_face,
        face_choice=args.face_choice,
    )
    early = (*speech.notes, *plan.notes)
    for note in (*_few_faces(args.checkpoint, trained.data_settings), *early):
        print(f"warning: {note}", file=sys.stderr, flush=True)
    settings = generate.RenderSettings(
        reference=args.reference, crf=args.crf, contact_sheet=args.contact_sheet
    )
    report = generate.render(predictor, plan, speech, out=args.out, settings=settings)
    for note in report.notes[len(early) :]:
        print(f"warning: {note}", file=sys.stderr)
    print(json.dumps(dataclasses.asdict(report), indent=2) if args.json else _text(report))
    return 0


def _few_faces(checkpoint: Path, data_settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a model that knows few people does to others."""
    if "train_identities" not in data_settings:  # trained before it was counted
        return ()
    people = data_settings["train_identities"]
    if people >= MANY_PEOPLE:
        return ()
    known = "1 person" if people == 1 else f"{people} people"
    return (f"{checkpoint}: was trained on {known}; the face of anybody else may come out broken",)


def _check_outputs(args: argparse.Namespace) -> None:
    for path in filter(None, (args.out, args.contact_sheet)):
        if not path.parent.is_dir():
            raise UserError(f"{path}: its folder does not exist; make it first")
    for path in (args.face, args.audio):
        if path.exists() and args.out.exists() and args.out.samefile(path):
            raise UserError(f"{args.out}: is an input too; write the video under another name")
    if args.contact_sheet and args.contact_sheet.suffix.lower() != ".png":
        raise UserError(f"{args.contact_sheet}: want a name that ends with .png")


def _text(report) -> str:
    stages = ", ".join(f"{name} {spent:.1f} s" for name, spent in report.stage_seconds.items())
    wall = report.wall_seconds
    lines = [
        f"wrote {report.out}: {report.frames} frames, {report.seconds:.2f} s at "
        f"{report.output_fps} fps, {report.width} x {report.height}",
        f"took {wall:.1f} s ({report.frames / wall:.1f} fps, {wall / report.seconds:.2f} s per "
        f"second of video); {stages}; peak memory {report.peak_memory_mb:.0f} MB",
    ]
    if report.missing_face_s:
        ranges = ", ".join(f"{first:.2f}-{end:.2f} s" for first, end in report.missing_face_s)
        lines.append(
            f"no face in {ranges} of the source; {report.unchanged_frames} output frames unchanged"
        )
    return "\n".join(lines)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {value}, want at least 1")
    return value


def _crf(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 51:
        raise argparse.ArgumentTypeError(f"got {value}, want 0 to 51")
    return value
