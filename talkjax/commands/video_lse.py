"""LSE of one video file: sound and pictures read, faces followed, each stretch of them scored."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.commands.syncnet_parts import Judge
from talkjax.data.schema import FPS, SAMPLES_PER_FRAME
from talkjax.errors import UserError
from talkjax.evals import lse
from talkjax.evals.face_boxes import Boxes, read_boxes
from talkjax.media import sync_crops
from talkjax.media.audio import decode_audio, is_silent
from talkjax.media.detector import DlibDetector
from talkjax.media.sync_crops import FaceTrack
from talkjax.media.video import FrameReader
from talkjax.progress import progress

KEYS = ("lse_d", "lse_c", "lse_offset", "lse_d_unshifted")
LEFT_OUT = "MPEG-4 and JPEG at quality 2 before the crop, XVID after it"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How videos are looked at.

    Attributes:
      variant: how the face is brought to the judge, see `talkjax score --help`.
      min_track_frames: stretches in which the face is measured in fewer frames are left out.
      min_face_px: stretches with a smaller face box are left out.
      boxes: video -> file of its face boxes; None if dlib finds the faces.
      boxes_by: what found those boxes, in words.
    """

    variant: str
    min_track_frames: int = sync_crops.MIN_TRACK_FRAMES
    min_face_px: float = sync_crops.MIN_FACE_PX
    boxes: Mapping[pathlib.Path, pathlib.Path] | None = None
    boxes_by: str = "a detector that is not named (--boxes-by)"


def default_variant(judge: Judge, *, boxes: bool = False) -> str:
    """Public weights know crops that follow a detector; a judge trained here our own."""
    return "track" if judge.is_public or boxes else "aligned"


def score_video(path: pathlib.Path, judge: Judge, settings: Settings) -> dict[str, Any]:
    """Scores of a video: {"tracks": [{"first_frame", "end_frame", "windows", KEYS}], KEYS: their
    means, "silent": whether the sound is, "notes": one-line warnings}; of a followed face also
    "face_xyxy_px", its mean box, and of given boxes their file.

    Raises:
      UserError: if it cannot be read, has no sound, is too short, or has no face to look at.
    """
    boxes = None if settings.boxes is None else read_boxes(settings.boxes[path])
    sound = decode_audio(path)
    audio_i16 = np.clip(np.rint(sound.samples * 32768.0), -32768, 32767).astype(np.int16)
    with FrameReader(path) as reader:
        if settings.variant == "whole":
            frames = progress(reader, total=_promised(reader), label=path.name)
            pictures = judge.prepare(frame.rgb for frame in frames)
            tracks = [_scored(path, pictures, audio_i16, judge, first=0)]
            found = []
        else:
            seen = _look(path, reader, boxes)
            kept, found = _kept_tracks(path, seen, settings, boxes)
            tracks = [_score_track(path, reader, one, audio_i16, judge, settings) for one in kept]
        notes = [*sound.notes, *reader.notes, *found]
    silent = is_silent(sound.samples)
    if silent:
        notes.append(f"{path}: silent audio; its score says nothing and is in no mean")
    means = {key: float(np.mean([one[key] for one in tracks])) for key in KEYS}
    of_file = {} if boxes is None else {"boxes": _file_identity(boxes.path)}
    return {"tracks": tracks} | means | of_file | {"silent": silent, "notes": notes}


def _file_identity(path: pathlib.Path) -> dict[str, str]:
    return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _look(path: pathlib.Path, reader: FrameReader, boxes: Boxes | None) -> sync_crops.Seen:
    """The faces of a video: those of the boxes, or as dlib follows them."""
    if boxes is None:
        frames = progress(reader, total=_promised(reader), label=f"{path.name}: find the face")
        return sync_crops.find_tracks(frames, DlibDetector())
    frames = progress(reader, total=_promised(reader), label=f"{path.name}: find the cuts")
    shots = sync_crops.find_shots(frames)
    num_frames = shots[-1][1] if shots else 0
    size_wh = (reader.info.width, reader.info.height)
    found = boxes.of_frames(path, num_frames=num_frames, size_wh=size_wh)
    return sync_crops.box_tracks(found, shots)


def _kept_tracks(
    path: pathlib.Path, seen: sync_crops.Seen, settings: Settings, boxes: Boxes | None
) -> tuple[Sequence[FaceTrack], list[str]]:
    """The stretches that are long enough and show a face that is large enough; what to tell.

    Raises:
      UserError: if there is none.
    """
    if not seen.tracks and boxes is not None:
        raise UserError(
            f"{boxes.path}: no box in the {seen.num_frames} frames of {path}; want those of a face"
        )
    if not seen.tracks:
        raise UserError(
            f"{path}: no face found in {seen.num_frames} frames; want a frontal face, or give "
            "--variant whole for a video that is a face crop already"
        )
    long = [one for one in seen.tracks if one.found >= settings.min_track_frames]
    if not long:
        most = max(one.found for one in seen.tracks)
        raise UserError(
            f"{path}: too short: a face is seen in {most} frames at a stretch, want "
            f"{settings.min_track_frames} ({settings.min_track_frames / FPS:.1f} s); lower "
            "--min-track, or give a longer video"
        )
    kept = [one for one in long if one.face_px >= settings.min_face_px]
    if not kept:
        largest = max(one.face_px for one in long)
        raise UserError(
            f"{path}: the face is too small: {largest:.0f} px wide, want "
            f"{settings.min_face_px:.0f} px; lower --min-face, or give a larger picture"
        )
    return kept, _notes(path, seen, kept, boxes)


