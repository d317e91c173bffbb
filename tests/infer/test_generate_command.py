"""`talkjax generate` on real files and on broken ones; each does what EXPECT.csv says."""

import csv
import json
import pathlib
import re
import subprocess
import sys

import pytest

from talkjax import cli
from talkjax.infer import generate
from talkjax.media.video import probe
from talkjax.train import checkpoint
from tests.infer import stub

# Sixty short films: about a minute on two cores.
pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).resolve().parents[2]
# As the face, with a sound of 0.4 s (or the seconds given): exit code, part of the message,
# width and height of the output.
PROGRESS = re.compile(r"[a-z ]+: \d+ of \d+ ")

AS_FACE = {
    "truncated_no_index.mp4": (2, "the file was truncated"),
    "truncated_half.mp4": (0, "28 of 75 frames could be read", 3.0),
    "no_audio.mp4": (0, "", 0.4, (360, 288)),
    "audio_only.mp4": (2, "no video stream"),
    "zero_bytes.mp4": (2, "the file is empty (0 bytes)"),
    "text_renamed.mp4": (2, "is a text file, not a video"),
    "no_face.mp4": (2, "no face found in 63 frames", 3.0),
    "two_faces.mp4": (0, "2 faces in a frame; the largest one is taken"),
    "face_leaves.mp4": (2, "no face in frames 48-", 3.0),
    "variable_fps.mp4": (0, ""),
    "fps_50.mp4": (0, ""),
    "fps_23976.mp4": (0, ""),
    "rotated_by_metadata.mp4": (0, "", 0.4, (360, 288)),
    "tiny_64x64.mp4": (2, "the face is too small: 2"),
    "odd_353x287_yuv444.mp4": (0, "written as 4:4:4", 0.4, (353, 287)),
    "gray_8bit.mp4": (0, ""),
    "hevc_10bit.mp4": (0, ""),
    "very_short_0.1s.mp4": (0, "", 0.4, (360, 288)),
    "audio_longer.mp4": (0, "", 0.4, (360, 288)),
    "negative_start.mkv": (0, ""),
    "gray_ffv1.mkv": (0, "", 0.4, (240, 192)),
    "corrupt_middle.mp4": (0, "corrupt_middle.mp4: decoding errors", 3.0),
    "corrupt_middle.mpg": (0, "34 of 35 frames could be read", 3.0),
    "name with spaces, ünï 空.mp4": (0, ""),
    "mp4_named.avi": (0, ""),
    "alpha.png": (0, "transparent picture, laid on grey"),
    "cmyk.jpg": (0, ""),
    "exif_rotated.jpg": (0, "", 0.4, (360, 288)),
    "animated.gif": (0, "12 frames; the first is used"),
    "no_face.jpg": (2, "no face found in 1 frame"),
    "two_faces.jpg": (0, "2 faces in a frame"),
    "truncated.jpg": (2, "the picture is damaged or truncated"),
    "gray_16bit.png": (0, ""),
    "uhd_3840x2160.mp4": (0, "", 0.2, (3840, 2160)),
    # Handled as any other face; what is odd about them is their sound.
    "audio_48k_stereo.mp4": (0, ""),
    "audio_8k_mono.mp4": (0, ""),
    "silent_audio.mp4": (0, ""),
    "video_longer.mp4": (0, ""),
    "audio_starts_late_0.4s.mp4": (0, ""),
    "edit_list_skips_0.5s.mp4": (0, ""),
}
# As the driving sound of a picture: exit code, part of the message, frames of the output.
AS_AUDIO = {
    "truncated_no_index.mp4": (2, "the file was truncated"),
    "truncated_half.mp4": (0, "the audio has 1.04 s, its header says 2.98 s", 26),
    "no_audio.mp4": (2, "no audio stream"),
    "audio_only.mp4": (0, "", 74),
    "zero_bytes.mp4": (2, "the file is empty (0 bytes)"),
    "text_renamed.mp4": (2, "is a text file"),
    "text_renamed.wav": (2, "is a text file, not a video or audio file"),
    "header_only.wav": (2, "the audio is empty"),
    "silent_audio.mp4": (0, "silent audio", 50),
    "very_short_0.1s.mp4": (2, "too short: 0.10 s, want at least 0.2 s"),
    "audio_8k_mono.mp4": (0, "8000 Hz", 50),
    "audio_48k_stereo.mp4": (0, "", 50),
    "audio_longer.mp4": (0, "", 149),
    "video_longer.mp4": (0, "", 25),
    "audio_starts_late_0.4s.mp4": (0, "filled with silence", 84),
    "edit_list_skips_0.5s.mp4": (0, "", 62),
    "negative_start.mkv": (0, "", 74),
    "variable_fps.mp4": (0, "", 74),
    "corrupt_middle.mp4": (0, "decoding errors in the audio", 74),
}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """`run(face, audio, *flags)` -> exit code, report (or None), stderr; checks what is left."""
    stub.install(monkeypatch)
    monkeypatch.setattr(checkpoint, "load_trained", lambda path, step: stub.trained())
    out = tmp_path / "out"
    out.mkdir()

    def call(face, audio, *flags):
        paths = ["--face", str(face), "--audio", str(audio), "--out", str(out / "out.mp4")]
        code = cli.main(["generate", "--checkpoint", "stub", *paths, "--json", *flags])
        captured = capsys.readouterr()
        left = sorted(path.name for path in out.iterdir())
        assert left == (["out.mp4"] if code == 0 else [])
        if code != 0:
            # On a slow machine lines of progress may stand before it.
            said = [line for line in captured.err.splitlines() if not PROGRESS.match(line)]
            assert len(said) == 1, captured.err
        return code, json.loads(captured.out) if code == 0 else None, captured.err

    call.out = out / "out.mp4"
    return call


