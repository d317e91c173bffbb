"""A performance and a face -> ordinary files: mp4 of the whole picture, wav, json of all labels.

So that the way of real video (`talkjax prepare`) can be run on clips whose truth is known.
"""

import json
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.layouts import Clip
from data_prep.synthetic.camera import Renderer, draw, labels, locate
from data_prep.synthetic.performance import Performance
from data_prep.synthetic.settings import CorpusSettings
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ
from talkjax.media.video import VideoWriter

WHOLE_PICTURE = np.eye(2, 3, dtype=np.float32)
# A step of 1e-4 is less than a hundredth of a pixel and a thousandth of a lip's way.
DIGITS = 4
SUFFIXES = (".mp4", ".wav", ".json")


def write_clip(
    part: Path, clip: Clip, performance: Performance, renderer: Renderer, settings: CorpusSettings
) -> None:
    """Writes the files of a clip as `part` with SUFFIXES; `publish` puts them in place."""
    source_px = settings.source_px
    with VideoWriter(
        part.with_suffix(".mp4"),
        width=source_px,
        height=source_px,
        audio=performance.audio_i16,
        threads=1,  # the same bytes on any number of cores; the workers keep them busy
    ) as video:
        for number in range(performance.num_frames):
            video.write(
                draw(
                    performance,
                    renderer,
                    number,
                    source_px=source_px,
                    view=WHOLE_PICTURE,
                    size_px=source_px,
                )
            )
    with wave.open(str(part.with_suffix(".wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(performance.audio_i16.astype("<i2").tobytes())
    text = json.dumps(description(clip, performance, renderer, settings), ensure_ascii=False)
    part.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def publish(part: Path, out: Path, clip: Clip) -> None:
    """Renames a clip's finished files to OUT/<identity>/<clip>.{wav,json,mp4}."""
    place = out / clip.clip_id
    place.parent.mkdir(parents=True, exist_ok=True)
    # The video last: whoever looks for videos finds the others beside it.
    for suffix in reversed(SUFFIXES):
        os.replace(part.with_suffix(suffix), place.with_suffix(suffix))


def description(
    clip: Clip, performance: Performance, renderer: Renderer, settings: CorpusSettings
) -> dict[str, Any]:
    """All that is known of a clip as JSON.

    "labels" are those of a record (`camera.labels`), but the landmarks are in pixels of the
    video; "phones" is a list of [label, start_s, end_s, stress].
    """
    found = locate(performance, renderer, settings)
    known = labels(performance, found) | {"landmarks68_xy_px": found.landmarks68_xy_px}
    del known["phone_times_s"]
    return {
        "clip_id": clip.clip_id,
        "identity": clip.identity,
        "split": clip.split,
        "fps": FPS,
        "frames": performance.num_frames,
        **performance.texts,
        "phones": [
            [p.label, _round(p.start_s), _round(p.end_s), p.stress] for p in performance.phones
        ],
        "words": [[_round(start), _round(end), word] for start, end, word in performance.words],
        "labels": {
            name: np.round(values.astype(np.float64), DIGITS).tolist()
            for name, values in known.items()
        },
    }


def _round(value: float) -> float:
    return round(float(value), DIGITS)
