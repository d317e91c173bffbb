"""A long source becomes several records: exact times, bounded memory, the same for any workers."""

import dataclasses
import fractions
import hashlib
import tracemalloc
import wave

import av
import numpy as np
import pytest

import data_prep.prepare
from data_prep.clip import prepare_parts
from data_prep.layouts import list_clips
from data_prep.outcome import Kept
from data_prep.prepare import prepare
from data_prep.settings import Settings
from data_prep.source_reader import SoundReader, even_part
from talkjax.data.source import open_source
from talkjax.errors import UserError
from talkjax.media.audio import decode_audio
from talkjax.media.reader import FrameReader

SETTINGS = Settings(max_seconds=4.0)
SHOWN = 225


@pytest.fixture(scope="module")
def raw(grid, tmp_path_factory):
    """anna/long.mp4: a GRID clip three times over, 9 s."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "anna").mkdir()
    with FrameReader(grid / "lbbq9s.mpg") as reader:
        pictures = [frame.rgb for frame in reader]
    sound = decode_audio(grid / "lbbq9s.mpg").samples
    # As long as the pictures, to the sample.
    sound = np.tile(np.resize(sound, 75 * 640), 3)
    with av.open(str(folder / "anna" / "long.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        video.width, video.height, video.pix_fmt = 360, 288, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for picture in pictures * 3:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode())
        block = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        block.sample_rate, block.pts = 16000, 0
        block.time_base = fractions.Fraction(1, 16000)
        container.mux(audio.encode(block))
        container.mux(audio.encode())
    return folder


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, prepare(raw, out, layout="folder", settings=SETTINGS, workers=1, quiet=True)


def hashes(folder):
    files = [*folder.glob("*.array_record"), folder / "index.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_parts_join_to_the_whole_without_a_gap(raw, prepared):
    (clip,) = list_clips("folder", raw)
    ((_, whole),) = prepare_parts(clip, dataclasses.replace(SETTINGS, max_seconds=0.0))
    source = open_source(prepared[0], clip.split)
    parts = [source[number] for number in range(len(source))]
    assert [part.clip_id for part in parts] == [f"anna/long.part00{n}" for n in range(3)]
    assert {(part.identity, part.split) for part in parts} == {("anna", clip.split)}
    assert [part.num_frames for part in parts] == [76, 76, 73]
    times = np.concatenate([part.frame_times_s for part in parts])
    assert times == pytest.approx(whole.record.frame_times_s)
    sound = np.concatenate([part.audio_i16 for part in parts])
    assert np.array_equal(sound, whole.record.audio_i16)
    # Each part follows the face anew, so the crops agree, not to the bit.
    crops = np.concatenate([part.crop_to_source for part in parts])
    assert crops == pytest.approx(whole.record.crop_to_source, abs=2.0)


def test_the_report_counts_parts_and_names_them_by_their_times(prepared):
    report = prepared[1].report
    assert (report["kept"], report["rejected"]) == (3, {})
    assert report["cut"] == {"clips": 1, "parts": 3}
    assert report["seconds"] == SHOWN / 25
    assert report["sources"]["fps"] == {"25": 1}


def test_a_part_of_a_part_of_the_source_keeps_its_times(raw):
    (clip,) = list_clips("folder", raw)
    cut = dataclasses.replace(clip, start_s=1.0, end_s=7.0)
    found = list(prepare_parts(cut, SETTINGS))
    assert all(isinstance(result, Kept) for _, result in found)
    assert [(part.start_s, part.end_s) for part, _ in found] == [(1.0, 4.04), (4.04, 7.0)]
    assert found[1][0].name == "anna/long.mp4[4.04-7s]"
    assert found[1][1].record.frame_times_s[[0, -1]] == pytest.approx([4.04, 6.96])


def test_two_workers_and_a_resumed_run_write_the_same_bytes(raw, prepared, tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    def run(workers):
        prepare(raw, tmp_path, layout="folder", settings=SETTINGS, workers=workers, quiet=True)

    with monkeypatch.context() as patch:
        patch.setattr(data_prep.prepare, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(2)
    # Stopped in the middle of the source: its first record is there, its outcome is not.
    (outcome,) = tmp_path.glob(".partial/*/*.json")
    outcome.unlink()
    records = sorted(tmp_path.glob(".partial/*/*.record"))
    assert len(records) == 3
    records[0].write_bytes(b"of another run")
    run(2)
    assert hashes(tmp_path) == hashes(prepared[0])


@pytest.mark.parametrize(
    ("span", "limit", "part"),
    [(75.0, 0, None), (75.0, 500, 500), (500.0, 500, 500), (501.0, 500, 252), (0.0, 500, 500)]
    + [(1500.0, 500, 500)],
)
def test_parts_are_about_equal_and_never_longer_than_the_limit(span, limit, part):
    assert even_part(span, limit) == part


def test_sound_in_pieces_is_the_whole_sound_in_bounded_memory(tmp_path):
    seconds = 120
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).integers(-9000, 9000, seconds * 44100).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    del noise
    whole = decode_audio(path).samples
    reader, place = SoundReader(path), 0
    tracemalloc.start()
    while len(piece := reader.take(16000)):
        assert np.array_equal(piece, whole[place : place + len(piece)])
        place += len(piece)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert place == len(whole) == seconds * 16000
    assert peak_bytes < whole.nbytes / 10


def test_a_limit_below_the_least_length_is_refused():
    with pytest.raises(UserError, match=r"max_seconds: got 0\.3, want at least min_seconds"):
        Settings(max_seconds=0.3)