@pytest.mark.parametrize("name", AS_FACE)
def test_a_face_file_does_what_is_expected(run, shared, sound, name):
    code, message, *rest = AS_FACE[name]
    seconds = rest[0] if rest else 0.4
    size = rest[1] if len(rest) > 1 else None
    got, _, stderr = run(shared / "data/bad" / name, sound(seconds))
    assert got == code, stderr
    assert message in stderr
    if code == 0:
        info = probe(run.out)
        assert abs(info.duration_s - seconds) <= 0.02 + 1e-6
        assert size is None or (info.width, info.height) == size
    if not message:
        assert stderr == ""


@pytest.mark.parametrize("name", AS_AUDIO)
def test_an_audio_file_does_what_is_expected(run, shared, name):
    code, message, *frames = AS_AUDIO[name]
    face = shared / "data/public/faces/id01_grid_still.png"
    got, report, stderr = run(face, shared / "data/bad" / name)
    assert got == code, stderr
    assert message in stderr
    if code == 0:
        assert [report["frames"]] == frames


def test_every_file_of_the_list_is_tried(shared):
    with open(shared / "data/bad/EXPECT.csv", encoding="utf-8", newline="") as rows:
        listed = {row["file"]: row["expect"] for row in csv.DictReader(rows)}
    assert set(listed) == set(AS_FACE) | set(AS_AUDIO)
    for name, expect in listed.items():
        codes = {table[name][0] for table in (AS_FACE, AS_AUDIO) if name in table}
        assert codes == {2} or expect != "error" or name in ("no_face.mp4", "very_short_0.1s.mp4")
        assert 0 in codes or expect != "handle"


def test_missing_face_pass_goes_on_and_says_where(run, shared, sound):
    face = shared / "data/bad/face_leaves.mp4"
    code, report, stderr = run(face, sound(3.0), "--missing-face", "pass")
    assert code == 0
    ((first_s, end_s),) = report["missing_face_s"]
    assert 1.5 < first_s < 2.1 and end_s > 2.9
    assert report["unchanged_frames"] == report["frames"] - round(first_s * 25)
    assert "no face in frames" in stderr


def test_an_output_that_is_an_input_is_refused(run, shared, sound, tmp_path):
    audio = sound(0.4)
    code = cli.main(
        ["generate", "--checkpoint", "x", "--face", str(audio), "--audio", str(audio)]
        + ["--out", str(audio)]
    )
    assert code == 2


def test_two_runs_at_once_do_not_disturb_each_other(shared, sound, tmp_path):
    face = shared / "data/public/faces/id01_grid_still.png"
    outs = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.infer.run_with_stub", "generate"]
            + ["--checkpoint", "x", "--face", str(face), "--audio", str(sound(seconds))]
            + ["--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seconds, out in zip((0.8, 1.2), outs, strict=True)
    ]
    for process in running:
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    assert [round(probe(out).duration_s * 25) for out in outs] == [20, 30]
    assert sorted(p.name for p in tmp_path.glob("*.mp4")) == ["a.mp4", "b.mp4"]
    assert not list(tmp_path.glob(".*"))


def test_large_frames_stay_within_the_budget():
    batch = generate.batch_frames_for(1920, 1080, wanted=None)
    in_flight = 2 * batch + 2 * generate.QUEUE_FRAMES
    assert batch >= 1 and in_flight * 3 * 1920 * 1080 <= generate.FRAME_BUDGET_BYTES
