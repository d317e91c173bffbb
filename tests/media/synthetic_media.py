"""Media files with known content, written with PyAV: frames carry their number."""

from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 64, 48
CLOCK_HZ = 90_000


def numbered(number, width=WIDTH, height=HEIGHT):
    """A flat picture whose two halves are the two hexadecimal digits of `number` < 225."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2] = 16 * (number % 15)
    rgb[:, width // 2 :] = 16 * (number // 15)
    return rgb


def number_of(rgb):
    """The inverse of `numbered`, for any size."""
    width = rgb.shape[1]
    low = rgb[:, width // 8 : 3 * width // 8].mean() / 16
    high = rgb[:, 5 * width // 8 : 7 * width // 8].mean() / 16
    return round(low) + 15 * round(high)


def write_video(
    path,
    stamps_s,
    *,
    pictures=None,
    nominal_fps=25,
    codec="libx264",
    pixel_format="yuv420p",
    options=None,
    rotation=None,
    audio=None,
    audio_start_s=0.0,
    audio_codec="aac",
    clock_hz=CLOCK_HZ,
):
    """Writes one frame per timestamp; `audio` is 48 kHz mono float."""
    pictures = pictures or [numbered(i % 225) for i in range(len(stamps_s))]
    if options is None:
        options = {"preset": "ultrafast", "crf": "8"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=Fraction(nominal_fps), options=options)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = pixel_format
        video.codec_context.time_base = Fraction(1, clock_hz)
        if rotation is not None:
            video.set_display_rotation(rotation)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio_codec, rate=48_000, layout="mono")
        for stamp_s, picture in zip(stamps_s, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(stamp_s * clock_hz), Fraction(1, clock_hz)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(audio[None].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = round(audio_start_s * 48_000)
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def beep(seconds, at_s, rate_hz, length_s=0.2):
    """Silence with a 1 kHz tone that starts at `at_s`."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    on = (time_s >= at_s) & (time_s < at_s + length_s)
    return (0.5 * on * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)


def onset_s(samples, rate_hz=16_000):
    """When the sound first exceeds a tenth of its peak."""
    return np.argmax(np.abs(samples) > 0.1 * np.abs(samples).max()) / rate_hz