def _notes(
    path: pathlib.Path, seen: sync_crops.Seen, kept: Sequence[FaceTrack], boxes: Boxes | None
) -> list[str]:
    """What is not looked at, and how many faces are."""
    faces = np.zeros(seen.num_frames, int)
    for one in seen.tracks:
        faces[one.first : one.end] += 1
    notes = []
    if empty := int(np.sum(faces == 0)):
        notes.append(f"{path}: no face in {empty} of {seen.num_frames} frames; they are left out")
    if len(kept) < len(seen.tracks):
        notes.append(
            f"{path}: {len(seen.tracks) - len(kept)} of {len(seen.tracks)} stretches with a face "
            "left out, too short or too small (--min-track, --min-face)"
        )
    if boxes is None and seen.max_faces > 1:
        notes.append(
            f"{path}: {seen.max_faces} faces in a frame; the largest of each shot is taken"
        )
    if boxes is not None and seen.max_faces > 1:
        notes.append(
            f"{path}: {seen.max_faces} faces in a frame; each is scored (tracks of --json), the "
            "video's score is their mean"
        )
    return notes


def _score_track(
    path: pathlib.Path,
    reader: FrameReader,
    track: FaceTrack,
    audio_i16: np.ndarray,
    judge: Judge,
    settings: Settings,
) -> dict[str, Any]:
    frames = (frame.rgb for frame in reader.window(track.first, track.end))
    if settings.variant == "track":
        crops = sync_crops.followed_crops(frames, track.box_xyxy_px)
    else:
        crops = _own_crops(frames, track, judge)
    heard = audio_i16[track.first * SAMPLES_PER_FRAME : track.end * SAMPLES_PER_FRAME]
    scored = _scored(path, judge.prepare(crops), heard, judge, first=track.first)
    face = np.round(np.mean(track.box_xyxy_px, axis=0, dtype=np.float64), 1)
    return scored | {"face_xyxy_px": face.tolist()}


def _own_crops(
    frames: Iterable[np.ndarray], track: FaceTrack, judge: Judge
) -> Iterator[np.ndarray]:
    """As `talkjax prepare` cut those that the judge was trained on."""
    assert track.landmarks_xy_px is not None, "boxes go with the variant track"
    how = judge.trained.data_settings
    return sync_crops.aligned_crops(
        frames,
        track.landmarks_xy_px,
        size_px=int(how["size_px"]),
        smooth_sigma_frames=float(how["smooth_sigma_frames"]),
    )


def _scored(
    path: pathlib.Path,
    pictures: Iterable[np.ndarray],
    audio_i16: np.ndarray,
    judge: Judge,
    *,
    first: int,
) -> dict[str, Any]:
    try:
        score = lse.score_clip(pictures, audio_i16, judge.net)
    except ValueError as error:
        raise UserError(f"{path}: {error}; give a longer video") from error
    end = first + score.windows + lse.WINDOW_FRAMES
    place = {"first_frame": first, "end_frame": end, "windows": score.windows}
    return place | score.values()


def _promised(reader: FrameReader) -> int | None:
    """How many frames there will be, as far as the header can be trusted."""
    return round(reader.info.duration_s * FPS) or None


def protocol(settings: Settings, judge: Judge) -> dict[str, Any]:
    """How the numbers were made, and what they can be compared with."""
    looked_at = {
        "whole": "the whole frame",
        "track": "a crop that follows the face: rows -s to 1.8 s, columns -1.4 s to 1.4 s around "
        f"its box, medians of {sync_crops.MEDIAN_FRAMES} frames, grey border",
        "aligned": "the crop of our records: aligned by the eyes, smoothed over time",
    }
    found = {
        "variant": settings.variant,
        "faces": _found_by(settings),
        "comparable": comparable(settings, judge),
        "pictures": f"{looked_at[settings.variant]}; 25 fps; recompressed as FFmpeg's default JPEG",
        "sound": "16 kHz mono int16, on the clock of the picture",
        "shifts_frames": lse.MAX_SHIFT_FRAMES,
        "offset_sign": "positive: picture late",
        "min_track_frames": settings.min_track_frames,
        "min_face_px": settings.min_face_px,
        "mean": "of a video over its stretches with a face, of all over the videos",
    }
    return found | ({"left_out": LEFT_OUT} if settings.variant == "track" else {})


def _found_by(settings: Settings) -> str:
    if settings.variant == "whole":
        return "not looked for"
    if settings.boxes is None:
        return "dlib's HOG detector, the largest face of each shot; not S3FD"
    return (
        f"boxes of --boxes, found by {settings.boxes_by}; all faces of a shot, followed by overlap "
        f"above {sync_crops.SAME_FACE_IOU} over at most {sync_crops.MAX_MISSED_FRAMES} frames"
    )


def comparable(settings: Settings, judge: Judge) -> str:
    """With which published numbers those of a variant may be compared, in words for the table."""
    if not judge.is_public:
        seen = "" if settings.variant == "aligned" else ", which was shown other crops in training"
        return f"no, a judge trained here{seen}"
    if settings.variant == "whole":
        return "with numbers of whole frames (face crops as in LRS and LRW) by the same weights"
    if settings.variant == "aligned":
        return "no, aligned crops are not the protocol's"
    if settings.boxes is None:
        return "no, dlib's boxes are not those of S3FD, on which published numbers stand (--boxes)"
    return (
        "with numbers of real videos by the same weights, as far as the boxes "
        f"({settings.boxes_by}) are S3FD's; left out: {LEFT_OUT}"
    )
