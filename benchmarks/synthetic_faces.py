"""Is a synthetic face a face? Speed, detection, and dlib's lips against the known ones, as JSON.

Clips are performed as the corpus performs them (espeak-ng is needed), and frames spread over each
are drawn twice: the camera's picture, in which DlibDetector looks for faces, and the aligned crop,
in which landmarks68 measures and which is encoded for the speed.
"""

import argparse
import json
import pathlib
import time
from typing import Any

import cv2
import numpy as np
import simplejpeg

from data_prep.synthetic import camera
from data_prep.synthetic.identity import sample_identity
from data_prep.synthetic.performance import perform
from data_prep.synthetic.plan import plan_clip
from data_prep.synthetic.render import FaceRenderer
from data_prep.synthetic.seeds import generator
from data_prep.synthetic.settings import CorpusSettings
from talkjax.media.detector import DlibDetector
from talkjax.media.landmarks import landmarks68
from talkjax.ops import geometry

LIPS = slice(48, 68)
SHEET_COLUMNS = 6
DEFINITIONS = {
    "frames_per_core_second": "crops of size_px drawn and encoded as JPEG per second of this "
    "process's user and system time, building the faces left out (build_core_s each)",
    "exactly_one_face": "share of camera pictures (twice size_px) with one face for DlibDetector",
    "lip_error": "distance of landmarks 48-67 of dlib from the known ones, over the known eye "
    "distance; all points of all frames together",
    "correlation": "of lip opening and mouth width (ops/geometry.py), dlib against known, over all "
    "frames; within_clip: after taking each clip's mean away",
}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of `args.identities` faces, one clip each."""
    settings = CorpusSettings(
        clips=args.identities, seed=args.seed, identities=args.identities, size_px=args.size
    )
    detector = DlibDetector()
    known, found, clips, faces = [], [], [], []
    build_s, draw_s, drawn = 0.0, 0.0, 0
    tiles = []
    for number in range(args.identities):
        start = time.process_time()
        renderer = _renderer(args.seed, number)
        build_s += time.process_time() - start
        performance = perform(args.seed, plan_clip(settings, number))
        where = camera.locate(performance, renderer, settings)
        frames = np.linspace(0, performance.num_frames - 1, args.frames).round().astype(int)
        truth = camera.in_crop(where.landmarks68_xy_px, where.crop_to_source)
        _crop(performance, renderer, where, settings, 0)
        for frame in frames:
            start = time.process_time()
            crop = _crop(performance, renderer, where, settings, int(frame))
            draw_s += time.process_time() - start
            drawn += 1
            picture = _picture(performance, renderer, settings, int(frame))
            faces.append(len(detector.detect(picture)))
            known.append(truth[frame])
            found.append(landmarks68(crop))
            clips.append(number)
            if args.sheet and frame == frames[len(frames) // 2]:
                tiles.append(picture)
    if args.sheet:
        _write_sheet(pathlib.Path(args.sheet), tiles)
    return {
        "identities": args.identities,
        "frames": len(faces),
        "size_px": args.size,
        "frames_per_core_second": round(drawn / draw_s, 1),
        "build_core_s": round(build_s / args.identities, 2),
        "exactly_one_face": round(float(np.mean(np.array(faces) == 1)), 4),
        "no_face": int(np.sum(np.array(faces) == 0)),
        **_agreement(np.array(known), np.array(found), np.array(clips), per_point=args.per_point),
        "definitions": DEFINITIONS,
    }


def _renderer(seed: int, number: int) -> FaceRenderer:
    return FaceRenderer(sample_identity(generator(seed, "identity", number), f"face{number:04d}"))


def _crop(performance, renderer, where, settings, frame: int) -> np.ndarray:
    crop = camera.draw(
        performance,
        renderer,
        frame,
        source_px=settings.source_px,
        view=where.crop_to_source[frame],
        size_px=settings.size_px,
    )
    simplejpeg.encode_jpeg(crop, settings.jpeg_quality, "RGB", "444", fastdct=False)
    return crop


def _picture(performance, renderer, settings, frame: int) -> np.ndarray:
    whole = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    return camera.draw(
        performance,
        renderer,
        frame,
        source_px=settings.source_px,
        view=whole,
        size_px=settings.source_px,
    )


def _agreement(
    known: np.ndarray, found: np.ndarray, clips: np.ndarray, *, per_point: bool
) -> dict[str, Any]:
    eyes = geometry.eye_distance68(known)
    error = np.linalg.norm(known - found, axis=-1) / eyes[:, None]
    measures = {"opening": geometry.lip_opening, "width": geometry.mouth_width}
    pairs = {name: (measure(known), measure(found)) for name, measure in measures.items()}
    result = {
        "lip_error_median": round(float(np.median(error[:, LIPS])), 4),
        "lip_error_p90": round(float(np.percentile(error[:, LIPS], 90)), 4),
        "correlation": {name: round(_correlation(*pair), 3) for name, pair in pairs.items()},
        "correlation_within_clip": {
            name: round(_correlation(*[_centred(values, clips) for values in pair]), 3)
            for name, pair in pairs.items()
        },
    }
    if per_point:
        offset = (found - known) / eyes[:, None, None]
        result["points"] = {
            str(point): [
                round(float(np.median(offset[:, point, 0])), 3),
                round(float(np.median(offset[:, point, 1])), 3),
                round(float(np.median(error[:, point])), 3),
            ]
            for point in range(known.shape[1])
        }
    return result


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def _centred(values: np.ndarray, clips: np.ndarray) -> np.ndarray:
    means = np.array([values[clips == clip].mean() for clip in clips])
    return values - means


def _write_sheet(path: pathlib.Path, tiles: list[np.ndarray]) -> None:
    blank = np.zeros_like(tiles[0])
    tiles = tiles + [blank] * (-len(tiles) % SHEET_COLUMNS)
    rows = [
        np.concatenate(tiles[start : start + SHEET_COLUMNS], axis=1)
        for start in range(0, len(tiles), SHEET_COLUMNS)
    ]
    sheet = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), sheet):
        raise OSError(f"{path}: cannot be written")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=24)
    parser.add_argument("--frames", type=int, default=20, help="of each identity's clip")
    parser.add_argument("--size", type=int, default=128, help="side of the crop in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", help="where to write a contact sheet (PNG)")
    parser.add_argument(
        "--per-point", action="store_true", help="median dx, dy, distance of each landmark"
    )
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()
